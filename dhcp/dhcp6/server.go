package dhcp6

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/insomniacslk/dhcp/rfc1035label"

	"landbridge/dhcp"
	"landbridge/internal/frame"
	"landbridge/internal/ula"
)

const (
	// headStart is how long a host without a lease asks in vain, so that its DHCPv4 makes the lease.
	headStart = 2 * time.Second
	// maxMessage is the longest message that is looked at, in bytes: what a frame of 1,500 holds.
	maxMessage = 1500 - frame.IPv6HeaderLen - frame.UDPHeaderLen
	// maxDUID is RFC 8415 section 11.1's, with the type.
	maxDUID = 130
	// clientIdentifier is the type of what RFC 4361 makes of DUID and IAID.
	clientIdentifier = 255
	// maxFormer is how many of the group's former prefixes are remembered.
	maxFormer = 4
	// restTime is how long nobody is given an IPv6 address that was declined, and maxResting how many such there are at most.
	restTime   = 10 * time.Minute
	maxResting = 256
)

// ErrMalformed: no message of a client, or one that RFC 8415 section 16 has a server discard.
var ErrMalformed = errors.New("dhcp6: malformed message")

// ErrOtherNetwork: it concerns addresses of another network alone. It is a dhcp.ErrNotServed.
var ErrOtherNetwork = fmt.Errorf("%w: its addresses are of another network", dhcp.ErrNotServed)

// ErrFirstIPv4: the host has no lease yet, and a moment to get one by DHCPv4. It is a dhcp.ErrNotServed.
var ErrFirstIPv4 = fmt.Errorf("%w by DHCPv6 yet: DHCPv4 goes first", dhcp.ErrNotServed)

// Leaser leases IPv4 addresses; *dhcp.Server is one.
type Leaser interface {
	// Admits says why a host isn't served, nil where it is. held says that it has a lease.
	Admits(ctx context.Context, mac frame.MAC, held bool) error
	// Offer picks an address for a client without one, and reserves it for a minute or so.
	Offer(ctx context.Context, c dhcp.Client) (dhcp.Lease, error)
	// Commit leases addr to the client, or renews its lease, which is on disk when it returns. dhcp.ErrVendorClass:
	// DHCPv4 alone renews it.
	Commit(ctx context.Context, c dhcp.Client, addr netip.Addr) (dhcp.Lease, error)
}

// Holding is an IPv4 lease of a host.
type Holding struct {
	Client dhcp.Client
	Addr   netip.Addr
	End    time.Time
	Fixed  bool // the host has set the address by hand: it isn't ours to renew
}

// Holdings knows the leases of the segment's hosts, and which of them have taken the IPv6 address that goes with theirs. What
// changes that is on disk when it returns; dhcp.ErrNotOurs says that there is nothing to change.
type Holdings interface {
	// At returns the live lease of addr, if it is the host's with that MAC.
	At(addr netip.Addr, mac frame.MAC) (Holding, bool)
	// Of returns a live lease of the host with that MAC; rather one of a client with one of these IDs.
	Of(mac frame.MAC, ids ...[]byte) (Holding, bool)
	// Took notes that a host has the address though its lease isn't renewed; a Commit of a client with IPv6 says so, too.
	Took(ctx context.Context, h Holding) error
	// Released ends that, and Declined where the host has found another that uses the address. A lease ends that
	// nobody has ever asked for by DHCPv4.
	Released(ctx context.Context, h Holding) error
	Declined(ctx context.Context, h Holding) error
}

// Config is what a Server needs.
type Config struct {
	ID       [16]byte // of the group: the server's DUID is made of it (RFC 6355)
	Zone     string   // in which hosts have their names; empty: none have any
	Leaser   Leaser
	Holdings Holdings
	// Ours reports whether this server is to answer a host, where several appliances serve one segment. addr is the IPv4
	// address that it has, or the zero Addr. nil: it always is.
	Ours func(ctx context.Context, mac frame.MAC, addr netip.Addr) bool
	Now  func() time.Time // nil: time.Now
}

// Given is what hosts are told.
type Given struct {
	Net           ula.Net
	LeaseTime     time.Duration
	Renew, Rebind time.Duration // T1 and T2 of a lease that lasts LeaseTime, of a shorter one in proportion
	DNS           []netip.Addr  // IPv6
	Search        []string      // domains, without a dot at their end

	former []ula.Net // that hosts were told before, the latest first
}

// Server answers the DHCPv6 clients of one segment. It is safe for concurrent use.
type Server struct {
	config Config
	duid   *dhcpv6.DUIDUUID
	given  atomic.Pointer[Given]

	mu      sync.Mutex
	resting map[netip.Addr]time.Time // IPv4 addresses whose IPv6 ones were declined, until when
}

// NewServer returns a Server that answers nothing until SetGiven.
func NewServer(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Server{config: c, duid: &dhcpv6.DUIDUUID{UUID: c.ID}, resting: make(map[netip.Addr]time.Time)}
}

// SetGiven has hosts told this from now on; g must not be changed any more. It is safe for concurrent use with all but itself.
func (s *Server) SetGiven(g Given) {
	if was := s.given.Load(); was != nil {
		g.former = was.former
		if was.Net != g.Net && !was.Net.IsZero() {
			g.former = append([]ula.Net{was.Net}, was.former[:min(len(was.former), maxFormer-1)]...)
		}
	}
	s.given.Store(&g)
}

// gave reports whether an address is one that this server's hosts have, or have had. Of all others it knows nothing: the
// link may have a router, and a DHCPv6 server, of another network.
func (g *Given) gave(a netip.Addr) bool {
	within := func(n ula.Net) bool { _, ok := n.Host(a); return ok }
	return within(g.Net) || slices.ContainsFunc(g.former, within)
}

// exchange is a message and who has sent it.
type exchange struct {
	given    *Given
	m        *dhcpv6.Message
	duid     []byte
	mac      frame.MAC
	ia       *dhcpv6.OptIANA // the one that has an address; nil: none is asked for
	has      netip.Addr      // the IPv4 address of the one of ours that it names, invalid: none
	received time.Time
}

// Handle answers one UDP payload that arrived on port 547 in a frame from source. reply is nil where
// none is due; err says why one that might be expected isn't.
func (s *Server) Handle(ctx context.Context, message []byte, source frame.MAC) (reply []byte, err error) {
	x, err := s.begin(message, source)
	if err != nil {
		return nil, err
	}
	if s.config.Ours != nil && !s.config.Ours(ctx, source, x.has) {
		return nil, dhcp.ErrOtherRouter
	}
	answer := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: x.m.TransactionID}
	if id := x.m.Options.ClientID(); id != nil {
		answer.AddOption(dhcpv6.OptClientID(id))
	}
	answer.AddOption(dhcpv6.OptServerID(s.duid))
	switch x.m.MessageType {
	case dhcpv6.MessageTypeConfirm:
		err = s.confirm(ctx, x, answer)
	case dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		err = s.giveBack(ctx, x, answer)
	case dhcpv6.MessageTypeInformationRequest:
		if err = s.config.Leaser.Admits(ctx, source, true); err == nil {
			s.tell(x, answer)
		}
	default:
		err = s.lease(ctx, x, answer)
	}
	if err != nil {
		return nil, err
	}
	return answer.ToBytes(), nil
}

// begin reads a message, and refuses what RFC 8415 section 16 has a server discard.
func (s *Server) begin(message []byte, source frame.MAC) (*exchange, error) {
	x := &exchange{given: s.given.Load(), mac: source, received: s.config.Now()}
	if x.given == nil || x.given.Net.IsZero() || len(message) > maxMessage {
		return nil, ErrMalformed
	}
	m, err := dhcpv6.MessageFromBytes(message)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	x.m = m
	id, server := m.Options.ClientID(), m.Options.ServerID()
	if id != nil {
		x.duid = id.ToBytes()
	}
	if id != nil && len(x.duid) > maxDUID || id == nil && m.MessageType != dhcpv6.MessageTypeInformationRequest {
		return nil, fmt.Errorf("%w: client identifier", ErrMalformed)
	}
	switch m.MessageType {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeConfirm, dhcpv6.MessageTypeRebind:
		if server != nil {
			return nil, fmt.Errorf("%w: %v for one server", ErrMalformed, m.MessageType)
		}
	case dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		if server == nil || !server.Equal(s.duid) {
			return nil, dhcp.ErrOtherServer
		}
	case dhcpv6.MessageTypeInformationRequest:
		if server != nil && !server.Equal(s.duid) {
			return nil, dhcp.ErrOtherServer
		}
		return x, nil
	default:
		return nil, fmt.Errorf("%w: %v", ErrMalformed, m.MessageType)
	}
	if x.ia = m.Options.OneIANA(); x.ia == nil {
		return nil, fmt.Errorf("%w: %v for no address", ErrMalformed, m.MessageType)
	}
	for _, a := range x.ia.Options.Addresses() {
		addr, _ := netip.AddrFromSlice(a.IPv6Addr)
		if host, ok := x.given.Net.Host(addr); ok {
			x.has = host
			break
		}
	}
	return x, nil
}

// confirm says whether a host's addresses are of this link, as far as that is known here (RFC 8415 section 18.3.3).
func (s *Server) confirm(ctx context.Context, x *exchange, answer *dhcpv6.Message) error {
	_, held := s.holding(x, x.client().ID)
	if err := s.config.Leaser.Admits(ctx, x.mac, held); err != nil {
		return err
	}
	named := x.ia.Options.Addresses()
	if len(named) == 0 {
		return fmt.Errorf("%w: confirms nothing", ErrMalformed)
	}
	status := &dhcpv6.OptStatusCode{StatusCode: iana.StatusSuccess}
	for _, a := range named {
		addr, _ := netip.AddrFromSlice(a.IPv6Addr)
		if !x.given.gave(addr) {
			return ErrOtherNetwork
		}
		if _, ok := x.given.Net.Host(addr); !ok {
			status.StatusCode = iana.StatusNotOnLink
		}
	}
	answer.AddOption(status)
	return nil
}

// giveBack answers RELEASE and DECLINE (RFC 8415 sections 18.3.7 and 18.3.8).
func (s *Server) giveBack(ctx context.Context, x *exchange, answer *dhcpv6.Message) error {
	end, declines := s.config.Holdings.Released, x.m.MessageType == dhcpv6.MessageTypeDecline
	if declines {
		end = s.config.Holdings.Declined
	}
	var bound *dhcpv6.OptIANA
	if h, held := s.config.Holdings.At(x.has, x.mac); x.has.IsValid() && held {
		h.Client.IPv6 = true
		err := end(ctx, h)
		if err != nil && !errors.Is(err, dhcp.ErrNotOurs) {
			return err // and the host says it again
		}
		if err == nil {
			bound = x.ia
		}
		if bound != nil && declines {
			s.rest(h.Addr, x.received)
		}
	}
	answer.AddOption(&dhcpv6.OptStatusCode{StatusCode: iana.StatusSuccess})
	for _, ia := range x.m.Options.IANA() {
		if ia != bound {
			none := &dhcpv6.OptIANA{IaId: ia.IaId}
			none.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding, StatusMessage: "the host has no such address"})
			answer.AddOption(none)
		}
	}
	return nil
}

// rest has an address leased to nobody by DHCPv6 for a while, as a host that had it has found another that uses it.
func (s *Server) rest(addr netip.Addr, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.resting) >= maxResting {
		maps.DeleteFunc(s.resting, func(_ netip.Addr, until time.Time) bool { return !now.Before(until) })
	}
	if len(s.resting) < maxResting {
		s.resting[addr] = now.Add(restTime)
	}
}

// rests reports whether an address is leased to nobody by DHCPv6 at the moment.
func (s *Server) rests(addr netip.Addr, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.resting[addr])
}

// lease answers SOLICIT, REQUEST, RENEW and REBIND.
func (s *Server) lease(ctx context.Context, x *exchange, answer *dhcpv6.Message) error {
	client := x.client()
	held, ok := s.holding(x, client.ID)
	if err := s.config.Leaser.Admits(ctx, x.mac, ok); err != nil {
		return err
	}
	solicits := x.m.MessageType == dhcpv6.MessageTypeSolicit
	rapid := solicits && x.m.GetOneOption(dhcpv6.OptionRapidCommit) != nil
	if !ok {
		if x.m.MessageType == dhcpv6.MessageTypeRebind && !slices.ContainsFunc(x.ia.Options.Addresses(), x.mayEnd) {
			return ErrOtherNetwork
		}
		if solicits && x.m.Options.ElapsedTime() < headStart {
			return ErrFirstIPv4
		}
		held = Holding{Client: client, Addr: x.has}
		if solicits {
			offer, err := s.config.Leaser.Offer(ctx, client)
			if err != nil {
				return err
			}
			held.Addr, held.End = offer.Addr, offer.End
		}
	}
	if s.rests(held.Addr, x.received) {
		if solicits {
			answer.MessageType = dhcpv6.MessageTypeAdvertise
		}
		s.refuse(x, answer)
		return nil
	}
	if rapid || !solicits {
		err := s.commit(ctx, &held, client.Name)
		switch refused := errors.Is(err, dhcp.ErrTaken) || errors.Is(err, dhcp.ErrNotOurs) || errors.Is(err, dhcp.ErrNoAddress); {
		case refused || err == nil && !held.Addr.IsValid():
			s.refuse(x, answer)
			return nil
		case err != nil:
			return err
		}
	}
	if solicits && !rapid {
		answer.MessageType = dhcpv6.MessageTypeAdvertise
	}
	if rapid {
		answer.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
	}
	s.grant(x, answer, held)
	s.tell(x, answer)
	s.name(x, answer, held)
	return nil
}

// client is the host under the identifier of RFC 4361.
func (x *exchange) client() dhcp.Client {
	id := append([]byte{clientIdentifier}, x.ia.IaId[:]...)
	c := dhcp.Client{ID: append(id, x.duid...), MAC: net.HardwareAddr(x.mac[:]), IPv6: true}
	if f := x.m.Options.FQDN(); f != nil && f.DomainName != nil && len(f.DomainName.Labels) > 0 {
		c.Name = dhcp.Label(f.DomainName.Labels[0])
	}
	return c
}

// holding returns the host's lease: that of the address that it names, or else any.
func (s *Server) holding(x *exchange, id []byte) (Holding, bool) {
	if x.has.IsValid() {
		if h, ok := s.config.Holdings.At(x.has, x.mac); ok {
			return h, true
		}
	}
	const ethernet = 1
	return s.config.Holdings.Of(x.mac, id, append([]byte{ethernet}, x.mac[:]...))
}

// commit renews a host's lease, or makes it.
func (s *Server) commit(ctx context.Context, h *Holding, name string) error {
	if !h.Addr.IsValid() {
		return nil
	}
	if h.Fixed {
		return s.config.Holdings.Took(ctx, *h)
	}
	h.Client.IPv6 = true
	if h.Client.Name == "" {
		h.Client.Name = name
	}
	lease, err := s.config.Leaser.Commit(ctx, h.Client, h.Addr)
	if errors.Is(err, dhcp.ErrVendorClass) && !h.End.IsZero() {
		return s.config.Holdings.Took(ctx, *h) // for what is left of it
	}
	if err != nil {
		return err
	}
	h.Addr, h.End, h.Client.Name = lease.Addr, lease.End, lease.Name
	return nil
}

// grant adds the address of a lease, and ends all others that the host names.
func (s *Server) grant(x *exchange, answer *dhcpv6.Message, h Holding) {
	g := x.given
	lasts := g.LeaseTime
	if !h.End.IsZero() { // from when the message came, so that no host holds on longer than its lease
		lasts = min(max(h.End.Sub(x.received), time.Second), g.LeaseTime).Truncate(time.Second)
	}
	part := func(t time.Duration) time.Duration {
		return time.Duration(float64(t) / float64(g.LeaseTime) * float64(lasts)).Truncate(time.Second)
	}
	addr := g.Net.Of(h.Addr)
	ia := &dhcpv6.OptIANA{IaId: x.ia.IaId, T1: part(g.Renew), T2: part(g.Rebind)}
	ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: addr.AsSlice(), PreferredLifetime: lasts, ValidLifetime: lasts})
	if x.m.MessageType != dhcpv6.MessageTypeSolicit {
		x.end(ia, addr)
	}
	answer.AddOption(ia)
	for _, other := range x.m.Options.IANA() {
		if other != x.ia {
			none := &dhcpv6.OptIANA{IaId: other.IaId}
			none.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoAddrsAvail, StatusMessage: "a host has one address"})
			answer.AddOption(none)
		}
	}
}

// mayEnd reports whether an address that the host names is this server's to end: a REBIND goes to all servers of the link.
func (x *exchange) mayEnd(a *dhcpv6.OptIAAddress) bool {
	addr, _ := netip.AddrFromSlice(a.IPv6Addr)
	return x.m.MessageType != dhcpv6.MessageTypeRebind || x.given.gave(addr)
}

// end gives what addresses the host names besides one no lifetime (RFC 8415 sections 18.3.4 and 18.3.5).
func (x *exchange) end(ia *dhcpv6.OptIANA, but netip.Addr) {
	for _, a := range x.ia.Options.Addresses() {
		if addr, _ := netip.AddrFromSlice(a.IPv6Addr); addr != but && x.mayEnd(a) {
			ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: a.IPv6Addr})
		}
	}
}

// refuse tells a host that it can't have what it asks for: it solicits anew.
func (s *Server) refuse(x *exchange, answer *dhcpv6.Message) {
	ia := &dhcpv6.OptIANA{IaId: x.ia.IaId}
	switch x.m.MessageType {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeRequest:
		ia.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoAddrsAvail, StatusMessage: "that address can't be leased to this host"})
	case dhcpv6.MessageTypeRenew:
		ia.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding, StatusMessage: "the host has no lease"})
	default:
		x.end(ia, netip.Addr{})
	}
	answer.AddOption(ia)
}

// tell adds what a host is told besides its address.
func (s *Server) tell(x *exchange, answer *dhcpv6.Message) {
	var servers []net.IP
	for _, a := range x.given.DNS {
		servers = append(servers, a.AsSlice())
	}
	if len(servers) > 0 {
		answer.AddOption(dhcpv6.OptDNS(servers...))
	}
	if len(x.given.Search) > 0 {
		labels := newLabels(x.given.Search)
		answer.AddOption(dhcpv6.OptDomainSearchList(labels))
	}
}

// name tells a host that says its own which name it has, and that the group keeps its records (RFC 4704 section 5).
func (s *Server) name(x *exchange, answer *dhcpv6.Message, h Holding) {
	const server, override = 0x01, 0x02
	sent := x.m.Options.FQDN()
	if sent == nil || h.Client.Name == "" || s.config.Zone == "" || answer.MessageType != dhcpv6.MessageTypeReply {
		return
	}
	flags := uint8(server)
	if sent.Flags&server == 0 {
		flags |= override
	}
	full := h.Client.Name + "." + strings.TrimSuffix(s.config.Zone, ".")
	answer.AddOption(&dhcpv6.OptFQDN{Flags: flags, DomainName: newLabels([]string{full})})
}

func newLabels(names []string) *rfc1035label.Labels {
	labels := rfc1035label.NewLabels()
	labels.Labels = names
	return labels
}
