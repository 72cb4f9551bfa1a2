package appliance

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/neighbourhood"
	"landbridge/internal/registry"
)

// What the other members have leased is known of those blocks that hosts here have to do with. Who wants all of
// it asks each member for the blocks that it holds, and for their records.

const (
	// maxBlocksTold bounds the blocks that a member tells another of; leases in others are looked up as hosts ask.
	maxBlocksTold = 256
	// maxBlocksHeard bounds those that are asked for in one round, of all members together.
	maxBlocksHeard = 1024
	// addrLen is how an address is told.
	addrLen = 4
	// roundsApart is how soon members are asked again for their blocks.
	roundsApart = 15 * time.Second
	// roundTimeout bounds one round, and roundPatience how long somebody waits for it.
	roundTimeout  = 5 * time.Second
	roundPatience = 2 * time.Second
	// askedAtOnce bounds the members that are asked at a time.
	askedAtOnce = 8
)

// visits is the asking of all members for what they have leased, in rounds. The zero visits is ready.
type visits struct {
	mu    sync.Mutex
	begun time.Time     // the last one
	done  chan struct{} // closed once it has ended; nil before the first
	heard map[group.MemberID]bool
}

// HearAll has the members asked for what they have leased, and returns the names of those that haven't told all of it.
func (n *node) HearAll(ctx context.Context) (unheard []string) {
	within, cancel := context.WithTimeout(ctx, roundPatience)
	defer cancel()
	networks := n.running()
	var rounds []<-chan struct{}
	for _, nw := range networks {
		rounds = append(rounds, nw.goRound(time.Now()))
	}
	for i, nw := range networks {
		select {
		case <-rounds[i]:
		case <-within.Done():
		}
		unheard = append(unheard, nw.unheard()...)
	}
	return unheard
}

// goRound begins a round, unless the last one was just now, and returns what is closed once it has ended.
func (n *network) goRound(now time.Time) <-chan struct{} {
	r := &n.visits
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done != nil && now.Sub(r.begun) < roundsApart {
		return r.done
	}
	r.begun, r.done = now, make(chan struct{})
	done := r.done
	if !n.background(func() { n.visitAll(done) }) {
		close(done) // the group is being left
	}
	return done
}

// visitAll is one round.
func (n *network) visitAll(done chan<- struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(n.base, roundTimeout)
	defer cancel()
	heard := n.askAll(ctx)
	n.visits.mu.Lock()
	n.visits.heard = heard
	n.visits.mu.Unlock()
}

// askAll asks the members that are connected, and says which of them have told all.
func (n *network) askAll(ctx context.Context) map[group.MemberID]bool {
	var asking sync.WaitGroup
	var mu sync.Mutex
	heard, left := make(map[group.MemberID]bool), maxBlocksHeard
	slots := make(chan struct{}, askedAtOnce)
	connected := n.node.connected()
	for _, m := range n.membership.Descriptor().Current() {
		if m == n.membership.Self() || !connected[m].Connected {
			continue
		}
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			blocks, err := n.blocksOf(ctx, m)
			mu.Lock()
			all := err == nil && len(blocks) < maxBlocksTold && len(blocks) <= left
			blocks = blocks[:min(len(blocks), left)]
			left -= len(blocks)
			mu.Unlock()
			if err = n.registry.Visit(ctx, m, blocks); err == nil && all {
				mu.Lock()
				heard[m] = true
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	return heard
}

// unheard names the other members that the last round didn't hear all of.
func (n *network) unheard() (names []string) {
	n.visits.mu.Lock()
	defer n.visits.mu.Unlock()
	for _, m := range n.membership.Descriptor().Current() {
		if m != n.membership.Self() && !n.visits.heard[m] {
			names = append(names, n.memberWord(m))
		}
	}
	return names
}

// memberWord is what people call a member: its name, or the end of its ID where it has none.
func (n *network) memberWord(m group.MemberID) string {
	if name := n.memberName(m); name != "" {
		return name
	}
	return m.Short()
}

// blocksOf asks a member for the blocks that it holds; each is an address in it.
func (n *network) blocksOf(ctx context.Context, m group.MemberID) (blocks []netip.Addr, err error) {
	told, err := n.node.gate.call(ctx, n, m, neighbourhood.Protocol, []byte{neighbourhood.AskBlocks})
	if err != nil {
		return nil, err
	}
	if len(told)%addrLen != 0 || len(told) > maxBlocksTold*addrLen {
		return nil, fmt.Errorf("blocks told in %d bytes", len(told))
	}
	for ; len(told) > 0; told = told[addrLen:] {
		blocks = append(blocks, netip.AddrFrom4([4]byte(told)))
	}
	return blocks, nil
}

// blocksTold lists blocks, each by an address in its middle, which is never reserved, as they are told another member.
func blocksTold(blocks []registry.BlockStatus) (b []byte) {
	for _, s := range blocks[:min(len(blocks), maxBlocksTold)] {
		first := s.First.As4()
		b = binary.BigEndian.AppendUint32(b, binary.BigEndian.Uint32(first[:])+uint32(s.Size/2))
	}
	return b
}
