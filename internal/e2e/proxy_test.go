package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// Where a site lets nothing out but what its HTTP proxy connects to port 443, its hosts get addresses, and their packets
// go to a member whom TCP reaches there, and by that to the others.
func TestBehindAnHTTPProxyMembersAreReached(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.d.end(syscall.SIGTERM)
	s.d.flags = []string{"--tcp", "[::]:443"}
	s.d.start()
	b := newMachine(t, s.wan.Site("site-b", netlab.Behind(netlab.PortRestricted)).Host("b"))
	s.join(b)

	closed := s.wan.Site("site-a", netlab.BlockAll())
	at, err := closed.Proxy(t.Context(), "lb", "sesame")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		t.Skip(err, "(make deps)")
	case err != nil:
		t.Fatal(err)
	}
	proxy := fmt.Sprintf("http://lb:sesame@%v", at)
	a := newMachine(t, closed.Host("a"), "--proxy", proxy)
	if r := a.cli([]string{"env", "HTTPS_PROXY=" + proxy}, "join", s.d.invite().Token, "--name", "a"); r.code != 0 {
		t.Fatalf("join through the proxy: %s", r.stderr)
	}
	a.start()
	t.Logf("first reply of d after %v", reaches(t, a.Host, s.d.address()))
	t.Logf("first reply of b after %v", reaches(t, a.Host, b.address()))
	reaches(t, b.Host, a.address())
	a.wait("a path over TCP to d", func() (bool, error) {
		p, err := a.peer("d")
		return err == nil && p.Path == api.PathKindTCP && p.Address.Port() == 443, fmt.Errorf("%+v (%v)", p, err)
	})
	exchangeBetween(t, a.Host, b.Host, a.address(), b.address())
	if text := a.must("status") + a.must("status", "--json") + a.must("logs"); strings.Contains(text, "sesame") {
		t.Errorf("the proxy's password is told:\n%s", text)
	}
}
