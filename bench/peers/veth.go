package peers

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"

	"landbridge/bench/underlay"
)

// veth is no tunnel: a second cable straight from one side to the other, without the
// bridge. What the kernel does when nothing is in the way.
type veth struct{ ends }

func (*veth) Version(context.Context) (string, error) { return kernelVersion() }

func (v *veth) Setup(_ context.Context, pair *underlay.Pair) error {
	v.number(pair)
	err := pair.A.Do(func() error {
		cable := netlink.NewVeth(netlink.LinkAttrs{Name: "cable0", MTU: 1500, TxQLen: 1000})
		cable.PeerName = "cable0"
		cable.PeerNamespace = netlink.NsPid(pair.B.Pid())
		return netlink.LinkAdd(cable)
	})
	if err != nil {
		return fmt.Errorf("lay a cable from a to b: %w", err)
	}
	return nil
}

func (v *veth) Start(ctx context.Context, s *underlay.Side) error { return v.up(ctx, s, "cable0") }
