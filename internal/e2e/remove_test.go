package e2e

import (
	"strings"
	"testing"

	"landbridge/internal/netlab"
)

// A member is removed while both run: it is told, and a new invitation lets it in again
// without a restart.
func TestAMemberIsRemovedToldAndLetInAgain(t *testing.T) {
	t.Parallel()
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	a, b := newMachine(t, wan.Host("a")), newMachine(t, wan.Host("b"))
	a.must("group", "create", "--name", "office")
	a.start()
	b.start()
	b.must("join", a.invite().Token)
	meet := func() {
		a.wait("a path to b", func() (bool, error) {
			p, err := a.peer("b")
			return err == nil && p.Connected, err
		})
	}
	meet()
	b.address()

	a.must("group", "remove", "b", "--reason", "its site has closed")
	if _, err := a.peer("b"); err == nil {
		t.Error("a still lists b")
	}
	b.wait("word of its removal", func() (bool, error) {
		for _, item := range b.status().Health {
			if item.Component == "group" && strings.Contains(item.Text, "was removed from the group office (the reason given: its site has closed)") {
				return true, nil
			}
		}
		return false, nil
	})
	b.says([]string{"its site has closed"}, "group", "show")
	a.refuses(failed, []string{`no member "b"`, "landbridge group show"}, "group", "remove", "b")
	b.refuses(failed, []string{"CA key", "run the command there"}, "group", "remove", "a")

	b.must("join", a.invite().Token)
	meet()
	b.address()
	for _, item := range b.status().Health {
		if strings.Contains(item.Text, "removed") {
			t.Errorf("let in again, it still says %q", item.Text)
		}
	}
}
