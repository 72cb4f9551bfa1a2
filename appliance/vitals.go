package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/overlay"
	"landbridge/internal/registry"
)

const (
	vitalsInterval = time.Second
	// Nothing is alarming while the group is being taken up, nor as long as a member takes
	// to restart.
	vitalsGrace   = 10 * time.Second
	vitalsPersist = 5 * time.Second
	// fewConnected: a member of a large group keeps some connections only, and one with
	// fewer than these must ask to know whether it reaches the others.
	fewConnected = 3
)

// sight is what can be seen of how a group fares here.
type sight struct {
	group     string
	router    bool // this appliance serves a LAN
	authority bool // it keeps the group's CA key
	others    int  // further members
	connected int  // of them, those that the overlay has a connection to
	claimable bool // enough members can be reached for a block to be claimed
	outlook   registry.Outlook
}

// ailment is one thing that isn't as it should be.
type ailment struct {
	level           api.HealthLevel
	component, text string
	key             string
}

// ailments says in words what is wrong in what is seen.
func (s sight) ailments() (all []ailment) {
	if s.outlook.Forgetful {
		return []ailment{{api.HealthLevelError, "registry", s.forgetful(), "forgetful"}}
	}
	if s.others > 0 && s.connected == 0 {
		who, reach := fmt.Sprintf("None of the %d other members of the group %s can", s.others, s.group), "this machine reaches nobody in the network"
		if s.others == 1 {
			who = fmt.Sprintf("The other member of the group %s can't", s.group)
		}
		if s.router {
			reach = "hosts of this LAN reach each other only"
		}
		all = append(all, ailment{api.HealthLevelWarning, "overlay", fmt.Sprintf(
			"%s be reached: %s. See that this machine's way to the Internet works, and that the other appliances run; landbridge peers says of each why it can't be reached.", who, reach), "alone"})
	}
	if !s.claimable {
		all = append(all, ailment{api.HealthLevelWarning, "registry", fmt.Sprintf(
			"Too few members can be reached to claim or renew blocks of addresses, which takes a majority of those that keep the register: who has an address keeps it, and %s. "+
				"This ends by itself when enough of them are back. Members that are gone for good should be removed (landbridge group remove) while a majority is still there: one that is lost for good can't be replaced.", s.room()), "quorum"})
	} else if s.outlook.Stranded {
		all = append(all, ailment{api.HealthLevelWarning, "registry", fmt.Sprintf(
			"Members were removed, or went, before the register of the blocks could be taken over from them, and too few of those that kept it can be reached: no block can be claimed, %s, and some hosts may not be found. "+
				"This ends by itself when enough of them are back; if they are gone for good, create a new group, and have the others join that.", s.room()), "stranded"})
	}
	if s.router && s.outlook.Free == 0 {
		all = append(all, ailment{api.HealthLevelError, "registry", s.noAddresses(), "block"})
	}
	return all
}

// forgetful says what to do with a state that is an older copy.
func (s sight) forgetful() string {
	cure := "stop it, have what it was removed where the group was created (landbridge group remove), remove its state directory, and join with a new invitation"
	if s.authority {
		cure = "as this one keeps the CA key of the group, create a new group, and have the others join that"
	}
	return fmt.Sprintf("This appliance runs from an older copy of its state (a restored backup, or a snapshot): the other members of the group %s have seen more of what it promised and leased than it knows itself. "+
		"So that no address is given out twice, it leases, renews and claims nothing any more, and its word doesn't count among the others; hosts keep their addresses until the leases end. To serve hosts again: %s.", s.group, cure)
}

// room says what new clients get while nothing can be claimed.
func (s sight) room() string {
	if s.outlook.Free == 0 {
		return "new hosts get none"
	}
	return fmt.Sprintf("new hosts get the %s that are free in the blocks held here, and then none", plural(s.outlook.Free, "address"))
}

// noAddresses says why hosts that are new on the LAN get no address.
func (s sight) noAddresses() string {
	why := "claiming one is being tried"
	switch {
	case !s.claimable:
		why = "claiming one takes a majority of the members that keep the register, and too few can be reached (landbridge peers)"
	case errors.Is(s.outlook.Shortage, registry.ErrTaken):
		why = "the others hold all that were tried: the prefix is used up, or nearly; create the group anew with a larger one"
	case errors.Is(s.outlook.Shortage, registry.ErrShare):
		why = "it holds as many as one member may: create the group anew with a larger prefix, or serve some of the hosts from another appliance"
	case s.outlook.Shortage != nil:
		why = fmt.Sprintf("claiming one failed: %v; it goes on trying", s.outlook.Shortage)
	}
	switch {
	case s.outlook.Blocks == 0:
		return fmt.Sprintf("Hosts of this LAN get no addresses: this appliance holds no block of them yet, and %s.", why)
	case s.outlook.Valid == 0:
		return fmt.Sprintf("New hosts of this LAN get no addresses: the time for which this appliance holds its %s has run out, and %s. Hosts that have an address keep it.", plural(s.outlook.Blocks, "block"), why)
	}
	return fmt.Sprintf("New hosts of this LAN get no addresses: those of the %s held here are all in use, and %s. Hosts that have an address keep it.", plural(s.outlook.Valid, "block"), why)
}

// plural counts things.
func plural(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case thing == "address":
		return fmt.Sprintf("%d addresses", n)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// vitals decides which ailments are worth telling: those that have lasted. It is pure.
type vitals struct {
	begun time.Time
	since map[string]time.Time // by key; when it was first seen
	told  map[string]ailment
}

func newVitals(now time.Time) *vitals {
	return &vitals{begun: now, since: make(map[string]time.Time), told: make(map[string]ailment)}
}

// step takes what is wrong now and returns what to tell that is new, or in new words, and
// what has ended.
func (v *vitals) step(all []ailment, now time.Time) (tell, ended []ailment) {
	lasting := make(map[string]bool)
	for _, a := range all {
		lasting[a.key] = true
		if v.since[a.key].IsZero() {
			v.since[a.key] = now
		}
		lasting := now.Sub(v.since[a.key]) >= vitalsPersist && now.Sub(v.begun) >= vitalsGrace
		if was, told := v.told[a.key]; lasting && (!told || was != a) {
			v.told[a.key] = a
			tell = append(tell, a)
		}
	}
	for key := range v.since {
		if lasting[key] {
			continue
		}
		delete(v.since, key)
		if a, told := v.told[key]; told {
			delete(v.told, key)
			ended = append(ended, a)
		}
	}
	return tell, ended
}

// keepVitals looks after the group until ctx ends, and puts what is wrong into the
// appliance's health.
func (n *network) keepVitals(ctx context.Context) {
	v := newVitals(time.Now())
	h := n.health()
	tick := time.NewTicker(vitalsInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, a := range v.told {
				h.clear(a.component, a.key)
			}
			return
		case <-tick.C:
		}
		now := time.Now()
		tell, ended := v.step(n.look(ctx).ailments(), now)
		for _, a := range tell {
			h.report(a.level, a.component, a.key, a.text, now)
		}
		for _, a := range ended {
			h.clear(a.component, a.key)
		}
	}
}

// look sees how the group fares here. A member that was removed has one trouble, which
// reportStanding tells.
func (n *network) look(ctx context.Context) sight {
	if n.standing() != nil {
		return sight{claimable: true}
	}
	d := n.membership.Descriptor()
	s := sight{group: d.Name, router: n.node.setup().AttachesLAN(), authority: n.authority != nil, claimable: true, outlook: n.registry.Outlook()}
	up := n.node.overlay.Links()
	for _, m := range d.Current() {
		if m == n.membership.Self() {
			continue
		}
		s.others++
		if _, ok := up[m]; ok {
			s.connected++
		}
	}
	if overlay.KeepsAll(s.others) || s.connected < fewConnected {
		s.claimable = n.registry.Claimable(func(m group.MemberID) bool { _, ok := up[m]; return ok })
	}
	if !s.claimable && !overlay.KeepsAll(s.others) {
		s.claimable = n.registry.Answered(ctx)
	}
	return s
}
