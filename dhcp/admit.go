package dhcp

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

// relayed drops what comes through a relay agent.
func (s *Server) relayed(_ context.Context, x *exchange) error {
	if !x.req.GatewayIPAddr.IsUnspecified() {
		return ErrRelayed
	}
	return nil
}

// hardware drops a message about another machine than the one that sent the frame:
// on a segment without relay agents nobody has an honest reason to speak for another,
// and who could would release and take other hosts' leases.
func (s *Server) hardware(_ context.Context, x *exchange) error {
	mac, ok := frame.MACFrom(x.req.ClientHWAddr)
	if !ok || !mac.IsUnicast() || mac != x.source {
		return ErrHardware
	}
	return nil
}

// addressee drops what is meant for another server: a client that chose its offer,
// or gives its lease back to it. An identifier that isn't an address is nobody's.
func (s *Server) addressee(_ context.Context, x *exchange) error {
	if !x.req.Options.Has(dhcpv4.OptionServerIdentifier) {
		return nil
	}
	server, ok := addrOption(x.req, dhcpv4.OptionServerIdentifier)
	if !ok {
		return fmt.Errorf("%w: server identifier", ErrMalformed)
	}
	if server != s.config.ServiceAddr {
		s.overheard(x, server)
		return ErrOtherServer
	}
	return nil
}

// overheard notes which server a host has chosen.
func (s *Server) overheard(x *exchange, server netip.Addr) {
	p := s.config.Policy
	if x.kind != dhcpv4.MessageTypeRequest || p.Others == nil {
		return
	}
	registered := p.Registered != nil && p.Registered(x.source)
	p.Others.chose(x.source, server, registered || p.Known != nil && p.Known(x.client), x.received)
}
