package peers

import (
	"context"

	"landbridge/bench/underlay"
)

// vxlan is the kernel's VXLAN: a tunnel without encryption, and without a program.
type vxlan struct {
	ends
	pair *underlay.Pair
}

func (*vxlan) Version(context.Context) (string, error) { return kernelVersion() }

func (v *vxlan) Setup(_ context.Context, pair *underlay.Pair) error {
	v.pair = pair
	v.number(pair)
	return nil
}

func (v *vxlan) Start(ctx context.Context, s *underlay.Side) error {
	_, err := s.Run(ctx, "ip", "link", "add", "vx0", "type", "vxlan", "id", "42", "local", s.Addr.String(),
		"remote", v.pair.Other(s).Addr.String(), "dstport", "4789", "dev", "eth0")
	if err != nil {
		return err
	}
	return v.up(ctx, s, "vx0")
}
