package peers

import (
	"context"
	"fmt"
	"time"

	"landbridge/bench/underlay"
	"landbridge/internal/netlab"
)

// n2n is Debian's n2n 1.3: a TAP, and Twofish, the only cipher it has. Its supernode
// makes the edges known to each other.
type n2n struct {
	ends
	supernode string // address and port
}

const supernodePort = 7654

func (*n2n) Version(ctx context.Context) (string, error) { return debianVersion(ctx, "n2n") }

func (n *n2n) Setup(ctx context.Context, pair *underlay.Pair) error {
	n.number(pair)
	n.supernode = fmt.Sprintf("%v:%d", pair.W.Addr, supernodePort)
	if _, err := pair.W.Spawn(ctx, "supernode", "-f", "-l", fmt.Sprint(supernodePort)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return netlab.WaitFor(ctx, "the supernode", func() (bool, error) {
		_, err := pair.W.Run(ctx, "grep", "-qi", fmt.Sprintf(":%04x ", supernodePort), "/proc/net/udp")
		return err == nil, err
	})
}

func (n *n2n) Start(ctx context.Context, s *underlay.Side) error {
	_, err := s.Spawn(ctx, "edge", "-f", "-d", "n2n0", "-a", n.of(s).String(), "-c", "net", "-k", "benchkey", "-l", n.supernode, "-p", "50001")
	return err
}
