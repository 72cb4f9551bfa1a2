package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// Two members behind symmetric NATs can't meet, unless one of the routers maps ports.
func TestMembersBehindSymmetricNATsMeetWhereARouterMapsPorts(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]netlab.Mapping{"by PCP": netlab.ByPCP, "by UPnP": netlab.ByUPnP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			meetByMapping(t, how)
		})
	}
}

func meetByMapping(t *testing.T, how netlab.Mapping) {
	s := newSceneOn(t, "192.0.9.0/24") // see MapPorts
	var ends [2]*machine
	for i, name := range []string{"a", "b"} {
		net := s.wan.Site("site-"+name, netlab.Behind(netlab.Symmetric))
		if i == 0 {
			switch err := net.MapPorts(t.Context(), how); {
			case errors.Is(err, exec.ErrNotFound):
				t.Skip(err, "(make deps)")
			case err != nil:
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if mapped, err := net.Mapped(t.Context()); t.Failed() {
					t.Log(mapped, err)
				}
			})
		}
		ends[i] = newMachine(t, net.Host(name))
		s.join(ends[i])
	}
	a, b := ends[0], ends[1]
	reaches(t, b.Host, a.address())
	for i, m := range ends {
		m.wait("a direct path", func() (bool, error) {
			peer, err := m.peer(ends[1-i].Name)
			return err == nil && peer.Path == api.PathKindDirect, fmt.Errorf("%+v (%v)", peer, err)
		})
	}
	peer, err := b.peer(a.Name)
	if err != nil || peer.Address.Port() != 4860 {
		t.Errorf("a is reached at %v, not at the port that is mapped (%v)", peer.Address, err)
	}
	a.end(syscall.SIGTERM)
}
