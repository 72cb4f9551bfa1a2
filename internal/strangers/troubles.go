package strangers

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"landbridge/internal/frame"
)

// Trouble is what an operator should know of strangers.
type Trouble struct {
	Component string // of the appliance's health
	Key       string // the same as long as it is the same trouble
	Text      string
}

// Troubles says in words which strangers can't have the addresses that they use.
func (s *Strangers) Troubles(now time.Time) []Trouble {
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
	text        string // empty: not to be told yet
}

// note takes up that a conflict was found (again).
func (c conflicts) note(addr netip.Addr, text string, now time.Time) {
	known := c[addr]
	if known == nil {
		if len(c) < maxConflicts {
			c[addr] = &clash{first: now, last: now}
		}
		return
	}
	known.last = now
	if now.Sub(known.first) >= conflictTold {
		known.text = text
	}
}

// troubles returns those that are to be told, and forgets those that have ended.
func (c conflicts) troubles(now time.Time) (all []Trouble) {
	maps.DeleteFunc(c, func(_ netip.Addr, known *clash) bool { return now.Sub(known.last) >= conflictMemory })
	for addr, known := range c {
		if known.text != "" {
			all = append(all, Trouble{"lan", "conflict " + addr.String(), known.text})
		}
	}
	return all
}

// maxToldStatics bounds the hosts that are told one by one.
const maxToldStatics = 8

// wordTroubles says which hosts can't have their addresses, and which stations have too many.
func wordTroubles(hosts map[sighting]string, crowds []frame.MAC) (all []Trouble) {
	byText := make(map[string]bool) // two hosts with one address are one trouble
	for _, x := range slices.SortedFunc(maps.Keys(hosts), func(a, b sighting) int { return a.addr.Compare(b.addr) }) {
		text := hosts[x]
		if byText[text] {
			continue
		}
		byText[text] = true
		if len(byText) <= maxToldStatics {
			all = append(all, Trouble{"arp", "static " + x.addr.String() + " " + x.mac.String(), text})
		}
	}
	if more := len(byText) - maxToldStatics; more > 0 {
		hosts := "hosts"
		if more == 1 {
			hosts = "host"
		}
		all = append(all, Trouble{"arp", "statics", fmt.Sprintf(
			"%d %s more on this LAN use addresses of the group that they can't have. Give them others, or have them ask by DHCP.", more, hosts)})
	}
	for _, mac := range crowds {
		all = append(all, Trouble{"arp", "crowd " + mac.String(), fmt.Sprintf(
			"The station %v on this LAN uses more than %d addresses of the group that nobody gave it: the others get no lease, and other sites don't reach them. If they are hosts behind it, have them ask by DHCP.", mac, maxPerStation)})
	}
	return all
}
