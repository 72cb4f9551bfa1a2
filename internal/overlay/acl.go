package overlay

import (
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// relaying says for whom this node relays signalling: towards members of its own
// groups. Whom they talk to is their matter: a newcomer, who is no member yet, must be
// able to reach the member that admits it. It implements libp2p's relay.ACLFilter.
type relaying struct {
	members *atomic.Pointer[roster]

	mu       sync.Mutex
	reserved map[peer.ID]bool // those connected who have a reservation here
}

// AllowReserve reports whether others may reach p through us.
func (r *relaying) AllowReserve(p peer.ID, _ ma.Multiaddr) bool {
	if !r.member(p) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reserved == nil {
		r.reserved = make(map[peer.ID]bool)
	}
	r.reserved[p] = true
	return true
}

// AllowConnect reports whether src may reach dest through us.
func (r *relaying) AllowConnect(_ peer.ID, _ ma.Multiaddr, dest peer.ID) bool { return r.member(dest) }

func (r *relaying) member(p peer.ID) bool {
	roster := r.members.Load()
	return roster == nil || roster.in[p]
}

// holds reports whether we relay to p.
func (r *relaying) holds(p peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reserved[p] && r.member(p)
}

// drop forgets the reservation of a peer that has gone, as libp2p's relay does.
func (r *relaying) drop(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.reserved, p)
}
