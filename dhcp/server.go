package dhcp

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

// Config is what a Server needs.
type Config struct {
	Prefix      netip.Prefix // the group's, IPv4
	ServiceAddr netip.Addr   // server identifier and first DNS server
	MTU         int          // option 26, in bytes; 0 leaves it out
	Zone        string       // in which clients have their names, for option 81; empty leaves it out
	Options                  // until SetOptions says others

	Leaser Leaser
	Prober Prober // nil: offers aren't probed
	Policy Policy // whom to serve; the zero value serves all
	// ProbeClass is the vendor class by which the group's appliances look for other DHCP
	// servers (see Discover): it gets no answer. Empty for none.
	ProbeClass string

	Log *slog.Logger     // nil: silent
	Now func() time.Time // nil: time.Now
}

// Server answers the DHCP clients of one segment. It is safe for concurrent use.
type Server struct {
	config    Config
	broadcast netip.Addr // the prefix's last address
	given     atomic.Pointer[given]
	rule      atomic.Pointer[Rule]
	links     []link
	offers    offers
	counts    counts
}

// exchange is a request and what has been decided about its answer.
type exchange struct {
	given    *given // what clients are told, for all of the exchange
	req      *dhcpv4.DHCPv4
	kind     dhcpv4.MessageType
	client   Client
	source   frame.MAC // of the frame
	received time.Time

	answer   dhcpv4.MessageType // MessageTypeNone until it is decided
	yiaddr   netip.Addr         // zero in NAK and in the ACK of an INFORM
	lifetime time.Duration      // 0 without a lease
	name     string             // that the client has in the zone; empty for none
	options  []option           // behind message type and server identifier
	dst      netip.Addr
	dstMAC   frame.MAC

	evicted     bool // of a host that isn't the group's any more: it is told so
	deferential bool // the segment has another server, which may know the host
}

// link is a step of the chain. An error ends the exchange without a reply.
type link func(ctx context.Context, x *exchange) error

// errNoReply ends an exchange that went well and has no reply.
var errNoReply = errors.New("dhcp: no reply")

// NewServer returns a Server for this configuration. When what clients are told changes, see
// SetOptions; when the rule does, SetRule; when the group's parameters do, make a new one.
func NewServer(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Prefix = c.Prefix.Masked()
	s := &Server{config: c, broadcast: lastAddr(c.Prefix), offers: newOffers()}
	s.SetOptions(c.Options)
	s.SetRule(c.Policy.Rule)
	s.links = []link{
		s.relayed, s.hardware, s.addressee, s.left, s.turn, s.served,
		s.discover, s.request, s.deference, s.inform, s.release, s.decline, s.known,
		s.leaseTimes, s.parameters, s.identifier, s.fullName, s.destination,
	}
	return s
}

// Handle answers one UDP payload that arrived on port 67 in a frame from source. ok
// says whether there is a reply. err says why there is none, for counting (one of the
// errors of this package, or the Leaser's or Prober's); it is nil where none is due.
//
// A DISCOVER of a client without a lease takes as long as the probe of its address,
// within ctx; others as long as the Leaser. req isn't kept.
func (s *Server) Handle(ctx context.Context, req []byte, source frame.MAC) (reply Reply, ok bool, err error) {
	defer func() { s.counts.note(reply, err) }()
	x, err := s.begin(req, source)
	if err != nil {
		return Reply{}, false, err
	}
	for _, l := range s.links {
		if err := l(ctx, x); err != nil {
			if errors.Is(err, errNoReply) {
				err = nil
			}
			return Reply{}, false, err
		}
	}
	return Reply{Payload: s.encode(x), Dst: x.dst, DstMAC: x.dstMAC, kind: x.answer}, true, nil
}

// begin opens the exchange about a UDP payload.
func (s *Server) begin(req []byte, source frame.MAC) (*exchange, error) {
	m, err := parse(req)
	if err != nil {
		return nil, err
	}
	if req[offsetHlen] != 6 || m.HWType != htypeEthernet {
		return nil, ErrHardware
	}
	return &exchange{given: s.given.Load(), req: m, kind: m.MessageType(), client: clientOf(m), source: source, received: s.config.Now()}, nil
}

// clientOf says who sent m. An option 61 of less than two bytes is no identifier
// (RFC 2132 section 9.14), nor one of more than 255, put together from several.
func clientOf(m *dhcpv4.DHCPv4) Client {
	id := m.Options.Get(dhcpv4.OptionClientIdentifier)
	if len(id) < 2 || len(id) > 255 {
		id = append([]byte{htypeEthernet}, m.ClientHWAddr...)
	}
	return Client{ID: id, MAC: m.ClientHWAddr, Name: hostName(m)}
}

// encode builds the reply's payload (RFC 2131 table 3).
func (s *Server) encode(x *exchange) []byte {
	header := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootReply,
		HWType:        x.req.HWType,
		TransactionID: x.req.TransactionID,
		Flags:         x.req.Flags & 0x8000,
		ClientHWAddr:  x.req.ClientHWAddr,
	}
	if x.answer == dhcpv4.MessageTypeAck && x.kind != dhcpv4.MessageTypeDiscover {
		header.ClientIPAddr = x.req.ClientIPAddr
	}
	if x.yiaddr.IsValid() {
		header.YourIPAddr = x.yiaddr.AsSlice()
	}
	options := append([]option{
		{dhcpv4.OptionDHCPMessageType, []byte{byte(x.answer)}},
		{dhcpv4.OptionServerIdentifier, addrValue(s.config.ServiceAddr)},
	}, x.options...)
	return encode(header, options, maxReply(x.req))
}

// leasable reports whether addr is an address that a client can have here.
func (s *Server) leasable(addr netip.Addr) bool {
	p := s.config.Prefix
	return p.Contains(addr) && addr != p.Addr() && addr != s.broadcast && addr != s.config.ServiceAddr
}

// lastAddr returns the last address of an IPv4 prefix, the directed broadcast.
func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}
