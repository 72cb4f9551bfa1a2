package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// ails waits until the machine's health has one item for each of the parts, and no other.
func (m *machine) ails(parts ...string) {
	m.t.Helper()
	m.wait(fmt.Sprintf("%d troubles", len(parts)), func() (bool, error) {
		var texts []string
		for _, item := range m.status().Health {
			texts = append(texts, item.Text)
		}
		err := fmt.Errorf("its health says %q", texts)
		if len(texts) != len(parts) {
			return false, err
		}
		for _, part := range parts {
			if !strings.Contains(strings.Join(texts, "\n"), part) {
				return false, err
			}
		}
		return true, err
	})
}

// An appliance that can't do its work says so, whatever else looks well, and stops saying
// so when it can.
func TestAnApplianceThatReachesNobodySaysWhatItCantDo(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := &site{net: s.wan.Site("site-b")}
	b.wire = b.net.Wire("b-cluster")
	b.machine = newMachine(t, b.net.Host("b"), "--mode", "router", "--lan-port", "lan0")
	b.wire.Plug(b.Host, "lan0")
	b.must("join", s.d.invite().Token, "--name", "b")
	s.d.ails() // alone in its group until a moment ago, and not for long enough now
	s.d.end(syscall.SIGKILL)
	b.start() // it has never held a block
	begun := time.Now()
	b.ails("The other member of the group e2e can't be reached", "Too few members can be reached to claim or renew", "Hosts of this LAN get no addresses: this appliance holds no block of them yet")
	t.Logf("said after %v", time.Since(begun).Round(time.Second))
	b.wait("why d can't be reached", func() (bool, error) {
		p, err := b.peer("d")
		return err == nil && strings.Contains(p.Why, ":4860: ") && !strings.Contains(p.Why, "\n"), fmt.Errorf("it says %q (%v)", p.Why, err)
	})

	s.d.start()
	back := time.Now()
	b.ails()
	t.Logf("all well %v after the founder is back", time.Since(back).Round(100*time.Millisecond))
	newClient(t, b.wire, "b1").lease(netlab.Dhclient)

	// The founder needs nobody to claim blocks; what it misses is the other member.
	b.end(syscall.SIGTERM)
	s.d.ails("The other member of the group e2e can't be reached: this machine reaches nobody in the network")
	b.start()
	s.d.ails()
	b.ails()
}
