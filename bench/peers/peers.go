package peers

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"landbridge/bench/underlay"
	"landbridge/internal/netlab"
)

// Peer is one tunnel on one pair. Programs that it starts end with the context that
// they were started with.
type Peer interface {
	// Version says what is measured.
	Version(ctx context.Context) (string, error)
	// Setup does what precedes a start and isn't timed.
	Setup(ctx context.Context, pair *underlay.Pair) error
	// Start starts one side; both are started at the same time. It returns when
	// nothing more is to be done there, which may be before packets pass.
	Start(ctx context.Context, side *underlay.Side) error
	// Ends returns where packets enter and leave, in the order of the pair's sides. It
	// holds after Setup.
	Ends() [2]End
}

// End is a host and its address in the tunnel.
type End struct {
	Host *netlab.Host
	Addr netip.Addr
}

// Programs says where the programs are that aren't the machine's own.
type Programs struct {
	Cache      string // directory of those from the Go module proxy
	Landbridge string // the program under test
}

func (p Programs) cached(name string) string { return filepath.Join(p.Cache, name) }

// Kind is a kind of peer.
type Kind struct {
	Name  string
	Plain bool // sends as it is what it carries: a bound, no rival
	New   func(Programs) Peer
}

// The names of the peers that others are compared with.
const (
	Landbridge  = "landbridge"
	Router      = "landbridge-router"
	WireGuardGo = "wireguard-go"
)

// All returns every kind, in the order of the report.
func All() []Kind {
	return []Kind{
		{Name: Landbridge, New: func(p Programs) Peer { return &landbridge{binary: p.Landbridge} }},
		{Name: Router, New: func(p Programs) Peer { return &router{landbridge: landbridge{binary: p.Landbridge}} }},
		{Name: WireGuardGo, New: func(p Programs) Peer { return &wireguard{binary: p.cached("wireguard-go")} }},
		{Name: "nebula", New: func(p Programs) Peer { return &nebula{programs: p} }},
		{Name: "openvpn", New: func(Programs) Peer { return &openvpn{} }},
		{Name: "tinc", New: func(Programs) Peer { return &tinc{} }},
		{Name: "n2n", New: func(Programs) Peer { return &n2n{} }},
		{Name: "vxlan", Plain: true, New: func(Programs) Peer { return &vxlan{} }},
		{Name: "veth", Plain: true, New: func(Programs) Peer { return &veth{} }},
	}
}

// Choose returns the kinds with these names, in the order of All; all of them for none.
func Choose(names []string) ([]Kind, error) {
	all := All()
	if len(names) == 0 {
		return all, nil
	}
	known := make([]string, len(all))
	for i, k := range all {
		known[i] = k.Name
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("no peer %q: there are %s", n, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(all, func(k Kind) bool { return !slices.Contains(names, k.Name) }), nil
}

// ends are two addresses of a tunnel network 10.70.0.0/24 on the pair's own hosts.
type ends [2]End

func (e *ends) Ends() [2]End { return *e }

// number gives the sides the first two addresses of the network.
func (e *ends) number(pair *underlay.Pair) {
	for i, s := range pair.Sides() {
		e[i] = End{Host: s.Host, Addr: netip.AddrFrom4([4]byte{10, 70, 0, byte(i + 1)})}
	}
}

// of returns a side's address in the tunnel.
func (e *ends) of(s *underlay.Side) netip.Addr {
	for _, end := range e {
		if end.Host == s.Host {
			return end.Addr
		}
	}
	return netip.Addr{}
}

// prefix is of, with the network's length.
func (e *ends) prefix(s *underlay.Side) string { return netip.PrefixFrom(e.of(s), 24).String() }

// up gives a side's device its address and sets it up.
func (e *ends) up(ctx context.Context, s *underlay.Side, device string) error {
	if _, err := s.Run(ctx, "ip", "addr", "add", e.prefix(s), "dev", device); err != nil {
		return err
	}
	_, err := s.Run(ctx, "ip", "link", "set", device, "up")
	return err
}
