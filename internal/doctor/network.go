package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"landbridge/console/api"
)

// What the doctor says of the network; see doctor.go.

// reach says where the appliance is reached.
func (x *examination) reach() {
	st := x.status
	if len(st.Listen) == 0 {
		x.bad(api.CheckStateFailed, "listen", "Ports", "Name a port that is free (listen in the configuration), and restart the appliance.", "The appliance listens nowhere.")
	} else {
		x.ok("listen", "Ports", "It listens at %s.", strings.Join(st.Listen, " and "))
	}
	if x.counters["socket lacks_ipv6"] > 0 {
		x.ok("ipv6", "IPv6", "This host has none: members are reached by IPv4 alone.")
	}
	const mapping, title = "port-mapping", "Port mapping"
	switch {
	case x.MapFault != "":
		x.bad(api.CheckStateWarning, mapping, title, "Look at the router's settings and software; port-mapping: false has it left alone.", "Asked to map ports, %s. It isn't believed.", x.MapFault)
	case x.Mapped.IsValid():
		x.ok(mapping, title, "The router before this host passes on what comes to %v.", x.Mapped)
	}
	seen := make([]string, len(st.Observed))
	for i, o := range st.Observed {
		seen[i] = o.String()
	}
	text := x.NAT.words()
	if len(seen) > 0 {
		text += " It is seen as " + strings.Join(seen, ", ") + "."
	}
	if x.NAT == NATSymmetric {
		x.bad(api.CheckStateWarning, "nat", "NAT",
			fmt.Sprintf("Set the NAT to keep the port (static port, full cone, or endpoint-independent mapping), or forward port %d, UDP and TCP, to this host and say so (announce: HOST:PORT).", x.Port), "%s", text)
		return
	}
	x.ok("nat", "NAT", "%s", text)
}

// paths says how each member is reached, and what would help.
func (x *examination) paths() {
	kinds := make(map[api.PathKind]int)
	bad, away := 0, 0
	for _, p := range x.peers {
		kinds[p.Path]++
		idle := p.Session == api.SessionStateNone && p.Connected
		if idle || p.Native || p.Path == api.PathKindLAN || p.Path == api.PathKindDirect && p.Why == "" {
			continue
		}
		if !p.Connected && p.Session == api.SessionStateNone {
			away++
		}
		if bad++; bad > maxBadPaths {
			continue
		}
		x.bad(api.CheckStateWarning, "path", "Path to "+p.Name, adviceFor(p, x.NAT, x.Port), "%s", pathText(p))
	}
	if bad > maxBadPaths {
		x.bad(api.CheckStateWarning, "path", "Paths", "See landbridge peers, which lists them.", "%d more members are reached by a relay, or not at all.", bad-maxBadPaths)
	}
	if len(x.peers) > 0 && bad == 0 {
		x.ok("path", "Paths to members", "%s: %d on a LAN with this host, %d directly, %d without a session as nothing was sent.",
			plural(len(x.peers), "member"), kinds[api.PathKindLAN], kinds[api.PathKindDirect], kinds[api.PathKindNone])
	}
}

// pathText says how a member is reached.
func pathText(p api.Peer) string {
	text := fmt.Sprintf("%s can't be reached", p.Name)
	switch {
	case p.Path == api.PathKindRelay:
		text = fmt.Sprintf("%s is reached by the relay %s", p.Name, p.ViaName)
	case p.Path == api.PathKindDirect:
		text = fmt.Sprintf("%s is reached directly at %s", p.Name, addrPortText(p.Address))
	case p.Path == api.PathKindTCP:
		text = fmt.Sprintf("%s is reached over TCP at %s, as UDP doesn't pass", p.Name, addrPortText(p.Address))
	case p.Session == api.SessionStateConnecting:
		text = fmt.Sprintf("a session with %s is being made", p.Name)
	}
	if p.RttMicroseconds > 0 {
		text += fmt.Sprintf(", in %v", time.Duration(p.RttMicroseconds)*time.Microsecond)
	}
	if p.Why != "" {
		text += ": " + p.Why
	}
	return text + "."
}

func (x *examination) mtu() {
	const name, title = "mtu", "MTU"
	switch fragmented := x.counters["tunnel path_fragmented"]; {
	case len(x.Narrow) > 0:
		x.bad(api.CheckStateWarning, name, title, "Have the link tell (let ICMP \"fragmentation needed\" pass), or create the group with a smaller MTU.",
			"Only small datagrams pass directly to %s: a link on the way has a smaller MTU and doesn't tell.", strings.Join(x.Narrow, ", "))
	case fragmented > 0:
		x.bad(api.CheckStateWarning, name, title, "A smaller MTU for the group would be quicker; landbridge peers says which fits.", "Full-size datagrams were fragmented on their way, on %s.", plural(int(fragmented), "path"))
	default:
		x.ok(name, title, "Full-size datagrams pass on every path in use.")
	}
}

// lan says what is on the LAN of router mode.
func (x *examination) lan() {
	for _, g := range x.status.Groups {
		a := g.Attachment
		if x.status.Mode == api.ModeInterface || a.LanPort == "" {
			continue
		}
		if !x.ails("lan") {
			x.ok("lan-port", "LAN port", "%s carries the LAN of %s.", a.LanPort, g.Name)
		}
		if x.status.Mode != api.ModeRouter || x.ails("dhcp") {
			continue
		}
		if n := len(a.OtherDhcpServers); n > 0 {
			x.ok("foreign-dhcp", "Other DHCP servers", "%s on the LAN of %s, as its site wants it: hosts that it serves are left alone.", plural(n, "other server"), g.Name)
			continue
		}
		x.ok("foreign-dhcp", "Other DHCP servers", "None was noticed on the LAN of %s.", g.Name)
	}
}

// groups looks at certificates and addresses.
func (x *examination) groups() {
	if len(x.status.Groups) == 0 {
		x.bad(api.CheckStateWarning, "group", "Groups", "Create one (landbridge group create), or join one (landbridge join TOKEN).", "This appliance is in no group, and serves nobody.")
	}
	for _, g := range x.status.Groups {
		x.certificate(g)
		x.pool(g)
	}
}

func (x *examination) certificate(g api.GroupStatus) {
	name, title := "certificate", "Certificate of "+g.Name
	left := g.CertificateExpires.Sub(x.now)
	days := int(left / (24 * time.Hour))
	const remedy = "Let the appliance that keeps the group's CA key run and be reached: certificates are renewed by it."
	switch {
	case g.CertificateExpires.IsZero():
	case left <= 0:
		x.bad(api.CheckStateFailed, name, title, remedy, "It has expired: the other members refuse this one.")
	case left < certificateSoon:
		x.bad(api.CheckStateWarning, name, title, remedy, "It expires in %s, and should have been renewed by now.", plural(days, "day"))
	default:
		x.ok(name, title, "It expires in %s, and is renewed before.", plural(days, "day"))
	}
}

func (x *examination) pool(g api.GroupStatus) {
	size, used := 0, 0
	for _, b := range x.blocks {
		if b.Group == g.ID {
			size, used = size+b.Size, used+b.Used
		}
	}
	name, title := "pool", "Addresses of "+g.Name
	all := prefixSize(g.Prefix)
	switch {
	case size == 0 && x.status.Mode == api.ModeRouter && !x.ails("registry"):
		x.bad(api.CheckStateWarning, name, title, "Wait a moment; then see whether the other members can be reached (landbridge peers).", "No block is held here yet: hosts get no address.")
	case used*100 >= poolFull*all && all > 0:
		x.bad(api.CheckStateWarning, name, title, "Create the group anew with a larger prefix before it is full.", "%d of the prefix's %d addresses are leased here.", used, all)
	default:
		x.ok(name, title, "%d of %d in the blocks held here are leased; the prefix has %d.", used, size, all)
	}
}

// prefixSize is the number of addresses that hosts can have, but for the service address.
func prefixSize(p netip.Prefix) int {
	if !p.IsValid() || !p.Addr().Is4() {
		return 0
	}
	return max(0, 1<<(32-p.Bits())-3)
}
