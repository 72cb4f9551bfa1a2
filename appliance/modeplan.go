package appliance

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"landbridge/console"
	"landbridge/console/api"
)

// survey is what a plan is made from: how the appliance is attached, how it is to be, and
// what this host's network is like.
type survey struct {
	now, want setup
	groups    []surveyed
	ports     []string // that this host has
	unfit     error    // why the wanted LAN port can't be it; nil where it can
	undivided error    // why the groups can't be together on the LAN; nil where they can
	operator  operator
}

// surveyed is a group that is switched.
type surveyed struct {
	name        string
	prefix      netip.Prefix
	own         netip.Addr // this host's lease; not valid where it has none
	hosts       int        // of the LAN, with a lease
	tap, bridge string     // the devices now
	port        string     // its LAN port in router mode, where that isn't the setup's
}

// at returns the LAN port of the group in a setup.
func (g surveyed) at(s setup) string {
	if s.attachesLAN() && g.port != "" {
		return g.port
	}
	return s.LANPort
}

// operator is the connection by which the operator is on this host. The zero value is none.
type operator struct {
	local, remote netip.Addr
	device        string // that has the local address
}

// plan says what a switch does, step by step, or why there can't be one, in words. It is
// pure: whatever it refuses, nothing was touched.
func plan(s survey) (api.ModePlan, error) {
	if err := s.refuse(); err != nil {
		return api.ModePlan{}, err
	}
	p := api.ModePlan{From: s.now.describe(), To: s.want.describe(), Steps: []api.ModeStep{}, Notices: []string{}}
	step := func(action api.ModeStepAction, format string, args ...any) {
		if s := (api.ModeStep{Action: action, Text: fmt.Sprintf(format, args...)}); !slices.Contains(p.Steps, s) { // groups share bridges
			p.Steps = append(p.Steps, s)
		}
	}
	notice := func(format string, args ...any) {
		if n := fmt.Sprintf(format, args...); !slices.Contains(p.Notices, n) {
			p.Notices = append(p.Notices, n)
		}
	}
	for _, g := range s.groups {
		s.takeDown(g, step)
	}
	for _, g := range s.groups {
		s.putUp(g, step)
		s.tell(g, notice)
	}
	switch {
	case len(s.groups) == 0:
		notice("This appliance is in no group: nothing changes until it creates or joins one.")
	default:
		step(api.ModeStepActionKeep, "sessions with the other members, leases and blocks")
		notice("What other members say to each other isn't touched.")
	}
	return p, nil
}

// refuse says why the switch can't be.
func (s survey) refuse() error {
	if s.want == s.now {
		return console.Conflict(fmt.Errorf("the appliance is in %v already: nothing was done", s.now))
	}
	if err := s.checkWanted(); err != nil {
		return err
	}
	if s.unfit != nil {
		return console.Conflict(fmt.Errorf("%w; nothing was done", s.unfit))
	}
	if err := s.checkGroups(); err != nil {
		return err
	}
	if s.undivided != nil {
		return s.undivided
	}
	return s.checkOperator()
}

// checkWanted judges the wanted mode by itself.
func (s survey) checkWanted() error {
	invalid := func(field, format string, args ...any) error {
		text := fmt.Sprintf(format, args...)
		return console.Invalid(errors.New(text), api.FieldError{Field: field, Detail: text})
	}
	switch {
	case !slices.Contains(Modes(), s.want.Mode):
		return invalid("mode", "there is no mode %q: the modes are %s", s.want.Mode, orList(Modes()))
	case s.want.Mode.hasLANPort() && s.want.LANPort == "":
		return invalid("lanPort", "%s mode needs a LAN port: name the network interface that leads to the LAN, as --lan-port eth1; this host has %s", s.want.Mode, strings.Join(s.ports, ", "))
	case !s.want.Mode.hasLANPort() && s.want.LANPort != "":
		return invalid("lanPort", "%s mode has no LAN port: leave --lan-port out", s.want.Mode)
	}
	return nil
}

// hasLANPort says that the mode needs a LAN port.
func (m Mode) hasLANPort() bool { return m != ModeInterface }

// checkGroups refuses groups that can't be together on one segment.
func (s survey) checkGroups() error {
	for i, g := range s.groups {
		for _, other := range s.groups[:i] {
			if g.prefix.Overlaps(other.prefix) {
				return console.Conflict(fmt.Errorf("the groups %s (%v) and %s (%v) overlap, so hosts couldn't tell them apart: leave one of them first (landbridge group leave); nothing was done",
					other.name, other.prefix, g.name, g.prefix))
			}
		}
	}
	return nil
}

// checkOperator refuses what would cut off who asks for it.
func (s survey) checkOperator() error {
	o := s.operator
	if !o.local.IsValid() {
		return nil
	}
	const remedy = "come in by another address of this host, or from its console; nothing was done"
	for _, g := range s.groups {
		if s.want.attachesLAN() && !s.now.attachesLAN() && g.prefix.Contains(o.local) {
			return console.Conflict(fmt.Errorf("your own connection%s is to %v, this host's address in the group %s, which it doesn't have in %s mode: it would be cut: %s", o.from(), o.local, g.name, s.want.Mode, remedy))
		}
	}
	bridged := func(g surveyed) bool { return o.device == g.at(s.want) }
	if s.want.attachesLAN() && (o.device == s.want.LANPort || slices.ContainsFunc(s.groups, bridged)) {
		return console.Conflict(fmt.Errorf("your own connection%s is to %v on %s, which can't be reached while %s is bridged: it would be cut: %s", o.from(), o.local, o.device, o.device, remedy))
	}
	return nil
}

func (o operator) from() string {
	if !o.remote.IsValid() {
		return ""
	}
	return fmt.Sprintf(", from %v,", o.remote)
}

type stepper func(action api.ModeStepAction, format string, args ...any)

// takeDown is what becomes of the devices that there are.
func (s survey) takeDown(g surveyed, step stepper) {
	if s.now.Mode == ModeHybrid {
		step(api.ModeStepActionRemove, "the native routes%s from %s, which is left as it was", g.with(", and this host's address %v,"), s.now.LANPort)
	}
	if s.now.attachesLAN() {
		step(api.ModeStepActionMove, "the LAN port %s off the bridge %s, as it was before", g.at(s.now), g.bridge)
		step(api.ModeStepActionRemove, "the bridge %s", g.bridge)
		step(api.ModeStepActionRemove, "the TAP %s", g.tap)
		return
	}
	step(api.ModeStepActionRemove, "the TAP %s%s", g.tap, g.with(" with this host's address %v"))
}

// putUp is what is made.
func (s survey) putUp(g surveyed, step stepper) {
	if s.want.attachesLAN() {
		step(api.ModeStepActionCreate, "a TAP, and a bridge without addresses")
		step(api.ModeStepActionMove, "the LAN port %s onto that bridge", g.at(s.want))
		step(api.ModeStepActionCreate, "DHCP, DNS and ARP on the LAN of %s, at %v", g.at(s.want), serviceOf(g.prefix))
		return
	}
	step(api.ModeStepActionCreate, "a TAP%s", g.with(" with this host's address %v, as before"))
	if !g.own.IsValid() {
		step(api.ModeStepActionCreate, "a lease of this host's own in the group %s", g.name)
	}
	if s.want.Mode == ModeHybrid {
		step(api.ModeStepActionCreate, "the same address on %s, beside what that has; nothing of it is changed", s.want.LANPort)
	}
}

// with words this host's address, where it has one.
func (g surveyed) with(format string) string {
	if !g.own.IsValid() {
		return ""
	}
	return fmt.Sprintf(format, netip.PrefixFrom(g.own, g.prefix.Bits()))
}

// serviceOf returns the service address of a prefix: its first.
func serviceOf(prefix netip.Prefix) netip.Addr { return prefix.Masked().Addr().Next() }

// tell says what hosts will notice.
func (s survey) tell(g surveyed, notice func(format string, args ...any)) {
	from, to := s.now.attachesLAN(), s.want.attachesLAN()
	if from {
		who := "Hosts"
		if g.hosts > 0 {
			who = "The " + plural(g.hosts, "host")
		}
		notice("%s on the LAN of %s can't reach the other sites any more, get no DHCP answers and renew no lease; leases run on until they end, and hosts go on reaching each other.", who, g.at(s.now))
	}
	switch {
	case from && !to:
		notice("This host gets an address in the group %s.", g.name)
	case !from && to && g.own.IsValid():
		notice("This host has no address in the group %s any more: its connections by %v end. The lease is kept for its return.", g.name, g.own)
	case !from && !to && g.own.IsValid():
		notice("This host keeps its address %v; connections by it pause for a moment.", g.own)
	}
	if s.now.Mode == ModeHybrid && s.want.Mode == ModeInterface {
		notice("Hosts of the group on the LAN of %s are reached by the tunnel, not natively.", s.now.LANPort)
	}
	if s.want.Mode == ModeHybrid {
		notice("Hosts of the group on the LAN of %s are reached natively, each once it is proven to be there.", s.want.LANPort)
	}
	if to {
		notice("Hosts on the LAN of %s get addresses by DHCP from this appliance; hosts that another DHCP server there serves are left to it.", g.at(s.want))
	}
}
