package tunnel

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/sorting"
)

// A member relays for us if it offers to, we reach it directly, and others can: it
// is one that the configuration says to keep, or we reach it at an address of its
// own interface, so that no NAT stands before it.

const (
	maxKept  = 3                // relays held open because they turned up
	keptLast = 10 * time.Minute // after one was last in reach
)

// relayFound is a member in reach that relays.
type relayFound struct {
	id  group.MemberID
	rtt time.Duration
	lan bool // no use to those who aren't on our LAN
}

func (t *Tunnel) findRelays(known []group.MemberID) []relayFound {
	var found []relayFound
	for _, p := range t.peers.Load().byID {
		p.mu.Lock()
		r, c := p.route.Load(), p.paths.find(p.paths.chosen)
		if r != nil && c != nil && r.via == nil && p.relays && (p.atHome(r.addr) || slices.Contains(known, p.id)) {
			found = append(found, relayFound{id: p.id, rtt: c.rtt, lan: r.kind == PathLAN})
		}
		p.mu.Unlock()
	}
	sorting.By(found, func(a, b relayFound) int {
		return cmp.Or(cmp.Compare(a.rtt, b.rtt), slices.Compare(a.id[:], b.id[:]))
	})
	return found[:min(len(found), maxLiveRelays)]
}

// reviewRelays finds the members that relay, tells the peers, and holds the
// sessions with some of them. Only run calls it.
func (t *Tunnel) reviewRelays() {
	var known []group.MemberID
	if t.cfg.Keep != nil {
		known = t.cfg.Keep()
	}
	found := t.findRelays(known)
	ids := make([]group.MemberID, len(found))
	for i, r := range found {
		ids[i] = r.id
	}
	t.mu.Lock()
	changed := !slices.Equal(sorted(ids), sorted(t.relays))
	t.relays = ids
	t.mu.Unlock()
	if changed {
		t.tell(relaysLive{ids})
	}

	keep := t.learnKept(found)
	for _, id := range known {
		keep[id] = true
	}
	for id := range t.kept {
		if !keep[id] {
			t.each([]group.MemberID{id}, keepOpen{false})
		}
	}
	peers := t.peers.Load().byID
	for id := range keep {
		if !t.kept[id] || peers[id] == nil {
			t.each([]group.MemberID{id}, keepOpen{true})
		}
	}
	t.kept = keep
}

// askRelays has run look at the paths to the members that relay for us.
func (t *Tunnel) askRelays() {
	t.mu.Lock()
	t.asking = true
	t.mu.Unlock()
	t.kick(0)
}

// learnKept returns the relays that turned up lately. One that is out of reach is
// held on to for a while, so that it is asked for a session when it returns.
func (t *Tunnel) learnKept(found []relayFound) map[group.MemberID]bool {
	now := t.now()
	for _, r := range found {
		if !r.lan && (len(t.keptUntil) < maxKept || t.keptUntil[r.id] != 0) {
			t.keptUntil[r.id] = now + keptLast
		}
	}
	maps.DeleteFunc(t.keptUntil, func(_ group.MemberID, until time.Duration) bool { return until < now })
	keep := make(map[group.MemberID]bool)
	for id := range t.keptUntil {
		keep[id] = true
	}
	return keep
}

func sorted(ids []group.MemberID) []group.MemberID {
	return sorting.Sorted(slices.Values(ids), func(a, b group.MemberID) int { return slices.Compare(a[:], b[:]) })
}
