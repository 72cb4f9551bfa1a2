package router

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"landbridge/arp"
	"landbridge/dhcp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// Device is the segment: whole Ethernet frames, no FCS, with what is left to be done
// on them. They are packets whose headroom is filled in; see frame.Packet.
type Device interface {
	// ReadBatch takes frames that are there and returns how many, without waiting; 0 is
	// none. They may be written to, and are good until the next call. One caller at a time.
	ReadBatch(pkts []frame.Packet) (int, error)
	// WriteBatch sends frames in order. It may write to their headroom; they are the
	// caller's again on return. Safe for concurrent use.
	WriteBatch(pkts []frame.Packet) error
}

// Sender carries packets to members.
type Sender interface {
	// Send takes IP packets for members, none of whom is named twice. It waits for nothing,
	// and is done with their buffers, which it may have overwritten, when it returns. Safe
	// for concurrent use.
	Send(parcels []Parcel)
}

// Parcel is IP packets for one member.
type Parcel struct {
	To      group.MemberID
	Packets []frame.Packet
}

// Status says what a Directory knows of an address.
type Status uint8

const (
	Unknown Status = iota // not in memory: Resolve may find it
	Known                 // the Route is good
	Absent                // nobody holds a lease for it
)

// Route says who serves an address.
type Route struct {
	Member group.MemberID
	Local  bool // its host is on this segment, and served by us
	Native bool // its host is on this segment, and served by another member: frames for it need no router
}

// here says that the host is on this segment.
func (r Route) here() bool { return r.Local || r.Native }

// ErrAbsent is what a Directory's Resolve returns for an address without a lease.
var ErrAbsent = errors.New("router: no host has this address")

// Directory knows who serves which address of the group.
type Directory interface {
	// Lookup answers from memory: lock-free, without allocating.
	Lookup(addr netip.Addr) (Route, Status)
	// Resolve asks where need be; ErrAbsent (wrapped) if there is no lease.
	Resolve(ctx context.Context, addr netip.Addr) (Route, error)
}

// ARP decides about the segment's ARP packets; arp.Responder is one.
type ARP interface {
	Answer(req frame.ARP, now time.Time) arp.Decision
	AppendReply(b []byte, req frame.ARP) []byte
	Resolved(addr netip.Addr, found arp.Result, emit func(frame []byte))
}

// ARPObserver is shown every ARP packet of the segment; arp.Prober is one.
type ARPObserver interface {
	Observe(frame.ARP)
}

// Strangers hears who uses an address of the group on the segment that isn't leased there: a
// host that has moved here, or one that nobody leased anything.
type Strangers interface {
	// Stranger is told of one address and MAC at most every strangerEvery. addr is invalid where
	// a MAC announced itself without an address (RARP). It is called on the frame path, and
	// must not block.
	Stranger(addr netip.Addr, mac frame.MAC)
	// Sender is Stranger of one whose packets come to this router, and to no other of the segment.
	Sender(addr netip.Addr, mac frame.MAC)
}

// Beacons takes what members on one segment say to each other; a beacon.Beacon is one.
type Beacons interface {
	// Receive takes a frame of EtherType frame.EtherTypeBeacon. It keeps nothing of it and doesn't wait.
	Receive(f []byte, now time.Time)
}

// Bypass leads frames for hosts of this segment past the router.
type Bypass interface {
	// Want is called with an address whose Route is Native and that a packet went to. It
	// doesn't wait, and allocates nothing where nothing is to be done.
	Want(addr netip.Addr)
}

// Speakers knows which members may send for the hosts of others: routers of one segment, for
// each other's.
type Speakers interface {
	// Speaks answers from memory: lock-free, without allocating.
	Speaks(from, owner group.MemberID) bool
	// Ask has from show that it may.
	Ask(ctx context.Context, from, owner group.MemberID) bool
}

// Stations knows whose business is the group's, where hosts of several groups are on one wire.
type Stations interface {
	// Ours answers from memory whether frames of a station are taken: lock-free, without
	// allocating.
	Ours(frame.MAC) bool
	// Left answers as Ours does whether a station that isn't ours was the group's, until it was
	// given to another, and may not know it yet: so it is answered as far as it takes to tell it.
	Left(frame.MAC) bool
}

// Config is what a Router needs. Fields not marked optional are required.
type Config struct {
	Device      Device
	Prefix      netip.Prefix // the group's, IPv4, /8 to /30
	ServiceAddr netip.Addr
	GatewayMAC  frame.MAC
	MTU         int // bytes of IP packet that the tunnel carries, 576 to 65,535
	LinkMTU     int // bytes of IP packet that the segment carries; optional: MTU in interface mode, the LAN port's in router mode
	Directory   Directory
	Sender      Sender
	Hosts       *Hosts
	ARP         ARP
	Probes      ARPObserver // optional
	DHCP        DHCP        // optional: interface mode has no clients
	DHCPPorts   dhcp.Ports  // optional: the standard ones; until SetDHCPPorts says others
	DHCP6       DHCP6       // optional
	Watch       Watch       // optional
	DNS         DNS         // optional
	Strangers   Strangers   // optional
	Beacons     Beacons     // optional
	Stations    Stations    // optional: all are the group's
	Speakers    Speakers    // optional: each member sends for its own hosts
	Bypass      Bypass      // optional: where the device leads to this host alone; what is Native then goes to its member until the bypass stands
	Log         *slog.Logger
	Now         func() time.Time // optional
}

func (c *Config) check() error {
	var faults []error
	if c.Device == nil || c.Directory == nil || c.Sender == nil || c.Hosts == nil || c.ARP == nil {
		faults = append(faults, errors.New("device, directory, sender, host table and ARP are required"))
	}
	if !c.Prefix.Addr().Is4() || c.Prefix.Bits() < minPrefixBits || c.Prefix.Bits() > 30 {
		faults = append(faults, fmt.Errorf("prefix %v: want IPv4, /%d to /30", c.Prefix, minPrefixBits))
	} else if !c.Prefix.Contains(c.ServiceAddr) {
		faults = append(faults, fmt.Errorf("service address %v isn't in %v", c.ServiceAddr, c.Prefix))
	}
	if !c.GatewayMAC.IsUnicast() {
		faults = append(faults, fmt.Errorf("gateway MAC %v can't be a station's", c.GatewayMAC))
	}
	for _, mtu := range []int{c.MTU, c.LinkMTU} {
		if mtu < minMTU || mtu > maxMTU {
			faults = append(faults, fmt.Errorf("MTU %d: want %d to %d bytes", mtu, minMTU, maxMTU))
		}
	}
	return errors.Join(faults...)
}

// Router forwards for one segment. All methods are safe for concurrent use.
type Router struct {
	device    Device
	directory Directory
	sender    Sender
	arp       ARP
	probes    ARPObserver
	dhcp      DHCP
	dns       DNS
	strangers Strangers
	watch     Watch
	beacons   Beacons
	stations  Stations
	bypass    Bypass
	speakers  Speakers
	hosts     *Hosts
	log       *slog.Logger
	now       func() time.Time

	classifier *classifier
	service    netip.Addr
	gateway    frame.MAC
	mtu        int
	linkMTU    int

	counters counters
	waiting  *waitlist
	refused  refusals // destinations that can't be reached, neighbours that don't answer, sources that aren't the member's
	told     refusals // strangers reported, hosts told where another is
	errors   icmpLimiter
	sources  rate
	jobs     *jobs
	byTCP    dnsTCP
	clients  *serializer
	batches  chan *batch // idle ones, for Deliver and jobs
	polled   *batch      // Poll's, with what it reads
	pkts     []frame.Packet
	warned   atomic.Int64
	relief   atomic.Pointer[frame.MAC] // nil: none
	six      atomic.Pointer[six]       // nil: no IPv6
	dhcp6    DHCP6
	clients6 *serializer
}

// New returns a Router that does nothing yet.
func New(c Config) (*Router, error) {
	if c.LinkMTU == 0 {
		c.LinkMTU = c.MTU
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Router{
		device: c.Device, directory: c.Directory, sender: c.Sender, hosts: c.Hosts,
		arp: c.ARP, probes: c.Probes, dhcp: c.DHCP, dhcp6: c.DHCP6, dns: c.DNS, strangers: c.Strangers, watch: c.Watch,
		beacons: c.Beacons, stations: c.Stations, bypass: c.Bypass, speakers: c.Speakers,
		log: c.Log, now: c.Now,
		classifier: newClassifier(c.Prefix, c.ServiceAddr, c.GatewayMAC, c.DHCPPorts),
		service:    c.ServiceAddr,
		gateway:    c.GatewayMAC,
		mtu:        c.MTU,
		linkMTU:    c.LinkMTU,
		waiting:    newWaitlist(),
		refused:    newRefusals(c.Now()),
		told:       newRefusals(c.Now()),
		sources:    rate{most: sourceQuestions},
		jobs:       newJobs(),
		byTCP:      dnsTCP{maphash.MakeSeed()},
		clients:    newSerializer(),
		clients6:   newSerializer(),
		errors:     newICMPLimiter(),
		batches:    make(chan *batch, idleBatches),
		pkts:       make([]frame.Packet, batchFrames),
	}
	r.polled = r.newBatch()
	return r, nil
}

// Poll forwards what the segment has sent, a batch at most, and returns how many frames
// there were. It doesn't wait. It fails if the device does. One caller at a time.
func (r *Router) Poll() (int, error) {
	n, err := r.device.ReadBatch(r.pkts)
	if n > 0 {
		r.forwardBatch(r.polled, r.pkts[:n])
	}
	if err != nil {
		return n, fmt.Errorf("segment: %w", err)
	}
	return n, nil
}

// Close waits until nothing of the router runs any more; from then on Deliver drops.
// Nobody calls Poll during or after it.
func (r *Router) Close() { r.jobs.close() }

// WriteFrame sends one frame to the segment. It is what an arp.Prober sends by.
func (r *Router) WriteFrame(f []byte) error {
	buf := make([]byte, frame.VirtioHeaderLen, frame.VirtioHeaderLen+len(f)+frame.Tailroom)
	return r.device.WriteBatch([]frame.Packet{{Buf: append(buf, f...)}})
}

// Announce tells the hosts of the segment that addr is now reached by the gateway MAC:
// the appliance calls it when the lease of a host that was here has moved away.
func (r *Router) Announce(addr netip.Addr) error {
	return errors.Join(r.WriteFrame(arp.Announce(addr, r.gateway)), r.announce6(addr, r.gateway))
}

// SetDHCPPorts has DHCP be what comes to these ports from now on.
func (r *Router) SetDHCPPorts(p dhcp.Ports) { r.classifier.listen(p) }

// TakeMACs has frames to these MACs taken as if they were for the gateway MAC, instead of those
// taken before: those of routers that this one stands in for.
func (r *Router) TakeMACs(macs ...frame.MAC) {
	if len(macs) == 0 {
		r.classifier.taken.Store(nil)
		return
	}
	r.classifier.taken.Store(&macs)
}

// HandOver has what is for other segments sent to the router at mac on this one, as long as this
// one reaches no member; with the zero MAC it is sent by tunnel again.
func (r *Router) HandOver(mac frame.MAC) {
	if mac.IsZero() {
		r.relief.Store(nil)
		return
	}
	r.relief.Store(&mac)
}

// AnnounceHost tells the hosts of the segment that addr is reached at mac, a host of the
// segment: one that has moved here, and may not say so itself.
func (r *Router) AnnounceHost(addr netip.Addr, mac frame.MAC) error {
	return errors.Join(r.WriteFrame(frame.AppendARP(nil, frame.Broadcast(), r.gateway, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: mac, SenderIP: addr, TargetIP: addr,
	})), r.announce6(addr, mac))
}

// ARPDirectory shows a Directory to an arp.Responder of a segment.
func ARPDirectory(d Directory) arp.Directory { return arpDirectory{d: d} }

// HostARPDirectory shows a Directory to an arp.Responder whose device leads to this host
// alone: a Native host doesn't answer there, so we do.
func HostARPDirectory(d Directory) arp.Directory { return arpDirectory{d, true} }

type arpDirectory struct {
	d     Directory
	alone bool // what is Native isn't on the device's wire
}

func (a arpDirectory) Lookup(addr netip.Addr) arp.Result {
	route, status := a.d.Lookup(addr)
	return arpResult(route, status, a.alone)
}

// isElsewhere reports whether an address is known to be leased to a host that this router answers for.
func (r *Router) isElsewhere(addr netip.Addr) bool {
	route, status := r.directory.Lookup(addr)
	return arpResult(route, status, r.bypass != nil) == arp.Remote
}

func arpResult(route Route, status Status, alone bool) arp.Result {
	switch {
	case status == Absent:
		return arp.Absent
	case status != Known:
		return arp.Unknown
	case route.Local, route.Native && !alone:
		return arp.Local
	}
	return arp.Remote
}
