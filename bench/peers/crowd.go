package peers

import (
	"context"
	"fmt"

	"landbridge/bench/underlay"
)

// Crowd is a Landbridge group of many members, all of them in interface mode.
type Crowd struct {
	landbridge
	star *underlay.Star
}

// NewCrowd makes the group of a star whose hub is the authority, and starts it; joined
// is called with each member that has joined.
func NewCrowd(ctx context.Context, p Programs, star *underlay.Star, joined func(n int)) (*Crowd, error) {
	c := &Crowd{landbridge: landbridge{binary: p.Landbridge, crowded: true}, star: star}
	if _, err := c.create(ctx, star.Hub); err != nil {
		return nil, err
	}
	if _, err := c.end(ctx, star.Hub); err != nil {
		return nil, err
	}
	for i, m := range star.Members {
		if _, err := c.join(ctx, star.Hub, m); err != nil {
			return nil, fmt.Errorf("member %d: %w", i+1, err)
		}
		joined(i + 1)
	}
	return c, nil
}

// Reach waits until the hub reaches the first n members, and returns their ends.
func (c *Crowd) Reach(ctx context.Context, n int) ([]End, error) {
	var all []End
	for _, m := range c.star.Members[:n] {
		e, err := c.end(ctx, m)
		if err != nil {
			return nil, err
		}
		if _, err := c.star.Hub.Run(ctx, "ping", "-q", "-c", "1", "-w", "10", e.Addr.String()); err != nil {
			return nil, fmt.Errorf("the hub doesn't reach %s: %w", m.Name, err)
		}
		all = append(all, e)
	}
	return all, nil
}
