package registry

import (
	"time"

	"landbridge/internal/group"
)

// Act is what became of a lease.
type Act uint8

// The acts. They are on disk: new ones go to the end.
const (
	Granted  Act = 1 + iota // to a client that asked
	Renewed                 // by its client; the only act that isn't kept in the history
	Released                // by its client, or by an operator as if it had
	Expired
	MovedHere // from another member's segment to this one
	MovedAway // to the segment of Happening.To
	Found     // leased to a host that has the address by itself
	Declined  // its client found another host that uses the address
	Lost      // with the block, or on the word of its holder
	Changed   // renewed under another name, or from another MAC
	Reserved
	Unreserved
	Evicted // by an operator: its host must ask anew
	Renamed // by an operator; Lease has the name
	Noted   // by an operator
	actEnd
)

// Happening is something that became of a lease which is, or was, served here.
type Happening struct {
	At    time.Time
	Act   Act
	Lease Lease          // as it is now, or was at its end
	To    group.MemberID // MovedAway: to whom
	By    string         // the operator who ordered it; empty for hosts and for time
	Why   string         // what else there is to say
}

// Follow calls f with each happening, from many goroutines, once it is on disk. f must be
// quick and must not block; it may call the Registry.
func (r *Registry) Follow(f func(Happening)) (cancel func()) { return r.followers.join(f) }

// happens makes what has become of a lease, now.
func (r *Registry) happens(act Act, l *lease) Happening {
	return Happening{At: r.clock.Instant().Wall, Act: act, Lease: r.public(l)}
}

// happened lets the followers know. Called without any lock but a stripe.
func (r *Registry) happened(h Happening) {
	if h.Act == 0 {
		return
	}
	if h.kept() {
		r.history.n.Add(1)
	}
	r.followers.tell(h)
}

// committed says what became of the lease of an address in a block of ours by a commit.
func committed(old, l *lease, fresh bool) Act {
	switch {
	case fresh && isFound(l.Client):
		return Found
	case fresh:
		return Granted
	case old.State != leaseLive:
		return MovedHere
	case old.Name != l.Name || old.MAC != l.MAC:
		return Changed
	}
	return Renewed
}

// servedNow is committed for an address in a block of another member; old is nil where it
// wasn't served here before.
func servedNow(old, l *lease) Act {
	switch {
	case old != nil && old.Hash != l.Hash:
		return Granted // it was found with the address, and asks for it now
	case old != nil && (old.Name != l.Name || old.MAC != l.MAC):
		return Changed
	case old != nil:
		return Renewed
	case isFound(l.Client):
		return Found
	}
	return MovedHere
}

// whereTo says what became of a lease that its holder gave to another.
func (r *Registry) whereTo(l *lease) Happening {
	h := r.happens(Lost, l)
	h.Why = "the member that holds its block gave it to another host"
	b, off, _ := r.geo.split(l.addr)
	r.mu.Lock()
	defer r.mu.Unlock()
	rem := r.directory.remotes[b]
	if rem == nil {
		return h
	}
	if e, ok := rem.rec.entry(off); ok && e.Client == l.Hash {
		if m, _ := rem.rec.at(off); m != r.id {
			h.Act, h.To, h.Why = MovedAway, m, ""
		}
	}
	return h
}
