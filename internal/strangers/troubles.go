package strangers

import (
	"fmt"
	"maps"
	"net/netip"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/health"
	"landbridge/internal/sorting"
)

// Troubles says in words which strangers can't have the addresses that they use.
func (s *Strangers) Troubles(now time.Time) []health.Trouble {
	return append(s.arrivals.troubles(now), s.statics.troubles(now)...)
}

const (
	maxConflicts   = 8
	conflictMemory = time.Minute // a conflict that isn't seen for so long is over
	// conflictTold is how long after it was found first a conflict is told, if it is found again: a
	// hybrid member that comes to the LAN shows its address before it is proven to be there.
	conflictTold = 2 * time.Second
)

// conflicts are addresses that a host here and one elsewhere use.
type conflicts map[netip.Addr]*clash

type clash struct {
	first, last time.Time
	told        health.Finding // zero: not to be told yet
}

// note takes up that a conflict was found (again).
func (c conflicts) note(addr netip.Addr, f health.Finding, now time.Time) {
	known := c[addr]
	if known == nil {
		if len(c) < maxConflicts {
			c[addr] = &clash{first: now, last: now}
		}
		return
	}
	known.last = now
	if now.Sub(known.first) >= conflictTold {
		known.told = f
	}
}

// troubles returns those that are to be told, and forgets those that have ended.
func (c conflicts) troubles(now time.Time) (all []health.Trouble) {
	maps.DeleteFunc(c, func(_ netip.Addr, known *clash) bool { return now.Sub(known.last) >= conflictMemory })
	for addr, known := range c {
		if known.told != (health.Finding{}) {
			all = append(all, health.Trouble{Component: "lan", Key: "conflict " + addr.String(), Finding: known.told})
		}
	}
	return all
}

// maxToldStatics bounds the hosts that are told one by one.
const maxToldStatics = 8

// wordTroubles says which hosts can't have their addresses, and which stations have too many.
func wordTroubles(hosts map[sighting]health.Finding, crowds []frame.MAC) (all []health.Trouble) {
	told := make(map[health.Finding]bool) // two hosts with one address are one trouble
	for _, x := range sorting.Sorted(maps.Keys(hosts), func(a, b sighting) int { return a.addr.Compare(b.addr) }) {
		f := hosts[x]
		if told[f] {
			continue
		}
		told[f] = true
		if len(told) <= maxToldStatics {
			all = append(all, health.Trouble{Component: "arp", Key: "static " + x.addr.String() + " " + x.mac.String(), Finding: f})
		}
	}
	if more := len(told) - maxToldStatics; more > 0 {
		hosts := "hosts"
		if more == 1 {
			hosts = "host"
		}
		all = append(all, health.Trouble{Component: "arp", Key: "statics", Finding: health.Finding{
			Text:   fmt.Sprintf("%d %s more on this LAN use addresses of the group that they can't have.", more, hosts),
			Remedy: "Give them others, or have them ask by DHCP.",
		}})
	}
	for _, mac := range crowds {
		all = append(all, health.Trouble{Component: "arp", Key: "crowd " + mac.String(), Finding: health.Finding{
			Text:   fmt.Sprintf("The station %v on this LAN uses more than %d addresses of the group that nobody gave it: the others get no lease, and other sites don't reach them.", mac, maxPerStation),
			Remedy: "If they are hosts behind it, have them ask by DHCP.",
		}})
	}
	return all
}
