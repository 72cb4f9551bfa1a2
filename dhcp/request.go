package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// grant decides for an OFFER or ACK of lease.
func (x *exchange) grant(answer dhcpv4.MessageType, lease Lease) {
	defaultTime := x.given.LeaseTime
	x.answer, x.yiaddr, x.lifetime, x.name = answer, lease.Addr, defaultTime, lease.Name
	if !lease.End.IsZero() {
		// From when the request came: the client counts from when it sent it (RFC
		// 2131 section 4.4.1), so its lease never outlasts ours. A clock that
		// stepped must not make it longer either.
		x.lifetime = min(max(lease.End.Sub(x.received), time.Second), defaultTime)
	}
}

// request answers a REQUEST with ACK, NAK or silence (RFC 2131 section 4.3.2).
func (s *Server) request(ctx context.Context, x *exchange) error {
	if x.kind != dhcpv4.MessageTypeRequest {
		return nil
	}
	addr, hasRequested := addrOption(x.req, dhcpv4.OptionRequestedIPAddress)
	ciaddr := fieldAddr(x.req.ClientIPAddr)
	chosen := x.req.Options.Has(dhcpv4.OptionServerIdentifier) // it is ours: addressee saw to that
	switch {
	case hasRequested && (chosen || ciaddr.IsUnspecified()): // SELECTING or INIT-REBOOT
	case ciaddr.IsUnspecified():
		return fmt.Errorf("%w: request without an address", ErrMalformed)
	case !s.config.Prefix.Contains(ciaddr): // RENEWING or REBINDING elsewhere
		return ErrOtherNetwork
	default: // RENEWING or REBINDING
		addr = ciaddr
	}
	if !s.leasable(addr) {
		x.refuse("address is not of this network")
		return nil
	}
	lease, err := s.config.Leaser.Commit(ctx, x.client, addr)
	switch {
	case err == nil && lease.Addr == addr:
		x.grant(dhcpv4.MessageTypeAck, lease)
	case err == nil, isRefusal(err):
		x.refuse("address is not leased to this client")
	case chosen && errors.Is(err, ErrUnsure): // we offered it, so it is for us to say that it is gone
		x.refuse("address can't be leased now")
	default:
		return fmt.Errorf("request: %w", err)
	}
	return nil
}

// isRefusal reports whether the Leaser says that an address isn't the client's.
func isRefusal(err error) bool {
	return errors.Is(err, ErrTaken) || errors.Is(err, ErrNotOurs) || errors.Is(err, ErrNoAddress)
}

// refuse decides for a NAK.
func (x *exchange) refuse(why string) {
	x.answer = dhcpv4.MessageTypeNak
	x.options = append(x.options, option{dhcpv4.OptionMessage, []byte(why)})
}

// inform gives parameters to a host that has an address by other means.
func (s *Server) inform(_ context.Context, x *exchange) error {
	if x.kind != dhcpv4.MessageTypeInform {
		return nil
	}
	if !s.leasable(fieldAddr(x.req.ClientIPAddr)) {
		return ErrOtherNetwork
	}
	x.answer = dhcpv4.MessageTypeAck
	return nil
}

// release gives a lease back.
func (s *Server) release(ctx context.Context, x *exchange) error {
	if x.kind != dhcpv4.MessageTypeRelease {
		return nil
	}
	return s.giveUp(ctx, x, fieldAddr(x.req.ClientIPAddr), s.config.Leaser.Release)
}

// decline takes an address out of use that the client found used by another host.
// The Leaser first has to agree that the address is the client's: else any host could
// take away any other's.
func (s *Server) decline(ctx context.Context, x *exchange) error {
	if x.kind != dhcpv4.MessageTypeDecline {
		return nil
	}
	addr, _ := addrOption(x.req, dhcpv4.OptionRequestedIPAddress)
	return s.giveUp(ctx, x, addr, func(ctx context.Context, c Client, addr netip.Addr) error {
		if _, err := s.config.Leaser.Commit(ctx, c, addr); err != nil {
			return err
		}
		s.offers.forget(addr)
		s.logConflict(addr, x.received)
		return s.config.Leaser.Decline(ctx, c, addr)
	})
}

// known ends an exchange that no link before it knew what to do with.
func (s *Server) known(_ context.Context, x *exchange) error {
	if x.answer == dhcpv4.MessageTypeNone {
		return fmt.Errorf("%w: message type %d", ErrMalformed, byte(x.kind))
	}
	return nil
}

func (s *Server) giveUp(ctx context.Context, x *exchange, addr netip.Addr, do func(context.Context, Client, netip.Addr) error) error {
	if !s.leasable(addr) {
		return ErrOtherNetwork
	}
	if err := do(ctx, x.client, addr); err != nil {
		return fmt.Errorf("%v of %v: %w", x.kind, addr, err)
	}
	return errNoReply
}
