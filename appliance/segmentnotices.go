package appliance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"landbridge/console/api"
	"landbridge/dhcp"
	"landbridge/internal/config"
	"landbridge/internal/division"
	"landbridge/internal/modes"
	"landbridge/internal/registry"
)

// What hosts notice of a change of a segment's rules, in words.

// namedMost is how many hosts a sentence names.
const namedMost = 8

// namedHosts writes a list of which only the first are told.
func namedHosts(all []string) string {
	if len(all) <= namedMost {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:namedMost], ", "), len(all)-namedMost)
}

// countedHosts writes a number of hosts, as the subject of a sentence.
func countedHosts(n int, one, many string) string {
	if n == 1 {
		return "One host " + one
	}
	return fmt.Sprintf("%d hosts %s", n, many)
}

// atMost writes how long something may still take.
func atMost(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if d > 2*unit.size {
			return fmt.Sprintf("%d %s", (d+unit.size-1)/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d seconds", max(d+time.Second-1, 0)/time.Second)
}

// tenants are hosts that have leases: as people know them, and when the last of the leases ends.
type tenants struct {
	names  []string
	end    time.Time // of the last lease
	notice time.Time // when the last of them asks to renew
}

// tenants returns the hosts of the group here that which names.
func (n *network) tenants(which func(registry.Lease) bool) (t tenants) {
	for l := range n.registry.Leases() {
		if !n.node.isHosts(l) || !which(l) {
			continue
		}
		t.names = append(t.names, strings.TrimSpace(l.Name+" "+l.Addr.String()))
		if l.End.After(t.end) {
			t.end = l.End
		}
		if at := n.registry.Notice(l); at.After(t.notice) {
			t.notice = at
		}
	}
	slices.Sort(t.names)
	return t
}

// ruleNotices tells what hosts notice where DHCP serves others from now on.
func (n *network) ruleNotices(s *segment, is config.DHCP) (all []string) {
	if s.onlyListed() {
		all = append(all, "The group's settings have allowed and registered hosts alone served, which goes before this.")
	}
	have := n.tenants(func(l registry.Lease) bool { return !s.registered(l.MAC) })
	ends := fmt.Sprintf("within %s, and aren't renewed before: %s.", atMost(time.Until(have.end)), namedHosts(have.names))
	switch {
	case is.Serve == dhcp.ServeOpen:
		all = append(all, "Every host of this LAN that asks gets an address"+s.but()+".")
	case len(have.names) == 0:
		all = append(all, "Every host that has an address here is registered, and keeps it.")
	case is.Serve == dhcp.ServeRegistered:
		all = append(all, countedHosts(len(have.names), "isn't registered and loses its address", "aren't registered and lose their addresses")+" when the lease ends, "+ends)
	default:
		all = append(all, countedHosts(len(have.names), "isn't registered; if its vendor class is another one, it loses its address", "aren't registered; those whose vendor class is another one lose their addresses")+" when the lease ends, "+ends)
	}
	if vain := s.inVain(); is.Serve != dhcp.ServeRegistered && len(vain) > 0 {
		if is.Serve == dhcp.ServeOpen {
			all = append(all, countedHosts(len(vain), "that asked in vain gets an address as it asks again", "that asked in vain get addresses as they ask again")+": "+namedHosts(vain)+".")
		} else {
			all = append(all, countedHosts(len(vain), "that asked in vain gets an address as it asks again, if its vendor class is a right one", "that asked in vain get addresses as they ask again, if their vendor class is a right one")+": "+namedHosts(vain)+".")
		}
	}
	return all
}

// but names whom an open rule leaves alone.
func (s *segment) but() string {
	var others []string
	for _, o := range s.others.Servers(time.Now()) {
		others = append(others, o.Addr.String())
	}
	if len(others) == 0 {
		return ""
	}
	return ", but those that another DHCP server answers: " + strings.Join(others, ", ") + " is on this LAN"
}

// inVain names hosts that asked of late and that the rule keeps from an address.
func (s *segment) inVain() (all []string) {
	for _, h := range s.asking.list(time.Now()) {
		if h.Why != api.SeenHostWhyNoGroup {
			all = append(all, h.MAC)
		}
	}
	slices.Sort(all)
	return all
}

// portNotice tells what hosts notice where DHCP has other ports from now on.
func (n *network) portNotice(p dhcp.Ports) string {
	how := "as every DHCP client does"
	if p != dhcp.StandardPorts() {
		how = fmt.Sprintf("from port %d to port %d (dhclient -p %d), of which they have to be told", p.Client, p.Server, p.Client)
	}
	text := fmt.Sprintf("Hosts have to ask %s; nobody else is answered.", how)
	if have := n.tenants(func(registry.Lease) bool { return true }); len(have.names) > 0 {
		text += fmt.Sprintf(" %s when the lease ends, within %s: %s.", countedHosts(len(have.names), "has an address, and goes on asking at the former port until it is told: else it loses it", "have addresses, and go on asking at the former port until they are told: else they lose them"),
			atMost(time.Until(have.end)), namedHosts(have.names))
	}
	return text
}

// moveNotice tells which hosts are of another group, or of none, once the LAN is divided so.
func (n *node) moveNotice(next *division.Division, port string) string {
	var moved tenants
	for _, nw := range n.running() {
		a := nw.attachment.Load()
		if a == nil || a.setup.Mode != modes.Router || a.setup.LANPort != port {
			continue
		}
		t := nw.tenants(func(l registry.Lease) bool { return next != nil && next.Of(l.MAC, port) != nw.id && a.takes(l.MAC) })
		moved.names = append(moved.names, t.names...)
		if t.notice.After(moved.notice) {
			moved.notice = t.notice
		}
	}
	if len(moved.names) == 0 {
		return "No host that has an address is touched."
	}
	return fmt.Sprintf("%s: %s. What they have leased ends; they reach nobody until they ask to renew it, within %s, and are refused. Restarting a host's network has it ask at once.",
		countedHosts(len(moved.names), "that nobody named is of another group", "that nobody named are of another group"), namedHosts(moved.names), atMost(time.Until(moved.notice)))
}
