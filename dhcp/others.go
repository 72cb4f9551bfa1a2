package dhcp

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
	"landbridge/internal/sorting"
)

// Bounds of what the segment can make Others remember.
const (
	maxServers = 16
	maxNamed   = 4 // of them, those that hosts alone named: anybody can make them up
	maxServed  = 4096
	maxWaiting = 1024
)

const (
	// serverMemory is how long a server counts as there after it was last heard. Probes
	// come more often.
	serverMemory = 10 * time.Minute
	// A host counts as another server's for as long as the lease that was seen, within
	// these bounds, and while that server is there.
	minServed = time.Hour
	maxLease  = 24 * time.Hour
	// maxChosen is how long it counts as one's of whom is only known that the host has named it:
	// anybody may have done so in its name.
	maxChosen = 5 * time.Minute
	// waitMemory is how long a host's first DISCOVER is remembered after its last.
	waitMemory = time.Minute
)

// OtherServer is another DHCP server of the segment.
type OtherServer struct {
	Addr        netip.Addr   // its server identifier
	MAC         frame.MAC    // that its frames came from; zero where hosts alone named it
	Offers      netip.Prefix // the network that it offers addresses of; not valid where it hasn't been seen to
	First, Last time.Time    // when it was noticed, and last
	// Contested reports that it has answered, or was chosen by, a host that we serve too.
	Contested bool
}

// heard reports that the server itself was heard, not only named by a host.
func (o OtherServer) heard() bool { return !o.MAC.IsZero() }

// Others remembers the other DHCP servers of a segment and which hosts they serve: by
// their own messages, as far as these reach us (broadcast ones, and OFFERs to our own
// DISCOVER), and by hosts that name them in a REQUEST, which is always broadcast. What it
// remembers is bounded, and is forgotten in time. It is safe for concurrent use.
type Others struct {
	isOurs func(frame.MAC) bool

	once  sync.Once
	ready chan struct{} // closed when somebody has looked for servers

	mu      sync.Mutex
	servers map[netip.Addr]*OtherServer
	hosts   map[frame.MAC]servedHost
	waiting map[frame.MAC]waitingHost
}

// servedHost is a host of another server.
type servedHost struct {
	server   netip.Addr
	until    time.Time
	answered bool // the server was seen to answer it
}

// waitingHost is one that asks and has no answer yet.
type waitingHost struct{ first, last time.Time }

// NewOthers returns an Others that knows nothing. isOurs recognises the gateway MACs of
// this appliance and of the others of its group on the segment, whose messages are no other
// server's; it may come to do so only after a message.
func NewOthers(isOurs func(frame.MAC) bool) *Others {
	return &Others{
		isOurs: isOurs, ready: make(chan struct{}),
		servers: make(map[netip.Addr]*OtherServer), hosts: make(map[frame.MAC]servedHost), waiting: make(map[frame.MAC]waitingHost),
	}
}

// Settle says that servers were looked for: from now on what isn't known isn't there.
func (o *Others) Settle() { o.once.Do(func() { close(o.ready) }) }

// looked reports whether Settle was called.
func (o *Others) looked() bool {
	select {
	case <-o.ready:
		return true
	default:
		return false
	}
}

// settled waits for Settle.
func (o *Others) settled(ctx context.Context) error {
	select {
	case <-o.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Observe takes a message that a DHCP server has sent to a client, in a frame from source.
// message isn't kept. ours reports that the client is one that we serve, too; nil for
// nobody.
func (o *Others) Observe(message []byte, source frame.MAC, now time.Time, ours func(frame.MAC) bool) {
	if !source.IsUnicast() || o.isOurs(source) {
		return
	}
	m, err := parseReply(message)
	if err != nil {
		return
	}
	server, ok := addrOption(m, dhcpv4.OptionServerIdentifier)
	if !ok || !server.IsValid() || server.IsUnspecified() {
		return
	}
	client, ok := frame.MACFrom(m.ClientHWAddr)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.server(server, source, now)
	if s == nil {
		return
	}
	kind := m.MessageType()
	if kind != dhcpv4.MessageTypeOffer && kind != dhcpv4.MessageTypeAck {
		return
	}
	if p, ok := networkOf(m); ok {
		s.Offers = p
	}
	if o.isOurs(client) {
		return // the answer to a probe
	}
	s.Contested = s.Contested || ours != nil && ours(client)
	o.serve(client, servedHost{server, now.Add(min(max(m.IPAddressLeaseTime(0), minServed), maxLease)), true}, now)
}

// chose notes that a host has named another server in a REQUEST.
func (o *Others) chose(client frame.MAC, server netip.Addr, contested bool, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.server(server, frame.MAC{}, now)
	if s == nil {
		return
	}
	s.Contested = s.Contested || contested
	o.serve(client, servedHost{server: server, until: now.Add(maxChosen)}, now)
}

// server returns the entry of a server, which was noticed now, at mac or by its name alone;
// nil where there is no room. One that is heard takes the place of one that was only named.
// Called with mu held.
func (o *Others) server(addr netip.Addr, mac frame.MAC, now time.Time) *OtherServer {
	o.forget(now)
	s := o.servers[addr]
	if s == nil {
		named := o.named()
		switch {
		case mac.IsZero() && len(named) >= maxNamed:
			return nil
		case len(o.servers) < maxServers:
		case mac.IsZero() || len(named) == 0:
			return nil
		default:
			delete(o.servers, named[0].Addr)
		}
		s = &OtherServer{Addr: addr, First: now}
		o.servers[addr] = s
	}
	s.Last = now
	if !mac.IsZero() {
		s.MAC = mac
	}
	return s
}

// named returns the servers that hosts alone have named, in no order. Called with mu held.
func (o *Others) named() (all []*OtherServer) {
	for _, s := range o.servers {
		if !s.heard() {
			all = append(all, s)
		}
	}
	return all
}

// serve notes that a host is another server's. Called with mu held.
func (o *Others) serve(client frame.MAC, h servedHost, now time.Time) {
	was, known := o.hosts[client]
	known = known && !now.After(was.until) && o.servers[was.server] != nil
	switch {
	case known && was.answered && !h.answered && o.servers[was.server].heard():
		return // what is only said, perhaps by another host in its name, is worth less
	case h.answered, !known && o.servers[h.server].heard():
		delete(o.waiting, client) // else it asks again although somebody is said to serve it
	}
	if !known && len(o.hosts) >= maxServed {
		oldest, until := frame.MAC{}, time.Time{}
		for mac, h := range o.hosts {
			if until.IsZero() || h.until.Before(until) {
				oldest, until = mac, h.until
			}
		}
		delete(o.hosts, oldest)
	}
	o.hosts[client] = h
}

// forget drops the servers that haven't been noticed for long, and those that have turned out
// to be ours. Called with mu held.
func (o *Others) forget(now time.Time) {
	for addr, s := range o.servers {
		if now.Sub(s.Last) >= serverMemory || s.heard() && o.isOurs(s.MAC) {
			delete(o.servers, addr)
		}
	}
}

// served says what there is about a host and another server.
type served uint8

const (
	servedByNone   served = iota
	servedByNamed         // the host has named one that nobody has heard: it may be made up, as may the message
	servedByChosen        // it has named one that was heard, and nobody has heard that answer it: the message may be made up
	servedByHeard         // one that was heard has answered it
)

// serves says whether another server, that is there, serves the host.
func (o *Others) serves(client frame.MAC, now time.Time) served {
	o.mu.Lock()
	defer o.mu.Unlock()
	h, ok := o.hosts[client]
	if !ok {
		return servedByNone
	}
	if now.After(h.until) {
		delete(o.hosts, client)
		return servedByNone
	}
	o.forget(now)
	switch s := o.servers[h.server]; {
	case s == nil:
		return servedByNone
	case s.heard() && h.answered:
		return servedByHeard
	case s.heard():
		return servedByChosen
	}
	return servedByNamed
}

// Present reports whether the segment has another server that was heard itself.
func (o *Others) Present(now time.Time) bool {
	return slices.ContainsFunc(o.Servers(now), OtherServer.heard)
}

// Servers returns the other servers that are there, by address.
func (o *Others) Servers(now time.Time) []OtherServer {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(now)
	var all []OtherServer
	for _, s := range o.servers {
		all = append(all, *s)
	}
	sorting.By(all, func(a, b OtherServer) int { return a.Addr.Compare(b.Addr) })
	return all
}

// waited notes that a host has sent a DISCOVER, and returns how long it has been asking.
func (o *Others) waited(client frame.MAC, now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	w, ok := o.waiting[client]
	if !ok || now.Sub(w.last) >= waitMemory {
		if len(o.waiting) >= maxWaiting {
			o.forgetWaiting()
		}
		w.first = now
	}
	w.last = now
	if len(o.waiting) < maxWaiting || ok {
		o.waiting[client] = w
	}
	return now.Sub(w.first)
}

// forgetWaiting makes room among the hosts that ask. Called with mu held.
func (o *Others) forgetWaiting() {
	macs := make([]frame.MAC, 0, len(o.waiting))
	for mac := range o.waiting {
		macs = append(macs, mac)
	}
	sorting.By(macs, func(a, b frame.MAC) int { return o.waiting[a].last.Compare(o.waiting[b].last) })
	for _, mac := range macs[:len(macs)/4+1] {
		delete(o.waiting, mac)
	}
}

// networkOf returns the network of the address that a message gives.
func networkOf(m *dhcpv4.DHCPv4) (netip.Prefix, bool) {
	addr := fieldAddr(m.YourIPAddr)
	mask := m.Options.Get(dhcpv4.OptionSubnetMask)
	if !addr.Is4() || addr.IsUnspecified() || len(mask) != 4 {
		return netip.Prefix{}, false
	}
	bits, _ := m.SubnetMask().Size()
	p, err := addr.Prefix(bits)
	return p, err == nil && bits > 0
}
