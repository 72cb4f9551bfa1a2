package peers

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"landbridge/bench/underlay"
)

// appliance is Landbridge in router mode as the server of its LAN, alone or in a group whose other
// members are hosts elsewhere.
type appliance struct {
	landbridge
	members int
}

func newAppliance(p Programs, members int) *appliance {
	return &appliance{landbridge: landbridge{binary: p.Landbridge}, members: members}
}

func (a *appliance) Start(ctx context.Context, s *Segment) (netip.Addr, error) {
	first := s.Pair.A
	a.disk = s.Disk
	a.args = map[*underlay.Side][]string{first: {"--mode", "router", "--lan-port", "lan0"}}
	if _, err := a.create(ctx, first); err != nil {
		return netip.Addr{}, err
	}
	others, err := s.Pair.More(ctx, a.members-1)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, o := range others {
		if _, err := a.join(ctx, first, o); err != nil {
			return netip.Addr{}, err
		}
	}
	addr, err := s.answers(ctx)
	if err == nil && len(s.Names) > 0 {
		err = a.reserve(ctx, s)
	}
	return addr, err
}

// Appliance tells that it knows the names of leases alone.
func (*appliance) Appliance() {}

// reserve has the appliance keep the named hosts' addresses. They are known to DNS as the hosts
// have got them.
func (a *appliance) reserve(ctx context.Context, s *Segment) error {
	var b strings.Builder
	b.WriteString("address,mac,name\n")
	for _, n := range s.Names {
		fmt.Fprintf(&b, "%v,%s,%s\n", n.Addr, n.MAC, n.Label)
	}
	path, err := s.write("reservations.csv", b.String())
	if err != nil {
		return err
	}
	return a.command(ctx, s.Pair.A, "leases", "import", path)
}
