package dhcp

import (
	"context"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"
)

// Flags of option 81 (RFC 4702 section 2.1).
const (
	fqdnServer   = 0x01 // S: the server keeps the name's A record
	fqdnOverride = 0x02 // O: against what the client wanted of S
	fqdnWire     = 0x04 // E: the name is in DNS wire format
	fqdnNone     = 0x08 // N: the server keeps no record of it
	fqdnHeader   = 3    // flags and two codes, which count no more
)

// fullName tells a client that says its name by option 81 which one it has, and who keeps its records: the group
// does, both A and PTR, whatever the client wanted (RFC 4702 section 4). One whose name can't be
// taken is told that nobody does.
func (s *Server) fullName(_ context.Context, x *exchange) error {
	sent := x.req.Options.Get(dhcpv4.OptionFQDN)
	if x.answer != dhcpv4.MessageTypeAck || x.lifetime == 0 || len(sent) < fqdnHeader || s.config.Zone == "" {
		return nil
	}
	flags := sent[0] & fqdnWire
	value := []byte{0, 255, 255}
	if x.name == "" {
		flags |= fqdnNone
		if sent[0]&fqdnServer != 0 {
			flags |= fqdnOverride
		}
		value = append(value, sent[fqdnHeader:]...)
	} else {
		flags |= fqdnServer
		if sent[0]&fqdnServer == 0 {
			flags |= fqdnOverride
		}
		full := x.name + "." + s.config.Zone
		if flags&fqdnWire != 0 {
			full = string((&rfc1035label.Labels{Labels: []string{full}}).ToBytes())
		}
		value = append(value, full...)
	}
	value[0] = flags
	x.options = append(x.options, option{dhcpv4.OptionFQDN, value}) // behind all: the first that is left out where there is no room
	return nil
}
