package dhcp

import (
	"errors"
	"sync/atomic"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// counts says what became of messages: what was answered, and why what wasn't.
type counts struct {
	offers, acks, naks                                                                              atomic.Uint64
	notRegistered, denied, otherClass, servedElsewhere, yielded, otherRouter, otherGroup, ourProbes atomic.Uint64
	otherServer, malformed, hardware, relayed, otherNetwork, busy                                   atomic.Uint64
	conflicts, failed                                                                               atomic.Uint64
}

// note counts how one message ended.
func (c *counts) note(reply Reply, err error) {
	if err != nil {
		c.reason(err).Add(1)
		return
	}
	switch reply.kind {
	case dhcpv4.MessageTypeOffer:
		c.offers.Add(1)
	case dhcpv4.MessageTypeAck:
		c.acks.Add(1)
	case dhcpv4.MessageTypeNak:
		c.naks.Add(1)
	}
}

// reason returns the counter of an error of this package.
func (c *counts) reason(err error) *atomic.Uint64 {
	for _, r := range []struct {
		err     error
		counter *atomic.Uint64
	}{
		{ErrNotRegistered, &c.notRegistered}, {ErrDenied, &c.denied}, {ErrVendorClass, &c.otherClass},
		{ErrServedElsewhere, &c.servedElsewhere}, {ErrYielded, &c.yielded}, {ErrOtherRouter, &c.otherRouter}, {ErrOtherGroup, &c.otherGroup}, {ErrOurProbe, &c.ourProbes},
		{ErrOtherServer, &c.otherServer}, {ErrMalformed, &c.malformed}, {ErrHardware, &c.hardware},
		{ErrRelayed, &c.relayed}, {ErrOtherNetwork, &c.otherNetwork}, {ErrBusy, &c.busy}, {ErrConflict, &c.conflicts},
	} {
		if errors.Is(err, r.err) {
			return r.counter
		}
	}
	return &c.failed
}

// Counters returns what became of the messages handled since the server was made, by
// stable names in snake_case. What starts with silent_ got no answer by the Policy.
func (s *Server) Counters() map[string]uint64 {
	c := &s.counts
	return map[string]uint64{
		"offers": c.offers.Load(), "acks": c.acks.Load(), "naks": c.naks.Load(),
		"silent_not_registered": c.notRegistered.Load(), "silent_denied": c.denied.Load(), "silent_other_vendor_class": c.otherClass.Load(),
		"silent_served_elsewhere": c.servedElsewhere.Load(), "silent_yielded": c.yielded.Load(), "silent_other_router": c.otherRouter.Load(), "silent_other_group": c.otherGroup.Load(), "silent_our_probe": c.ourProbes.Load(),
		"other_server": c.otherServer.Load(), "malformed": c.malformed.Load(), "hardware": c.hardware.Load(),
		"relayed": c.relayed.Load(), "other_network": c.otherNetwork.Load(), "busy": c.busy.Load(),
		"conflicts": c.conflicts.Load(), "failed": c.failed.Load(),
	}
}
