package arp

import (
	"net/netip"
	"time"

	"landbridge/internal/frame"
)

// Result says what the directory knows of an address.
type Result uint8

const (
	Unknown Result = iota // not known here; the registry has to be asked
	Absent                // nobody holds a lease for it
	Local                 // leased to a host of this segment
	Remote                // leased to a host elsewhere
)

// Directory knows who holds which address.
type Directory interface {
	// Lookup answers from memory. It neither blocks nor allocates: it is called on
	// the frame path, for any address of the prefix.
	Lookup(addr netip.Addr) Result
}

// Action is what the caller of Answer must do.
type Action uint8

const (
	Silent  Action = iota // nothing
	Reply                 // send AppendReply's frame
	Resolve               // look Target up, then call Resolved, whatever came out
)

// Reason says why a decision was made, for the counters.
type Reason uint8

const (
	ReasonService      Reason = iota // the service address: replied
	ReasonRemote                     // leased elsewhere: replied
	ReasonUnknown                    // resolved first
	ReasonWaiting                    // a lookup of this target runs already
	ReasonLocal                      // leased on this segment
	ReasonAbsent                     // not leased
	ReasonForeign                    // target or sender outside the prefix
	ReasonAnnouncement               // sender speaks about itself
	ReasonNoRequest                  // a reply, or another operation
	ReasonSender                     // a sender MAC that no host can have, or our own
	ReasonLimited                    // too many lookups: see Limits
	ReasonShared                     // another router of this segment answers
)

// String returns the reason as a counter's label.
func (r Reason) String() string {
	names := [...]string{
		"service", "remote", "unknown", "waiting", "local", "absent", "foreign", "announcement",
		"no-request", "sender", "limited", "shared",
	}
	if int(r) < len(names) {
		return names[r]
	}
	return "?"
}

// Decision is what an ARP packet calls for.
type Decision struct {
	Action Action
	Reason Reason
	// Target is the address asked for; set with Reply and Resolve.
	Target netip.Addr
	// Observed reports that the packet shows a host of this segment: its sender
	// address is one of the prefix and its sender MAC a station's. Set with any Action.
	Observed bool
}

// Config is what a Responder needs. All fields are required but Ours, Leased and Limits.
type Config struct {
	Prefix      netip.Prefix // the group's, IPv4
	ServiceAddr netip.Addr
	GatewayMAC  frame.MAC
	Directory   Directory
	// Ours says, where several routers stand on the segment, whether it is for us to answer
	// the host at mac, with the address sender (0.0.0.0 where it probes), about target; nil: always.
	// It neither blocks nor allocates.
	Ours func(mac frame.MAC, sender, target netip.Addr) bool
	// Leased reports whether the host at mac has a lease of the address sender on this segment;
	// nil: nobody has. It neither blocks nor allocates.
	Leased func(mac frame.MAC, sender netip.Addr) bool
	Limits Limits // zero fields take the default
}

// Responder decides about ARP packets of one segment. It is safe for concurrent use.
type Responder struct {
	prefix    netip.Prefix
	broadcast netip.Addr // the prefix's last address
	service   netip.Addr
	gateway   frame.MAC
	directory Directory
	ours      func(mac frame.MAC, sender, target netip.Addr) bool
	leased    func(mac frame.MAC, sender netip.Addr) bool
	pending   pending
}

// NewResponder returns a Responder without history.
func NewResponder(c Config) *Responder {
	return &Responder{
		prefix:    c.Prefix.Masked(),
		broadcast: lastAddr(c.Prefix),
		service:   c.ServiceAddr,
		gateway:   c.GatewayMAC,
		directory: c.Directory,
		ours:      c.Ours,
		leased:    c.Leased,
		pending:   newPending(c.Limits),
	}
}

// Answer decides about one ARP packet that a host of the segment sent. It allocates
// only where it returns Resolve or ReasonWaiting.
func (r *Responder) Answer(req frame.ARP, now time.Time) Decision {
	mac, sender, target := req.SenderMAC(), req.SenderIP(), req.TargetIP()
	if !mac.IsUnicast() || mac == r.gateway {
		return Decision{Reason: ReasonSender}
	}
	d := Decision{Observed: r.isHost(sender) && sender != r.service}
	switch {
	case req.IsAnnouncement():
		d.Reason = ReasonAnnouncement
		return d
	case req.Op() != frame.ARPRequest:
		d.Reason = ReasonNoRequest
		return d
	case !d.Observed && !sender.IsUnspecified(), !r.isHost(target):
		d.Reason = ReasonForeign
		return d
	}
	d.Target = target
	known, shared := Remote, r.ours != nil && !r.ours(mac, sender, target)
	if target != r.service {
		known = r.directory.Lookup(target)
	}
	switch {
	case shared && (known == Remote || known == Unknown):
		d.Reason = ReasonShared
	case target == r.service:
		d.Action, d.Reason = Reply, ReasonService
	default:
		r.decide(&d, known, requester{mac, sender}, now)
	}
	return d
}

// decide says what a request calls for that is ours to answer.
func (r *Responder) decide(d *Decision, known Result, from requester, now time.Time) {
	switch known {
	case Remote:
		d.Action, d.Reason = Reply, ReasonRemote
	case Local:
		d.Reason = ReasonLocal
	case Absent:
		d.Reason = ReasonAbsent
	default:
		leased := r.leased != nil && r.leased(from.mac, from.addr)
		d.Reason = r.pending.add(d.Target, from, leased, now)
		if d.Reason == ReasonUnknown {
			d.Action = Resolve
		}
	}
}

// Resolved ends the lookup of addr that Answer asked for, and hands emit a frame for
// each host that waits, if found is Remote. Unknown says that the lookup failed: the
// next request starts another. A frame is the callee's to keep.
func (r *Responder) Resolved(addr netip.Addr, found Result, emit func([]byte)) {
	for _, w := range r.pending.take(addr) {
		if found == Remote {
			emit(r.appendReply(nil, w, addr))
		}
	}
}

// AppendReply appends the frame that answers req: req's target is at the gateway
// MAC. It allocates only if b is too short.
func (r *Responder) AppendReply(b []byte, req frame.ARP) []byte {
	return r.appendReply(b, requester{req.SenderMAC(), req.SenderIP()}, req.TargetIP())
}

func (r *Responder) appendReply(b []byte, to requester, addr netip.Addr) []byte {
	return frame.AppendARP(b, to.mac, r.gateway, frame.ARPFields{
		Op:        frame.ARPReply,
		SenderMAC: r.gateway,
		SenderIP:  addr,
		TargetMAC: to.mac,
		TargetIP:  to.addr,
	})
}

// isHost reports whether addr is an address that a host of the group can have, the
// service address included.
func (r *Responder) isHost(addr netip.Addr) bool {
	return r.prefix.Contains(addr) && addr != r.prefix.Addr() && addr != r.broadcast
}

// Announce returns a broadcast frame that tells the segment that addr is at mac
// ("gratuitous ARP", RFC 5227 section 3).
func Announce(addr netip.Addr, mac frame.MAC) []byte {
	return frame.AppendARP(nil, frame.Broadcast(), mac, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: mac, SenderIP: addr, TargetIP: addr,
	})
}

// lastAddr returns the last address of an IPv4 prefix, the directed broadcast.
func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}
