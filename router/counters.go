package router

import "sync/atomic"

// Count is one counter for people and programs.
type Count struct {
	Name  string // stable, lower case with underscores
	Help  string // one line
	Value uint64 // since the router was made
}

type counter uint8

// What became of frames and packets. Names and help stand in countNames, in this order.
const (
	outPackets counter = iota
	outBytes
	outFragmented
	outHairpin
	inPackets
	inBytes
	inFragmented
	mssClamped

	arpReplied
	arpResolving
	arpSilent
	arpMisled
	ndpReplied
	ndpSilent
	routerAdverts
	strangers
	dhcpHandled
	dhcpReplied
	dhcpOverheard
	dhcp6Handled
	dhcp6Replied
	dnsHandled
	echoReplied
	beaconsTaken
	outBypass
	outRelief

	ignoredNative
	ignoredMulticast
	ignoredIPv6
	ignoredEtherType
	ignoredLoop
	ignoredOtherGroup

	dropMalformed
	dropChecksum
	dropSpoofed
	dropOutside
	dropAbsent
	dropUnresolved
	dropNoNeighbour
	dropTTL
	dropTooBig
	dropService
	dropQueueFull
	dropBusy
	dropNotHere
	dropMemberSource
	dropMemberMulticast
	dropClosed

	waited
	resolves
	icmpSent
	icmpSuppressed
	dhcpFailed
	dhcpSuperseded
	deviceErrors

	numCounters
)

func countNames() [numCounters][2]string {
	return [numCounters][2]string{
		outPackets:    {"out_packets", "packets forwarded from the segment to members, as they are on the wire: each segment is one"},
		outBytes:      {"out_bytes", "bytes of these IP packets"},
		outFragmented: {"out_fragmented", "packets from the segment that were fragmented for the tunnel"},
		outHairpin:    {"out_hairpin", "packets sent back to the segment, because their destination is on it"},
		inPackets:     {"in_packets", "packets delivered from members to the segment, as they are on the wire: each segment is one"},
		inBytes:       {"in_bytes", "bytes of these IP packets"},
		inFragmented:  {"in_fragmented", "packets from members that were fragmented for the segment"},
		mssClamped:    {"mss_clamped", "TCP SYNs whose MSS was lowered"},

		arpReplied:    {"arp_replied", "ARP requests answered with the gateway MAC"},
		arpResolving:  {"arp_resolving", "ARP requests that had to ask the registry"},
		arpSilent:     {"arp_silent", "ARP packets that needed no answer of ours"},
		arpMisled:     {"arp_misled", "hosts told by ARP where another one is, as they sent to a station that no longer has it"},
		ndpReplied:    {"ndp_replied", "neighbour solicitations answered with the gateway MAC"},
		ndpSilent:     {"ndp_silent", "messages of neighbour discovery that needed no answer of ours"},
		routerAdverts: {"router_advertisements", "router advertisements sent to hosts"},
		strangers:     {"strangers", "sightings of hosts that use an address which isn't leased here: moved here, or leased nothing"},
		dhcpHandled:   {"dhcp_handled", "DHCP messages taken from hosts"},
		dhcpReplied:   {"dhcp_replied", "DHCP messages sent to hosts"},
		dhcpOverheard: {"dhcp_overheard", "DHCP messages of other servers to hosts of the segment"},
		dhcp6Handled:  {"dhcp6_handled", "DHCPv6 messages taken from hosts"},
		dhcp6Replied:  {"dhcp6_replied", "DHCPv6 messages sent to hosts"},
		dnsHandled:    {"dns_handled", "DNS queries taken from hosts"},
		echoReplied:   {"echo_replied", "pings of the service address answered"},
		beaconsTaken:  {"beacons_taken", "beacons of members on this segment, and of ourselves where it has a loop"},
		outRelief:     {"out_relief", "packets handed to another router of the segment, as this one reaches no member"},
		outBypass:     {"out_bypass", "packets forwarded to members on this segment while the bypass is being opened"},

		ignoredNative:     {"ignored_native", "frames between other stations of the segment"},
		ignoredMulticast:  {"ignored_multicast", "multicast and broadcast, which never cross"},
		ignoredIPv6:       {"ignored_ipv6", "IPv6 that is none of the group's: it has no IPv6 prefix, or the packet concerns its segment alone"},
		ignoredEtherType:  {"ignored_ethertype", "frames of other protocols (spanning tree, LLDP, VLAN tags)"},
		ignoredLoop:       {"ignored_loop", "frames that came back with our own MAC, or a group MAC, as their source"},
		ignoredOtherGroup: {"ignored_other_group", "frames from hosts on the LAN that are of another group, or of none"},

		dropMalformed:       {"drop_malformed", "frames and packets with lying or short lengths"},
		dropChecksum:        {"drop_checksum", "IPv4 headers with a wrong checksum"},
		dropSpoofed:         {"drop_spoofed", "frames whose source address isn't leased to a host of this segment"},
		dropOutside:         {"drop_outside", "packets to addresses outside the group's prefix"},
		dropAbsent:          {"drop_absent", "packets to addresses that nobody holds"},
		dropUnresolved:      {"drop_unresolved", "packets to addresses of which the registry could say nothing in time"},
		dropNoNeighbour:     {"drop_no_neighbour", "packets to hosts of this segment that don't answer ARP"},
		dropTTL:             {"drop_ttl", "packets whose time to live ran out"},
		dropTooBig:          {"drop_too_big", "packets larger than the MTU that must not be fragmented"},
		dropService:         {"drop_service", "packets to a service address's port where nothing listens"},
		dropQueueFull:       {"drop_queue_full", "packets beyond what may wait for an address to be resolved"},
		dropBusy:            {"drop_busy", "requests beyond what is handled at a time"},
		dropNotHere:         {"drop_not_here", "packets from members to addresses that are not on this segment"},
		dropMemberSource:    {"drop_member_source", "packets from members whose source isn't leased to that member, or that would look to hosts as if sent on their own link"},
		dropMemberMulticast: {"drop_member_multicast", "packets from members to multicast, broadcast or the service address"},
		dropClosed:          {"drop_closed", "packets that came while the router stopped"},
		waited:              {"waited", "packets that waited for an address to be resolved"},
		resolves:            {"resolves", "questions asked of the registry or, by ARP, of the segment"},
		icmpSent:            {"icmp_sent", "ICMP errors sent"},
		icmpSuppressed:      {"icmp_suppressed", "ICMP errors not sent, by rate limit or because RFC 1812 forbids them"},
		dhcpFailed:          {"dhcp_failed", "DHCP messages that ended in an error of ours"},
		dhcpSuperseded:      {"dhcp_superseded", "DHCP messages replaced by a later one of the same client while they waited"},
		deviceErrors:        {"device_errors", "batches of frames that the device refused, wholly or in part"},
	}
}

type counters [numCounters]atomic.Uint64

func (c *counters) add(which counter, n int) { c[which].Add(uint64(n)) }

// Counters returns all counters, in a fixed order.
func (r *Router) Counters() []Count {
	out := make([]Count, numCounters)
	for i, name := range countNames() {
		out[i] = Count{Name: name[0], Help: name[1], Value: r.counters[i].Load()}
	}
	return out
}
