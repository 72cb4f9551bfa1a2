package appliance

import (
	"fmt"
	"time"

	"landbridge/console/api"
	"landbridge/dhcp"
	"landbridge/internal/health"
	"landbridge/router"
)

// describe tells the API what the segment has besides the appliance and its hosts.
func (s *segment) describe(a *api.Attachment, now time.Time) {
	for _, o := range s.others.Servers(now) {
		item := api.OtherDhcpServer{Address: o.Addr, Since: utc(o.First), LastSeen: utc(o.Last)}
		if !o.MAC.IsZero() {
			item.MAC = o.MAC.String()
		}
		if o.Offers.IsValid() {
			item.Offers = o.Offers.Masked()
		}
		a.OtherDhcpServers = append(a.OtherDhcpServers, item)
	}
	for _, g := range s.rivals.list(now) {
		a.OtherGateways = append(a.OtherGateways, api.OtherGateway{
			MAC: g.mac.String(), Address: g.addr, Sign: signOf(g.sign), Since: utc(g.first), LastSeen: utc(g.last),
		})
	}
}

func signOf(s router.GatewaySign) api.GatewaySign {
	switch s {
	case router.SignAdvertisement:
		return api.GatewaySignRouterAdvertisement
	case router.SignRedirect:
		return api.GatewaySignRedirect
	case router.SignProxy:
		return api.GatewaySignProxyArp
	default:
		return api.GatewaySignServiceAddress
	}
}

// wrong says in words what of the segment isn't as it should be.
func (s *segment) wrong(now time.Time) (all []health.Trouble) {
	d := s.group.Descriptor()
	if s.rule().Serve == dhcp.ServeRegistered && !s.roll.serves(s.group.Group()) && !s.hasNamed {
		all = append(all, health.Trouble{Component: "dhcp", Key: "nobody registered", Finding: health.Finding{
			Text:   fmt.Sprintf("No host of this LAN (port %s) gets an address: registered hosts alone are served, and none is.", s.port),
			Remedy: "Register them (landbridge hosts add MAC, or dhcp-host in the configuration), or have others served (landbridge segments set).",
		}})
	}
	for _, o := range s.others.Servers(now) {
		if f := s.aboutServer(o, d.Name, o.Offers.IsValid() && o.Offers.Overlaps(d.Prefix)); f != (health.Finding{}) {
			all = append(all, health.Trouble{Component: "dhcp", Key: "other server " + o.Addr.String(), Finding: f})
		}
	}
	for _, g := range s.rivals.list(now) {
		all = append(all, s.aboutGateway(g))
	}
	return append(all, s.strangers.Troubles(now)...)
}

// aboutServer says what another DHCP server does to the hosts here; nothing where it does
// no harm.
func (s *segment) aboutServer(o dhcp.OtherServer, group string, overlaps bool) health.Finding {
	who := fmt.Sprintf("Another DHCP server is on this LAN (port %s): %v", s.port, o.Addr)
	if o.MAC.IsZero() {
		who = fmt.Sprintf("A host of this LAN (port %s) names another DHCP server, %v, which itself wasn't heard", s.port, o.Addr)
	} else {
		who += fmt.Sprintf(" at %v", o.MAC)
	}
	if o.Offers.IsValid() {
		who += fmt.Sprintf(", which offers addresses of %v", o.Offers.Masked())
	}
	switch {
	case overlaps:
		return health.Finding{
			Text:   who + fmt.Sprintf(". These are addresses of the group %s, so two hosts can get the same one.", group),
			Remedy: "Turn that server off, or have it offer others.",
		}
	case s.rule().Serve == dhcp.ServeOpen:
		return health.Finding{
			Text: who + fmt.Sprintf(". Hosts that it answers get no address of the group %s, and a new one gets it only after asking in vain for some seconds.", group),
			Remedy: "If all hosts of this LAN belong to the group, turn that server off. If it is the site's own, say which hosts are the group's (landbridge segments set, or dhcp: registered with a dhcp-host for each, or dhcp: vendor-class), " +
				"or use other ports (dhcp-ports).",
		}
	case o.Contested:
		return health.Finding{
			Text:   who + ". It also answers hosts that this appliance serves, and they may take its address instead.",
			Remedy: "Have it ignore them (dnsmasq: dhcp-host=MAC,ignore).",
		}
	}
	return health.Finding{}
}

// tell brings the appliance's health from what was told of the segment to what is to be
// told now, and notes that.
func (s *segment) tell(told map[string]health.Trouble, all []health.Trouble) {
	lasting := make(map[string]bool)
	for _, t := range all {
		lasting[t.Key] = true
		was, known := told[t.Key]
		if was != t {
			told[t.Key] = t
			s.health.Report(t, time.Now())
		}
		if !known { // and not again with other words, which somebody on the LAN could cause without end
			s.log.Warn("something on the LAN isn't as it should be", "port", s.port, "why", t.String())
		}
	}
	for key, t := range told {
		if !lasting[key] {
			delete(told, key)
			s.health.Clear(t.Component, key)
		}
	}
}
