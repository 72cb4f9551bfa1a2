package appliance

import (
	"context"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"

	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/overlay"
	"landbridge/internal/tunnel"
)

// The node is the console's Appliance. What the groups decide stands in groups.go.

// Status tells how the appliance is.
func (n *node) Status(context.Context) (api.Status, error) {
	s := api.Status{
		MemberID: n.state.self().String(), Name: n.name(), Version: n.cfg.Version, Mode: api.Mode(n.setup().Mode),
		StartedAt: n.started.UTC(), UptimeSeconds: int64(time.Since(n.started) / time.Second),
		Listen:    []string{"udp " + n.socket.LocalAddr().String(), "tcp " + n.cfg.TCPListen().String()},
		Addresses: nonNil(n.overlay.Addrs()), Observed: nonNil(n.overlay.Observed()),
		Groups: []api.GroupStatus{}, Memory: memory(), Health: n.healthItems(),
	}
	connected := n.connected()
	for _, nw := range n.running() {
		s.Groups = append(s.Groups, nw.status(connected))
	}
	if len(s.Groups) > 0 {
		s.Attachment = s.Groups[0].Attachment
	}
	return s, nil
}

// connected returns the peers of the overlay by member.
func (n *node) connected() map[group.MemberID]overlay.PeerInfo {
	peers := make(map[group.MemberID]overlay.PeerInfo)
	for _, p := range n.overlay.Peers() {
		peers[p.Member] = p
	}
	return peers
}

func (n *network) status(peers map[group.MemberID]overlay.PeerInfo) api.GroupStatus {
	d := n.membership.Descriptor()
	s := api.GroupStatus{
		ID: d.Group.String(), Name: d.Name, Prefix: d.Prefix, ServiceAddress: d.ServiceAddr(), Zone: d.Zone,
		DescriptorVersion: d.Version, Authority: n.authority != nil, CertificateExpires: n.membership.Expires().UTC(),
		Attachment: n.attached(),
	}
	for _, m := range d.Current() {
		s.MembersKnown++
		if m == n.membership.Self() || peers[m].Connected {
			s.MembersConnected++
		}
	}
	for range n.registry.Leases() {
		s.LeasesServed++
	}
	for _, b := range n.registry.Blocks() {
		s.BlocksHeld++
		if b.Leased == 0 {
			s.BlocksSpare++
		}
	}
	return s
}

func (n *network) attached() api.Attachment {
	now := n.attachment.Load()
	if now == nil {
		return api.Attachment{} // it is being replaced
	}
	a := api.Attachment{
		Tap: now.tap.Name(), GatewayMAC: gatewayMAC(n.id, n.membership.Self()).String(),
		MTU: n.membership.Descriptor().MTU,
	}
	if own := now.address.Load(); own != nil {
		a.Address = own.Addr()
	}
	a.LanPort = now.setup.LANPort
	if now.bridge != nil {
		a.Bridge = now.bridge.Name()
	}
	if now.segment != nil {
		now.segment.describe(&a, time.Now())
	}
	return a
}

// memory tells what the program takes, without stopping it as runtime.ReadMemStats does: who
// asks every millisecond is not to be felt by packets.
func memory() api.Memory {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	return api.Memory{ResidentBytes: residentBytes(), HeapBytes: heap[0].Value.Uint64(), Goroutines: runtime.NumGoroutine()}
}

// Peers lists the other members and the paths to them.
func (n *node) Peers(context.Context) ([]api.Peer, error) {
	connected := n.connected()
	all := []api.Peer{}
	for _, nw := range n.running() {
		sessions := make(map[group.MemberID]tunnel.PeerStatus)
		for _, s := range nw.tunnel.Peers() {
			sessions[s.Member] = s
		}
		for _, m := range nw.membership.Descriptor().Current() {
			if m == nw.membership.Self() {
				continue
			}
			all = append(all, nw.describePeer(m, sessions[m], connected[m]))
		}
	}
	return all, nil
}

// describePeer tells of another member.
func (n *network) describePeer(m group.MemberID, s tunnel.PeerStatus, link overlay.PeerInfo) api.Peer {
	p := n.peer(s)
	p.MemberID, p.Name, p.Connected = m.String(), n.memberName(m), link.Connected
	p.Groups = []string{n.id.String()}
	p.Native = n.attachment.Load().near(m)
	if away := link.Unreachable; away != nil && p.Session == api.SessionStateNone {
		p.Why = away.Error() // and not how a session ended long ago
	}
	return p
}

// peer tells of a session; the zero PeerStatus is none.
func (n *network) peer(s tunnel.PeerStatus) api.Peer {
	p := api.Peer{
		Session: api.SessionStateNone, Path: pathKind(s.Path), Address: s.Addr, Why: s.Why,
		RttMicroseconds: s.RTT.Microseconds(), Since: utc(s.Since), LastReceived: utc(s.LastReceived),
		TxPackets: s.Sent.Packets, TxBytes: s.Sent.Bytes, RxPackets: s.Received.Packets, RxBytes: s.Received.Bytes,
		Rekeys: s.Rekeys,
	}
	if s.Cipher != 0 {
		p.Cipher = s.Cipher.String()
	}
	switch s.State {
	case tunnel.StateConnecting:
		p.Session = api.SessionStateConnecting
	case tunnel.StateConnected:
		p.Session = api.SessionStateEstablished
	}
	if !s.Via.IsZero() {
		p.Via, p.ViaName = s.Via.String(), n.memberName(s.Via)
	}
	return p
}

func pathKind(k tunnel.PathKind) api.PathKind {
	switch k {
	case tunnel.PathLAN:
		return api.PathKindLAN
	case tunnel.PathDirect:
		return api.PathKindDirect
	case tunnel.PathTCP:
		return api.PathKindTCP
	case tunnel.PathRelay:
		return api.PathKindRelay
	default:
		return api.PathKindNone
	}
}

func (n *network) memberName(m group.MemberID) string {
	e, _ := n.membership.Descriptor().Entry(m)
	return e.Name
}

// Blocks lists the blocks that are held here.
func (n *node) Blocks(context.Context) ([]api.Block, error) {
	all := []api.Block{}
	for _, nw := range n.running() {
		d := nw.membership.Descriptor()
		for _, b := range nw.registry.Blocks() {
			state := api.BlockStateHeld
			switch {
			case !b.Valid:
				state = api.BlockStateLapsed
			case b.Leased == 0:
				state = api.BlockStateSpare
			}
			all = append(all, api.Block{
				Group: nw.id.String(), Prefix: d.BlockPrefix(uint32(b.Block)), State: state,
				Epoch: b.Epoch, Size: b.Leased + b.Free, Used: b.Leased, Until: utc(b.Until),
			})
		}
	}
	return all, nil
}

// Counters lists what has been counted since the start, by all groups together.
func (n *node) Counters(context.Context) ([]api.Counter, error) {
	all, place := []api.Counter{}, make(map[count]int)
	add := func(component, name string, value uint64) {
		i, listed := place[count{component, name}]
		if !listed {
			i = len(all)
			place[count{component, name}] = i
			all = append(all, api.Counter{Component: component, Name: name})
		}
		all[i].Value += value
	}
	for name, value := range n.socket.Counters() {
		add("socket", snake(name), value)
	}
	for name, value := range n.overlay.Counters() {
		add("overlay", name, value)
	}
	for _, nw := range n.running() {
		nw.attachmentCounters(func(c count, value uint64) { add(c.component, c.name, value) })
		add("router", "dropped_unattached", nw.unattached.Load())
		for name, value := range nw.tunnel.Counters() {
			add("tunnel", snake(name), value)
		}
		nw.registryCounters(add)
	}
	return all, nil
}

func (n *network) registryCounters(add func(component, name string, value uint64)) {
	s := n.registry.Stats()
	removed := uint64(0)
	if s.Removed {
		removed = 1
	}
	for _, c := range []struct {
		name  string
		value uint64
	}{
		{"claims", s.Claims}, {"fenced", s.Fenced}, {"commits", s.Commits}, {"moves", s.Moves}, {"arrived", s.Arrived}, {"stayed", s.Stayed},
		{"published", s.Published}, {"malformed", s.Malformed}, {"unauthorized", s.Unauthorized},
		{"bad_records", s.BadRecords}, {"turned_away", s.TurnedAway}, {"removed", removed}, {"blocks_held", uint64(s.BlocksHeld)}, {"blocks_known", uint64(s.BlocksKnown)},
	} {
		add("registry", c.name, c.value)
	}
}

// snake writes a counter's label as the API does.
func snake(label string) string {
	return strings.ToLower(strings.NewReplacer(" ", "_", "-", "_").Replace(label))
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// nonNil makes an empty list an empty array in JSON.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
