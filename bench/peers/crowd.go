package peers

import (
	"context"
	"fmt"
	"net/netip"

	"landbridge/bench/crowd"
	"landbridge/bench/underlay"
)

// Crowd is a Landbridge group of one real appliance, its authority, and many members that are
// one process (package crowd).
type Crowd struct {
	landbridge
	At      netip.AddrPort // of the hub, on the underlay
	Members []netip.Addr   // on the underlay
	Dir     string         // with the members' states, on their host

	hub *underlay.Side
}

const (
	// MostMembers is how many there are addresses for on the underlay.
	MostMembers = 200

	landbridgePort = 4860
	firstMember    = 10 // of the addresses on the underlay
)

// NewCrowd makes the group of a pair whose side A is the hub, starts the hub, and puts the
// members' states and addresses on side B.
func NewCrowd(ctx context.Context, p Programs, pair *underlay.Pair, members int) (*Crowd, error) {
	c := &Crowd{landbridge: landbridge{binary: p.Landbridge}, At: netip.AddrPortFrom(pair.A.Addr, landbridgePort), Dir: pair.B.Dir()}
	if err := c.command(ctx, pair.A, "group", "create", "--name", "bench", "--prefix", landbridgePrefix); err != nil {
		return nil, err
	}
	if err := crowd.Admit(pair.A.Path(c.state(pair.A)+"/landbridge.db"), pair.B.Path(c.Dir), members); err != nil {
		return nil, fmt.Errorf("admit %d members: %w", members, err)
	}
	var err error
	if c.Members, err = pair.B.Alias(ctx, firstMember, members); err != nil {
		return nil, err
	}
	c.hub = pair.A
	_, err = c.run(ctx, c.hub)
	return c, err
}

// Hub waits until the hub has its address, for which it needs the members.
func (c *Crowd) Hub(ctx context.Context) (End, error) { return c.end(ctx, c.hub) }
