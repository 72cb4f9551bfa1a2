package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"

	"landbridge/internal/sorting"
)

// Cause says why an address doesn't lead to a member.
type Cause uint8

// The causes, the one that says least first: where UDP and TCP of one address fail
// differently, the later of the two counts.
const (
	NoAnswer  Cause = iota
	NoRoute         // this machine, or a router on the way, knows no way there
	Forbidden       // this machine may not send there: a firewall of its own
	NoName          // the host name doesn't resolve
	Broken          // something answers, and ends the connection
	Refused         // the machine is there, and nothing listens
	OtherNode       // another node answers
)

func (c Cause) String() string {
	return [...]string{
		"no answer", "no route", "a firewall of this machine forbids it", "the name does not resolve",
		"the connection is cut off", "connection refused", "another node answers there",
	}[c]
}

// Attempt is one place at which a member was looked for.
type Attempt struct {
	At    string // HOST:PORT
	Cause Cause
}

// UnreachableError is ErrUnreachable (by errors.Is) with where the member was looked
// for, one entry a HOST:PORT, those that its operator named first. Where the caller left
// before the search was over it wraps why, and Tried is of the search before.
type UnreachableError struct {
	Tried []Attempt
	// Alone: no other member is connected that could know more, or relay.
	Alone bool
	cause error
}

// maxTold is how many places Where names.
const maxTold = 3

// Where tells of the first places that were tried, in one line; it is empty where none
// is known.
func (e *UnreachableError) Where() string {
	var told []string
	for _, a := range e.Tried[:min(len(e.Tried), maxTold)] {
		told = append(told, fmt.Sprintf("%s: %v", a.At, a.Cause))
	}
	if more := len(e.Tried) - len(told); more > 0 {
		told = append(told, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(told, "; ")
}

// Error is one line.
func (e *UnreachableError) Error() string {
	where := e.Where()
	yet := ""
	if e.cause != nil {
		yet = " yet"
	}
	switch {
	case where != "":
		return fmt.Sprintf("%v%s (%s)", ErrUnreachable, yet, where)
	case e.cause != nil:
		return fmt.Sprintf("%v yet: it is being looked for", ErrUnreachable)
	case e.Alone:
		return fmt.Sprintf("%v: no address of it is known here, and no other member is connected who could know one", ErrUnreachable)
	}
	return fmt.Sprintf("%v: no address of it is known, and no connected member relays to it", ErrUnreachable)
}

// Is makes errors.Is(err, ErrUnreachable) true.
func (e *UnreachableError) Is(target error) bool { return target == ErrUnreachable }

// Unwrap is why the caller left before the search was over: a context's error.
func (e *UnreachableError) Unwrap() error { return e.cause }

// unreachable puts the faults of all ways to p into one error, and remembers it: for
// callers that can't wait for the end of the next search, and for addresses that libp2p
// doesn't dial again so soon.
func (o *Overlay) unreachable(p peer.ID, faults []error) error {
	d := &o.dialer
	d.mu.Lock()
	before := d.sought[p]
	d.mu.Unlock()
	named := o.memory.addrs(p)
	causes := causesOf(faults, before)
	for _, a := range append(named, o.node.Peerstore().Addrs(p)...) {
		if at, ok := hostPort(a); ok && o.names.failed(a) {
			causes[at] = NoName
		}
	}
	if len(causes) == 0 { // no dial has ended
		causes = o.silent(p)
	}
	e := &UnreachableError{Tried: sortedAttempts(causes, named), Alone: len(o.directConns()) == 0}
	d.mu.Lock()
	defer d.mu.Unlock()
	for other := range d.sought {
		if len(d.sought) >= maxRemembered {
			delete(d.sought, other) // any
		}
	}
	d.sought[p] = e.Tried
	return e
}

// sortedAttempts puts those that are named first, in that order, which is the operator's,
// and of the others those whose cause says most.
func sortedAttempts(causes map[string]Cause, named []ma.Multiaddr) []Attempt {
	rank := make(map[string]int)
	for i, a := range named {
		if at, ok := hostPort(a); ok {
			if _, known := rank[at]; !known {
				rank[at] = i
			}
		}
	}
	order := func(at string) int {
		if i, ok := rank[at]; ok {
			return i
		}
		return len(rank) + maxLearnt
	}
	all := make([]Attempt, 0, len(causes))
	for at, c := range causes {
		all = append(all, Attempt{at, c})
	}
	sorting.By(all, func(a, b Attempt) int {
		return cmp.Or(order(a.At)-order(b.At), cmp.Compare(b.Cause, a.Cause), cmp.Compare(a.At, b.At))
	})
	return all
}

// missed returns how the last search for p ended; nil where it succeeded, or there was none.
func (d *dialer) missed(p peer.ID) *UnreachableError {
	d.mu.Lock()
	defer d.mu.Unlock()
	tried, ok := d.sought[p]
	if !ok {
		return nil
	}
	return &UnreachableError{Tried: tried}
}

// silent lists the places where p may be that are dialled now.
func (o *Overlay) silent(p peer.ID) map[string]Cause {
	causes := make(map[string]Cause)
	for _, a := range o.memory.addrs(p) {
		if at, ok := hostPort(a); ok && (o.own.gate.usable(a) || o.names.looksUp(a)) {
			causes[at] = NoAnswer
		}
	}
	return causes
}

// notYet is the error of a caller that leaves before the search for p is over.
func (o *Overlay) notYet(p peer.ID, why error) error {
	d := &o.dialer
	d.mu.Lock()
	e := &UnreachableError{Tried: d.sought[p], cause: why}
	d.mu.Unlock()
	if len(e.Tried) == 0 {
		e.Tried = sortedAttempts(o.silent(p), o.memory.addrs(p))
	}
	return e
}

// causesOf collects why each place failed out of libp2p's errors.
func causesOf(faults []error, before []Attempt) map[string]Cause {
	causes := make(map[string]Cause)
	for _, fault := range faults {
		var dial *swarm.DialError
		if !errors.As(fault, &dial) {
			continue
		}
		for _, one := range dial.DialErrors {
			at, ok := hostPort(one.Address)
			if !ok {
				continue
			}
			c, tried := causeOf(one.Cause)
			if last := slices.IndexFunc(before, func(a Attempt) bool { return a.At == at }); last >= 0 && errors.Is(one.Cause, swarm.ErrDialBackoff) {
				c, tried = before[last].Cause, true
			}
			if tried {
				causes[at] = max(c, causes[at])
			}
		}
	}
	return causes
}

// causeOf classifies one address's failure. tried is false where the address wasn't
// dialled, or the dial was given up since another succeeded.
func causeOf(err error) (c Cause, tried bool) {
	var other sec.ErrPeerIDMismatch
	var handshake *quic.TransportError
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, swarm.ErrDialBackoff), errors.Is(err, swarm.ErrNoTransport),
		errors.Is(err, swarm.ErrGaterDisallowedConnection), errors.Is(err, swarm.ErrDialToSelf):
		return 0, false
	case errors.As(err, &other):
		return OtherNode, true
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused, true
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return NoRoute, true
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return Forbidden, true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Broken, true
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err), errors.As(err, &timeout) && timeout.Timeout():
		return NoAnswer, true
	case errors.As(err, &handshake):
		return Broken, true
	}
	return NoAnswer, true
}

// hostPort returns the HOST:PORT at the front of a multiaddress; ok is false for a
// circuit and for what isn't reached over UDP or TCP.
func hostPort(a ma.Multiaddr) (at string, ok bool) {
	if len(a) < 2 || isCircuit(a) || a[1].Protocol().Code != ma.P_UDP && a[1].Protocol().Code != ma.P_TCP {
		return "", false
	}
	switch a[0].Protocol().Code {
	case ma.P_IP4, ma.P_IP6:
		ip, ok := netip.AddrFromSlice(a[0].RawValue())
		return net.JoinHostPort(ip.Unmap().String(), a[1].Value()), ok
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
		return net.JoinHostPort(a[0].Value(), a[1].Value()), true
	}
	return "", false
}
