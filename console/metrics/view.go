package metrics

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"landbridge/console/api"
	"landbridge/internal/sorting"
)

// appliance tells of the program itself.
func (v view) appliance(s sink) {
	st := v.status
	s.gauge("build_info", "1; the labels say which version runs, and in which mode.", 1, "version", st.Version, "mode", string(st.Mode))
	s.gauge("start_time_seconds", "When the appliance started, in seconds since 1970.", seconds(st.StartedAt))
	s.gauge("resident_memory_bytes", "Resident set size, from the kernel.", float64(st.Memory.ResidentBytes))
	s.gauge("heap_bytes", "Live heap objects.", float64(st.Memory.HeapBytes))
	s.gauge("goroutines", "Goroutines.", float64(st.Memory.Goroutines))
	s.gauge("groups", "Groups that the appliance takes part in.", float64(len(st.Groups)))
	s.gauge("observed_addresses", "UDP addresses from which other members see the appliance's datagrams come.", float64(len(st.Observed)))
	for _, level := range []api.HealthLevel{api.HealthLevelError, api.HealthLevelWarning} {
		n := 0
		for _, h := range st.Health {
			if h.Level == level {
				n++
			}
		}
		s.gauge("health_issues", "Things that are not as they should be, by how bad they are; the status says what they are.", float64(n), "level", string(level))
	}
	servers, gateways := 0, 0
	for _, g := range st.Groups {
		servers += len(g.Attachment.OtherDhcpServers)
		gateways += len(g.Attachment.OtherGateways)
	}
	s.gauge("other_dhcp_servers", "DHCP servers on the LAN besides this appliance.", float64(servers))
	s.gauge("other_gateways", "Stations on the LAN that give themselves out as gateways of the group.", float64(gateways))
}

// groups tells of each group's members and leases.
func (v view) groups(s sink) {
	for _, g := range v.status.Groups {
		of := []string{"group", g.Name, "group_id", shortID(g.ID)}
		s.gauge("group_members", "Members of the group, this appliance included.", float64(g.MembersKnown), of...)
		s.gauge("group_members_connected", "Members that can be reached now, this appliance included.", float64(g.MembersConnected), of...)
		s.gauge("group_leases", "Live leases that this appliance serves.", float64(g.LeasesServed), of...)
		s.gauge("group_descriptor_version", "The version of the group descriptor in use here.", float64(g.DescriptorVersion), of...)
		if !g.CertificateExpires.IsZero() {
			s.gauge("group_certificate_expiry_timestamp_seconds", "When this member's certificate expires, in seconds since 1970.", seconds(g.CertificateExpires), of...)
		}
		if g.Prefix.IsValid() {
			s.gauge("group_prefix_addresses", "Addresses in the group's prefix.", float64(uint64(1)<<(g.Prefix.Addr().BitLen()-g.Prefix.Bits())), of...)
		}
	}
}

// pool tells how much of what is held is in use.
func (v view) pool(s sink) {
	for _, g := range v.status.Groups {
		of := []string{"group", g.Name, "group_id", shortID(g.ID)}
		size, used := 0, 0
		states := map[api.BlockState]int{api.BlockStateHeld: 0, api.BlockStateSpare: 0, api.BlockStateLapsed: 0, api.BlockStateFenced: 0}
		for _, b := range v.blocks {
			if b.Group != g.ID {
				continue
			}
			states[b.State]++
			size, used = size+b.Size, used+b.Used
		}
		for state, n := range states {
			s.gauge("group_blocks", "Blocks of addresses that this appliance holds, by state.", float64(n), append(of[:len(of):len(of)], "state", string(state))...)
		}
		s.gauge("group_pool_addresses", "Addresses that can be leased in the blocks that this appliance holds.", float64(size), of...)
		s.gauge("group_pool_addresses_used", "Of these, those that are leased now.", float64(used), of...)
	}
}

// sessions tells of the paths to members.
func (v view) sessions(s sink) {
	kinds := map[api.PathKind]int{api.PathKindNone: 0, api.PathKindLAN: 0, api.PathKindDirect: 0, api.PathKindTCP: 0, api.PathKindRelay: 0}
	native := 0
	for _, p := range v.peers {
		kinds[p.Path]++
		if p.Native {
			native++
		}
	}
	for kind, n := range kinds {
		s.gauge("paths", "Members by how datagrams to them travel now.", float64(n), "kind", string(kind))
	}
	s.gauge("members_native", "Members on the same LAN, whose hosts are reached past the session.", float64(native))

	peers := slices.Clone(v.peers)
	sorting.By(peers, func(a, b api.Peer) int {
		return cmp.Or(cmp.Compare(groupOf(a), groupOf(b)), cmp.Compare(a.MemberID, b.MemberID))
	})
	omitted := max(0, len(peers)-maxMembers)
	s.gauge("session_series_omitted", "Members that have no series of their own, as there are too many.", float64(omitted))
	for _, p := range peers[:len(peers)-omitted] {
		of := []string{"member", p.Name, "member_id", shortEnd(p.MemberID), "group_id", shortID(groupOf(p))}
		s.gauge("session_up", "Whether there is a session with the member.", truth(p.Session == api.SessionStateEstablished), of...)
		s.gauge("session_relayed", "Whether the session's datagrams travel by a relay.", truth(p.Path == api.PathKindRelay), of...)
		s.counter("session_sent_packets_total", "IP packets sent to the member.", p.TxPackets, of...)
		s.counter("session_sent_bytes_total", "Bytes of these.", p.TxBytes, of...)
		s.counter("session_received_packets_total", "IP packets received from the member.", p.RxPackets, of...)
		s.counter("session_received_bytes_total", "Bytes of these.", p.RxBytes, of...)
		s.counter("session_rekeys_total", "Times that the session's keys were renewed.", p.Rekeys, of...)
		if p.RttMicroseconds > 0 {
			s.gauge("session_round_trip_seconds", "Smoothed round-trip time of the path in use.", float64(p.RttMicroseconds)/1e6, of...)
		}
	}
}

func groupOf(p api.Peer) string {
	if len(p.Groups) == 0 {
		return ""
	}
	return p.Groups[0]
}

// states lists what the API lists among the counters and is none: it can fall.
func states() map[string]bool {
	return map[string]bool{
		"registry removed": true, "registry blocks_held": true, "registry blocks_known": true,
		"socket lacks_udp_gro": true, "socket lacks_udp_segment": true, "socket lacks_ipv6": true,
	}
}

// counted sends a counter of the API under a name of its own.
func (s sink) counted(c api.Counter) {
	name := plain(c.Component) + "_" + plain(c.Name)
	help := "The counter " + c.Name + " of " + c.Component + "; docs/counters.md explains it."
	if states()[c.Component+" "+c.Name] {
		s.gauge(name, help, float64(c.Value))
		return
	}
	s.counter(name+"_total", help, c.Value)
}

// plain makes a part of a metric's name of a text.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(text))
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// shortID is the beginning of a group ID, as people are shown it.
func shortID(id string) string { return id[:min(len(id), 8)] }

// shortEnd is the end of a member ID, where they differ.
func shortEnd(id string) string { return id[max(0, len(id)-8):] }
