package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/internal/netlab"
)

// Machines that move with their address and ask nobody: their connections go on.

const (
	// mostGap is how long nothing may come of a connection whose host moves. Beside other tests on
	// a busy machine it is allowed twice that.
	mostGap = 1500 * time.Millisecond
	// roamRounds is how often each kind of host moves there and back; LANDBRIDGE_ROUNDS=10 makes
	// the long run, with nothing beside it: go test -run WithoutDHCP ./internal/e2e.
	roamRounds = 1
)

func TestAHostThatMovesWithoutDHCPKeepsItsConnections(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	far := netlab.Link{Delay: 10 * time.Millisecond} // 40 ms between the sites, and back
	a, b := s.site("a", far), s.site("b", far)
	began := time.Now()
	a1, b1 := newClient(t, a.wire, "a1").lease(netlab.Udhcpc), newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	a.wait("its LAN port has carried frames for 3 s: before, no host is taken to have left", func() (bool, error) {
		return time.Since(began) > 3*time.Second, nil
	})
	rounds, most := roamRounds, 2*mostGap
	if n, err := strconv.Atoi(os.Getenv("LANDBRIDGE_ROUNDS")); err == nil {
		rounds, most = n, mostGap
	}
	for _, c := range []struct {
		name     string
		announce func(*roamer)
	}{
		{"arp", (*roamer).gratuitousARP},
		{"rarp", (*roamer).rarp}, // as QEMU announces a guest that has arrived
		{"mute", func(*roamer) {}},
	} {
		vm := newRoamer(t, a, c.name)
		streams := map[string]*stream{
			"d, remote all along":           newStream(t, vm.Host, s.d.Host, s.d.address()),
			"a1, a neighbour at first":      newStream(t, vm.Host, a1.Host, a1.addr),
			"b1, a neighbour after a while": newStream(t, vm.Host, b1.Host, b1.addr),
		}
		for range rounds {
			for _, to := range []*site{b, a} {
				began := time.Now()
				for _, st := range streams {
					st.gap()
				}
				if err := vm.Port("eth0").MoveTo(to.wire); err != nil {
					t.Fatal(err)
				}
				c.announce(vm)
				line := ""
				for with, st := range streams {
					gap, ours := st.settles(began)
					line += fmt.Sprintf(", %v (%s)", gap.Round(time.Millisecond), with)
					if ours > most {
						t.Errorf("%s to %s: nothing for %v with %s, and for %v without what this process stood still", c.name, to.Name, gap, with, ours)
					}
				}
				t.Logf("%s to %s: gaps%s", c.name, to.Name, line)
				for _, at := range []*site{a, b} {
					if serves := at.serves(vm.addr); serves != (at == to) {
						t.Errorf("%s is at %s; that %s serves it is %t", c.name, to.Name, at.Name, serves)
					}
				}
				if t.Failed() {
					return
				}
			}
		}
	}
}

// roamer is a host with an address by DHCP, and no DHCP client any more.
type roamer struct {
	*client
	raw *listener // on eth0
}

func newRoamer(t *testing.T, at *site, name string) *roamer {
	t.Helper()
	vm := &roamer{client: newClient(t, at.wire, name).lease(netlab.Udhcpc)}
	vm.dhcp.Kill()
	vm.raw = listen(t, vm.Host, "eth0")
	return vm
}

func (r *roamer) gratuitousARP() { r.announce(0x0806, 1, r.addr) }
func (r *roamer) rarp()          { r.announce(0x8035, 3, netip.IPv4Unspecified()) }

// announce broadcasts a frame about the host itself (RFC 826, RFC 903).
func (r *roamer) announce(etherType, op uint16, addr netip.Addr) {
	r.t.Helper()
	f := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	f = append(f, r.raw.mac...)
	f = append(f, byte(etherType>>8), byte(etherType), 0, 1, 8, 0, 6, 4, byte(op>>8), byte(op))
	f = append(append(f, r.raw.mac...), addr.AsSlice()...)
	f = append(append(f, r.raw.mac...), addr.AsSlice()...)
	if err := unix.Sendto(r.raw.fd, f, 0, &unix.SockaddrLinklayer{Ifindex: r.raw.index}); err != nil {
		r.t.Fatal(err)
	}
}
