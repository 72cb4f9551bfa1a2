package access

import (
	"context"
	"net/netip"
	"time"

	"landbridge/console/api"
)

// Role is what somebody may do; each role may do what those below it may.
type Role int

// The roles, from the least.
const (
	Anyone Role = iota // who has shown nothing
	Viewer
	Operator
	Administrator
)

// String returns the role as the API names it.
func (r Role) String() string {
	switch r {
	case Viewer, Operator, Administrator:
		return [...]string{Viewer: "viewer", Operator: "operator", Administrator: "administrator"}[r]
	}
	return "anyone"
}

// API returns the role as a value of the API.
func (r Role) API() api.Role { return api.Role(r.String()) }

// ParseRole reads a role as the API names it. "anyone" is one.
func ParseRole(s string) (Role, bool) {
	for r := Anyone; r <= Administrator; r++ {
		if r.String() == s {
			return r, true
		}
	}
	return Anyone, false
}

// How is by what a request is known to be somebody's.
type How int

// The ways.
const (
	ByNothing How = iota
	BySession     // a cookie
	ByToken       // an API token
	BySocket      // the Unix socket, which only the appliance's user can open
)

// String returns the way as the API names it.
func (h How) String() string {
	switch h {
	case BySession:
		return "session"
	case ByToken:
		return "token"
	case BySocket:
		return "socket"
	}
	return "nothing"
}

// Identity is who a request is from. The zero value is nobody.
type Identity struct {
	Name   string // of the user
	Role   Role
	How    How
	Remote netip.Addr // zero at the socket

	// Of a session:
	CSRF            string    // what requests that change something must carry
	Began, Expires  time.Time // its bounds, whatever its use
	Reauthenticated time.Time // when password or code were last given
	TOTP            bool      // the user has enrolled one
	Done            <-chan struct{}

	key sessionKey
}

// Known reports whether the request is somebody's.
func (i Identity) Known() bool { return i.How != ByNothing }

// Source returns what stands for the host that the request is from: its address, and of IPv6 the
// /64. It is the same for all at the socket.
func (i Identity) Source() string { return source(i.Remote) }

// ForSocket returns the identity of who can open the Unix socket.
func ForSocket() Identity { return Identity{Name: "root", Role: Administrator, How: BySocket} }

// ForStranger returns the identity of who has shown nothing.
func ForStranger(remote netip.Addr) Identity { return Identity{Remote: remote.Unmap().WithZone("")} }

type identityKey struct{}

// NewContext returns a context of a request from id.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// FromContext returns who the request is from: nobody where nothing says so.
func FromContext(ctx context.Context) Identity {
	id, _ := ctx.Value(identityKey{}).(Identity)
	return id
}
