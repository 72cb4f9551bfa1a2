package appliance

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"landbridge/dhcp"
	"landbridge/internal/group"
	"landbridge/internal/health"
)

// What this appliance makes of the group's settings. The registry reads them by itself, as it leases.

// takeSettings takes the settings that a member has sent with its hello.
func (n *network) takeSettings(from group.MemberID, signed []byte) {
	if len(signed) == 0 {
		return
	}
	_, err := n.membership.UpdateSettings(signed)
	switch {
	case err == nil:
		n.health().Clear("group", "settings")
	case errors.Is(err, group.ErrNewerSettings):
		n.health().Report(health.Trouble{Level: health.Warning, Component: "group", Key: "settings", Finding: health.Finding{
			Text:   fmt.Sprintf("The settings of the group %s were changed by a newer program than this appliance runs, which goes on with what it had.", n.membership.Descriptor().Name),
			Remedy: "Update this appliance.",
		}}, time.Now())
	default:
		n.log.Debug("settings refused", "peer", from, "err", err)
	}
}

// leaseTime is how long leases of the group are.
func (n *network) leaseTime() time.Duration {
	return n.membership.Settings().Lease(n.membership.Descriptor().Params)
}

// takeUpSettings has hosts served and told what the settings and the segment's rules say from now on. It is called when they have changed, and
// for a new attachment: of two at once, the later must not tell what the earlier has read.
func (n *network) takeUpSettings() {
	n.takingUp.Lock()
	defer n.takingUp.Unlock()
	a := n.attachment.Load()
	if a == nil {
		return
	}
	if a.segment != nil {
		rule := n.dhcp()
		a.segment.dhcp.SetOptions(n.hostOptions())
		a.segment.dhcp.SetRule(ruleOf(rule))
		a.router.SetDHCPPorts(rule.Ports)
	}
	n.takeUpIPv6(a)
}

// hostOptions is what hosts are told.
func (n *network) hostOptions() dhcp.Options {
	d, s := n.membership.Descriptor(), n.membership.Settings()
	o := dhcp.Options{LeaseTime: s.Lease(d.Params), Domain: d.Zone, Search: []string{d.Zone}, Near: n.isNear}
	o.Renew, o.Rebind = s.RenewAfter(o.LeaseTime)
	if s == nil {
		return o
	}
	if s.Domain != "" {
		o.Domain = s.Domain
	}
	if len(s.Search) > 0 {
		o.Search = s.Search
	}
	o.DNS, o.NTP = s.DNS, s.NTP
	for _, r := range s.Routes {
		o.Routes = append(o.Routes, dhcp.Route{To: r.To, Via: r.Via})
	}
	return o
}

// isNear reports whether a host of the group is on the segment that is attached here.
func (n *network) isNear(addr netip.Addr) bool {
	route, _ := (directory{registry: n.registry, near: n.attachment.Load().near}).Lookup(addr)
	return route.Local || route.Native
}
