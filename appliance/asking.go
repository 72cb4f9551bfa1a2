package appliance

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"landbridge/console/api"
	"landbridge/dhcp"
	"landbridge/internal/division"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/sorting"
)

// Which hosts of a segment somebody may want to register: who was seen there, and isn't yet.

// asking remembers hosts that have asked for an address and get none, as nobody has registered
// them: the latest of them. Safe for concurrent use; the zero value is empty.
type asking struct {
	mu   sync.Mutex
	seen map[frame.MAC]silenced
}

type silenced struct {
	at  time.Time
	why api.SeenHostWhy
}

const (
	maxAsking    = 64 // hosts that ask in vain, remembered
	askingMemory = time.Hour
)

// note notes a host that gets silence.
func (s *asking) note(mac frame.MAC, why api.SeenHostWhy, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[frame.MAC]silenced)
	}
	if _, known := s.seen[mac]; !known && len(s.seen) >= maxAsking {
		oldest := mac
		for m, v := range s.seen {
			if first, ok := s.seen[oldest]; !ok || v.at.Before(first.at) {
				oldest = m
			}
		}
		delete(s.seen, oldest)
	}
	s.seen[mac] = silenced{now, why}
}

// list returns those that have asked of late.
func (s *asking) list(now time.Time) (all []api.SeenHost) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for mac, v := range s.seen {
		if now.Sub(v.at) < askingMemory {
			all = append(all, api.SeenHost{MAC: mac.String(), Seen: v.at.UTC(), Why: v.why})
		}
	}
	return all
}

// Handle answers a DHCP message, and notes whom it leaves unanswered as nobody has registered it. It
// is the router's DHCP.
func (s *segment) Handle(ctx context.Context, message []byte, source frame.MAC) (reply dhcp.Reply, ok bool, err error) {
	reply, ok, err = s.dhcp.Handle(ctx, message, source)
	switch {
	case errors.Is(err, dhcp.ErrNotRegistered):
		s.asking.note(source, api.SeenHostWhyUnregistered, time.Now())
	case errors.Is(err, dhcp.ErrVendorClass):
		s.asking.note(source, api.SeenHostWhyVendorClass, time.Now())
	}
	return reply, ok, err
}

// OthersAsk notes a host that asks for an address and isn't this group's: it may be nobody's. It is
// called on the frame path.
func (s *segment) OthersAsk(mac frame.MAC) {
	if s.isNobodys(mac) {
		s.asking.note(mac, api.SeenHostWhyNoGroup, time.Now())
	}
}

// maxSeen is how many hosts that aren't registered are told of a segment.
const maxSeen = 20

// unregistered tells of the hosts on the segment that nobody has registered: those that get no address first,
// then those with leases, of each the latest first.
func (n *network) unregistered(s *segment, d *division.Division) []api.SeenHost {
	registered := func(text string) bool {
		mac, err := parseHost(text)
		return err != nil || n.node.roll.has(mac) || d != nil && d.IsNamed(mac)
	}
	var all []api.SeenHost
	served := make(map[string]bool)
	self := n.ownClient()
	for l := range n.registry.Leases() {
		h := api.SeenHost{MAC: frame.MAC(l.MAC).String(), Name: l.Name, Address: l.Addr, Seen: l.Start.UTC()}
		if string(l.Client) == string(self.ID) || registered(h.MAC) {
			continue
		}
		served[h.MAC] = true
		all = append(all, h)
	}
	for _, h := range s.asking.list(time.Now()) {
		if !served[h.MAC] && !registered(h.MAC) {
			all = append(all, h)
		}
	}
	sorting.By(all, func(a, b api.SeenHost) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), b.Seen.Compare(a.Seen), cmp.Compare(a.MAC, b.MAC))
	})
	return all[:min(len(all), maxSeen)]
}

// rank puts the hosts that get no address first.
func rank(h api.SeenHost) int {
	if h.Address == (netip.Addr{}) {
		return 0
	}
	return 1
}

// isNobodys reports whether a host on the attachment's port is of no group that this appliance is in.
func (n *network) isNobodys(mac frame.MAC, port string) bool {
	d := n.node.division.Load()
	return d != nil && d.Of(mac, port) == (group.ID{})
}
