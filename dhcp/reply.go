package dhcp

import (
	"context"
	"math"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

// leaseTimes adds lease time, T1 and T2 (RFC 2131 section 4.4.5), rounded down so
// that no client holds on longer than its lease.
func (s *Server) leaseTimes(_ context.Context, x *exchange) error {
	if x.lifetime == 0 {
		return nil
	}
	renew, rebind := x.given.times(x.lifetime)
	for _, t := range []struct {
		code dhcpv4.OptionCode
		time time.Duration
	}{
		{dhcpv4.OptionIPAddressLeaseTime, x.lifetime},
		{dhcpv4.OptionRenewTimeValue, renew},
		{dhcpv4.OptionRebindingTimeValue, rebind},
	} {
		// 0xffffffff would mean "for ever".
		seconds := min(int64(t.time/time.Second), math.MaxUint32-1)
		x.options = append(x.options, option{t.code, uint32Value(uint32(seconds))})
	}
	return nil
}

// parameters adds what the client asks for, in the order in which it asks (RFC 2132
// section 9.8); to one that doesn't ask, what it can't do without.
func (s *Server) parameters(_ context.Context, x *exchange) error {
	if x.answer == dhcpv4.MessageTypeNak {
		return nil
	}
	wanted := x.req.Options.Get(dhcpv4.OptionParameterRequestList)
	if len(wanted) == 0 {
		wanted = []byte{
			dhcpv4.OptionSubnetMask.Code(), dhcpv4.OptionDomainNameServer.Code(),
			dhcpv4.OptionDomainName.Code(), dhcpv4.OptionInterfaceMTU.Code(), dhcpv4.OptionClasslessStaticRoute.Code(),
		}
	}
	addr := x.yiaddr
	if !addr.IsValid() {
		addr = fieldAddr(x.req.ClientIPAddr)
	}
	var told [256]bool
	for _, code := range wanted {
		value, ok := x.given.value(code, addr)
		if ok && !told[code] {
			told[code] = true
			x.options = append(x.options, option{dhcpv4.GenericOptionCode(code), value})
		}
	}
	return nil
}

// identifier gives the client its identifier back (RFC 6842 section 3).
func (s *Server) identifier(_ context.Context, x *exchange) error {
	if id := x.req.Options.Get(dhcpv4.OptionClientIdentifier); len(id) > 0 && len(id) <= 255 {
		// In front of the parameters, so that it is never what doesn't fit.
		x.options = append([]option{{dhcpv4.OptionClientIdentifier, id}}, x.options...)
	}
	return nil
}

// destination decides where the reply goes (RFC 2131 section 4.1). ciaddr counts
// only where it was checked: as the address granted, or in an INFORM.
func (s *Server) destination(_ context.Context, x *exchange) error {
	ciaddr := fieldAddr(x.req.ClientIPAddr)
	switch {
	case x.answer == dhcpv4.MessageTypeNak:
		x.dst = broadcastAddr()
	case ciaddr == x.yiaddr || !x.yiaddr.IsValid():
		x.dst = ciaddr
	case x.req.IsBroadcast():
		x.dst = broadcastAddr()
	default:
		x.dst = x.yiaddr
	}
	x.dstMAC = x.source
	if x.dst == broadcastAddr() {
		x.dstMAC = frame.Broadcast()
	}
	return nil
}

func broadcastAddr() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }
