package modes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Survey is what a plan is made from: how the appliance is attached, how it is to be, and
// what this host's network is like.
type Survey struct {
	Now, Want Setup
	Groups    []Group
	Ports     []string // that this host has
	Unfit     error    // why the wanted LAN port can't be it; nil where it can
	Undivided error    // why the groups can't be together on the LAN; nil where they can
	Operator  Operator
}

// Group is a group that is switched.
type Group struct {
	Name        string
	Prefix      netip.Prefix
	Own         netip.Addr // this host's lease; not valid where it has none
	Hosts       int        // of the LAN, with a lease
	TAP, Bridge string     // the devices now
	Port        string     // its LAN port in router mode, where that isn't the setup's
}

// at returns the LAN port of the group in a setup.
func (g Group) at(s Setup) string {
	if s.AttachesLAN() && g.Port != "" {
		return g.Port
	}
	return s.LANPort
}

// Operator is the connection by which the operator is on this host. The zero value is none.
type Operator struct {
	Local, Remote netip.Addr
	Device        string // that has the local address
}

// Plan is what a switch does, step by step, and what hosts notice of it.
type Plan struct {
	From, To Setup
	Steps    []Step
	Notices  []string
}

// Step is one of them.
type Step struct {
	Action Action
	Text   string
}

// Action is what a step does.
type Action string

// The actions.
const (
	Remove Action = "remove"
	Create Action = "create"
	Move   Action = "move"
	Keep   Action = "keep"
)

// Plan says what a switch does, step by step, or why there can't be one, in words. It is
// pure: whatever it refuses, nothing was touched.
func (s Survey) Plan() (Plan, error) {
	if err := s.refuse(); err != nil {
		return Plan{}, err
	}
	p := Plan{From: s.Now, To: s.Want}
	step := func(action Action, format string, args ...any) {
		if s := (Step{action, fmt.Sprintf(format, args...)}); !slices.Contains(p.Steps, s) { // groups share bridges
			p.Steps = append(p.Steps, s)
		}
	}
	notice := func(format string, args ...any) {
		if n := fmt.Sprintf(format, args...); !slices.Contains(p.Notices, n) {
			p.Notices = append(p.Notices, n)
		}
	}
	for _, g := range s.Groups {
		s.takeDown(g, step)
	}
	for _, g := range s.Groups {
		s.putUp(g, step)
		s.tell(g, notice)
	}
	switch {
	case len(s.Groups) == 0:
		notice("This appliance is in no group: nothing changes until it creates or joins one.")
	default:
		step(Keep, "sessions with the other members, leases and blocks")
		notice("What other members say to each other isn't touched.")
	}
	return p, nil
}

// refuse says why the switch can't be.
func (s Survey) refuse() error {
	if s.Want == s.Now {
		return conflict(fmt.Errorf("the appliance is in %v already: nothing was done", s.Now))
	}
	if err := s.checkWanted(); err != nil {
		return err
	}
	if s.Unfit != nil {
		return conflict(fmt.Errorf("%w; nothing was done", s.Unfit))
	}
	if err := s.checkGroups(); err != nil {
		return err
	}
	if s.Undivided != nil {
		return s.Undivided
	}
	return s.checkOperator()
}

// checkWanted judges the wanted mode by itself.
func (s Survey) checkWanted() error {
	invalid := func(field, format string, args ...any) error {
		return &Error{Kind: Invalid, Field: field, err: fmt.Errorf(format, args...)}
	}
	switch {
	case !slices.Contains(All(), s.Want.Mode):
		return invalid("mode", "there is no mode %q: the modes are %s, %s and %s", s.Want.Mode, Interface, Router, Hybrid)
	case s.Want.Mode.HasLANPort() && s.Want.LANPort == "":
		return invalid("lanPort", "%s mode needs a LAN port: name the network interface that leads to the LAN, as --lan-port eth1; this host has %s", s.Want.Mode, strings.Join(s.Ports, ", "))
	case !s.Want.Mode.HasLANPort() && s.Want.LANPort != "":
		return invalid("lanPort", "%s mode has no LAN port: leave --lan-port out", s.Want.Mode)
	}
	return nil
}

// checkGroups refuses groups that can't be together on one segment.
func (s Survey) checkGroups() error {
	for i, g := range s.Groups {
		for _, other := range s.Groups[:i] {
			if g.Prefix.Overlaps(other.Prefix) {
				return conflict(fmt.Errorf("the groups %s (%v) and %s (%v) overlap, so hosts couldn't tell them apart: leave one of them first (landbridge group leave); nothing was done",
					other.Name, other.Prefix, g.Name, g.Prefix))
			}
		}
	}
	return nil
}

// checkOperator refuses what would cut off who asks for it.
func (s Survey) checkOperator() error {
	o := s.Operator
	if !o.Local.IsValid() {
		return nil
	}
	const remedy = "come in by another address of this host, or from its console; nothing was done"
	for _, g := range s.Groups {
		if s.Want.AttachesLAN() && !s.Now.AttachesLAN() && g.Prefix.Contains(o.Local) {
			return conflict(fmt.Errorf("your own connection%s is to %v, this host's address in the group %s, which it doesn't have in %s mode: it would be cut: %s", o.from(), o.Local, g.Name, s.Want.Mode, remedy))
		}
	}
	bridged := func(g Group) bool { return o.Device == g.at(s.Want) }
	if s.Want.AttachesLAN() && (o.Device == s.Want.LANPort || slices.ContainsFunc(s.Groups, bridged)) {
		return conflict(fmt.Errorf("your own connection%s is to %v on %s, which can't be reached while %s is bridged: it would be cut: %s", o.from(), o.Local, o.Device, o.Device, remedy))
	}
	return nil
}

func (o Operator) from() string {
	if !o.Remote.IsValid() {
		return ""
	}
	return fmt.Sprintf(", from %v,", o.Remote)
}

type stepper func(action Action, format string, args ...any)

// takeDown is what becomes of the devices that there are.
func (s Survey) takeDown(g Group, step stepper) {
	if s.Now.Mode == Hybrid {
		step(Remove, "the native routes%s from %s, which is left as it was", g.with(", and this host's address %v,"), s.Now.LANPort)
	}
	if s.Now.AttachesLAN() {
		step(Move, "the LAN port %s off the bridge %s, as it was before", g.at(s.Now), g.Bridge)
		step(Remove, "the bridge %s", g.Bridge)
		step(Remove, "the TAP %s", g.TAP)
		return
	}
	step(Remove, "the TAP %s%s", g.TAP, g.with(" with this host's address %v"))
}

// putUp is what is made.
func (s Survey) putUp(g Group, step stepper) {
	if s.Want.AttachesLAN() {
		step(Create, "a TAP, and a bridge without addresses")
		step(Move, "the LAN port %s onto that bridge", g.at(s.Want))
		step(Create, "DHCP, DNS and ARP on the LAN of %s, at %v", g.at(s.Want), serviceOf(g.Prefix))
		return
	}
	step(Create, "a TAP%s", g.with(" with this host's address %v, as before"))
	if !g.Own.IsValid() {
		step(Create, "an address for this host itself in the group %s", g.Name)
	}
	if s.Want.Mode == Hybrid {
		step(Create, "the same address on %s, beside what that has; nothing of it is changed", s.Want.LANPort)
	}
}

// with words this host's address, where it has one.
func (g Group) with(format string) string {
	if !g.Own.IsValid() {
		return ""
	}
	return fmt.Sprintf(format, netip.PrefixFrom(g.Own, g.Prefix.Bits()))
}

// serviceOf returns the service address of a prefix: its first.
func serviceOf(prefix netip.Prefix) netip.Addr { return prefix.Masked().Addr().Next() }

// tell says what hosts will notice.
func (s Survey) tell(g Group, notice func(format string, args ...any)) {
	from, to := s.Now.AttachesLAN(), s.Want.AttachesLAN()
	if from {
		who := "Hosts"
		if g.Hosts > 0 {
			who = fmt.Sprintf("The %d hosts", g.Hosts)
			if g.Hosts == 1 {
				who = "The 1 host"
			}
		}
		notice("%s on the LAN of %s can't reach the other sites any more, get no DHCP answers and renew no lease; leases run on until they end, and hosts go on reaching each other.", who, g.at(s.Now))
	}
	switch {
	case from && !to:
		notice("This host gets an address in the group %s.", g.Name)
	case !from && to && g.Own.IsValid():
		notice("This host has no address in the group %s any more: its connections by %v end. The lease is kept for its return.", g.Name, g.Own)
	case !from && !to && g.Own.IsValid():
		notice("This host keeps its address %v; connections by it pause for a moment.", g.Own)
	}
	if s.Now.Mode == Hybrid && s.Want.Mode == Interface {
		notice("Hosts of the group on the LAN of %s are reached by the tunnel, not natively.", s.Now.LANPort)
	}
	if s.Want.Mode == Hybrid {
		notice("Hosts of the group on the LAN of %s are reached natively, each once it is proven to be there.", s.Want.LANPort)
	}
	if to {
		notice("Hosts on the LAN of %s get addresses by DHCP from this appliance; hosts that another DHCP server there serves are left to it.", g.at(s.Want))
	}
}
