package appliance

import (
	"context"
	"math/rand/v2"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/overlay"
)

// This file spreads the group's descriptor, and in the same way its settings. In a group where everybody is connected to
// everybody, each tells all others of a new one at once. In a larger one that would be as
// many hellos as there are pairs, so that each tells a few, and a moment later those of its
// neighbours, with whom it keeps connections, who don't have it yet. It goes into the DHT
// too, for those who are out of reach now: by the authority, and by a few of the others. Settings
// aren't there: who comes back says hello to whomever it meets first, before it asks anything else.

const (
	// spreadFew is how many members of a large group each one tells at once: it is with
	// nearly all of a hundred after five steps.
	spreadFew = 3
	// settleTime is the least time after which the neighbours are told; half of them wait
	// more than twice as long.
	settleTime = time.Second
	// publishers is how many members of a large group put a new descriptor into the DHT.
	publishers = 8
)

// greeting is what a member said of itself in its last hello.
type greeting struct {
	run uint64
	has extent
}

// keepRoster does, until ctx ends, what the group's membership needs: it renews the
// certificate in good time, looks for newer descriptors, and spreads those that came after
// the version told.
func (n *network) keepRoster(ctx context.Context, told uint64) {
	renewal := time.NewTicker(renewalCheck)
	defer renewal.Stop()
	refresh := time.NewTicker(refreshInterval)
	defer refresh.Stop()
	settled := time.NewTimer(0)
	<-settled.C
	defer settled.Stop()
	settling := false
	n.reportStanding()
	n.node.updateMembers()
	n.publishSoon()
	n.fetchDescriptor(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-renewal.C:
			n.renewCertificate(ctx, time.Now())
			n.compareClocks(ctx)
			n.reportRequests() // who has asked no more for a day is forgotten
		case <-refresh.C:
			n.publishSoon()
			n.fetchDescriptor(ctx)
			n.compare(ctx)
		case <-n.descriptorChanged:
			n.reportStanding()
			n.node.updateMembers()
			told = n.spread(ctx, told)
			n.publishSoon()
			if !settling { // a later change doesn't put it off
				settling = true
				settled.Reset(settleTime + rand.N(2*settleTime))
			}
		case <-n.settingsChanged:
			n.takeUpSettings()
			n.log.Info("the group's settings have changed", "version", n.membership.Settings().Version)
			n.spread(ctx, told)
			if !settling {
				settling = true
				settled.Reset(settleTime + rand.N(2*settleTime))
			}
		case <-settled.C:
			settling = false
			n.spreadNext(ctx)
		}
	}
}

// spread says hello to those that are connected, so that they have the new descriptor
// at once and not when they happen to ask: to every member, a few in a large group. Who
// was removed since the version told is told once. It returns the version that it has
// seen to.
func (n *network) spread(ctx context.Context, told uint64) uint64 {
	d := n.membership.Descriptor()
	var behind []group.MemberID
	for m := range n.node.overlay.Links() {
		if d.Check(m) == nil {
			behind = append(behind, m)
		} else if e, _ := d.Entry(m); e.Removed > told {
			n.tell(ctx, m, n.node.gate.tell)
		}
	}
	behind = n.behind(behind, d.Version, n.membership.Settings())
	if !overlay.KeepsAll(len(d.Current()) - 1) {
		rand.Shuffle(len(behind), func(i, j int) { behind[i], behind[j] = behind[j], behind[i] })
		behind = behind[:min(len(behind), spreadFew)]
	}
	for _, m := range behind {
		n.tell(ctx, m, n.node.gate.introduce)
	}
	return d.Version
}

// compare says hello to one of the members that are connected, so that what one of the two hasn't
// heard of comes to it in the end.
func (n *network) compare(ctx context.Context) {
	d := n.membership.Descriptor()
	for m := range n.node.overlay.Links() { // in no order
		if d.Check(m) == nil {
			n.tell(ctx, m, n.node.gate.introduce)
			return
		}
	}
}

// spreadNext says hello to the neighbours that don't seem to have the descriptor, or the settings, yet.
func (n *network) spreadNext(ctx context.Context) {
	d := n.membership.Descriptor()
	var neighbours []group.MemberID
	for m, l := range n.node.overlay.Links() {
		if l.Next && d.Check(m) == nil {
			neighbours = append(neighbours, m)
		}
	}
	for _, m := range n.behind(neighbours, d.Version, n.membership.Settings()) {
		n.tell(ctx, m, n.node.gate.introduce)
	}
}

// behind returns those of the members that haven't said that they have the version, and the settings.
func (n *network) behind(members []group.MemberID, version uint64, s *group.Settings) (behind []group.MemberID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range members {
		if has := n.met[m].has; has.descriptor < version || has.lacks(s) {
			behind = append(behind, m)
		}
	}
	return behind
}

// tell says hello to a member, in the background.
func (n *network) tell(ctx context.Context, m group.MemberID, hello func(context.Context, *network, group.MemberID) error) {
	n.background(func() {
		ctx, cancel := context.WithTimeout(ctx, introduceTimeout)
		defer cancel()
		if err := hello(ctx, n, m); err != nil {
			n.log.Debug("not told of the new descriptor", "member", m, "err", err)
		}
	})
}

// publishSoon has the descriptor put into the DHT, where it is this member's to do.
func (n *network) publishSoon() {
	others := len(n.membership.Descriptor().Current()) - 1
	if n.authority == nil && !overlay.KeepsAll(others) && rand.IntN(others) >= publishers {
		return
	}
	select {
	case n.publishing <- struct{}{}:
	default: // it will be the newest
	}
}

// keepPublished puts the descriptor into the DHT, until ctx ends. The DHT may take seconds
// where some don't answer: nothing waits for it.
func (n *network) keepPublished(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.publishing:
			n.publishDescriptor(ctx)
		}
	}
}

func (n *network) publishDescriptor(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, introduceTimeout)
	defer cancel()
	if err := n.node.overlay.PutDescriptor(ctx, n.id, n.membership.Signed()); err != nil {
		n.log.Debug("descriptor not published", "err", err)
	}
}
