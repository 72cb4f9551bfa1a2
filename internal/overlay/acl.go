package overlay

import (
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// relayACL says for whom this node relays signalling: towards members of its own
// groups. Whom they talk to is their matter: a newcomer, who is no member yet, must be
// able to reach the member that admits it. It implements libp2p's relay.ACLFilter.
type relayACL struct{ o *Overlay }

// AllowReserve reports whether others may reach p through us.
func (a relayACL) AllowReserve(p peer.ID, _ ma.Multiaddr) bool { return a.member(p) }

// AllowConnect reports whether src may reach dest through us.
func (a relayACL) AllowConnect(_ peer.ID, _ ma.Multiaddr, dest peer.ID) bool { return a.member(dest) }

func (a relayACL) member(p peer.ID) bool {
	r := a.o.members.Load()
	return r == nil || r.in[p]
}
