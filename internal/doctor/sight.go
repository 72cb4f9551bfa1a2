package doctor

import (
	"errors"
	"fmt"

	"landbridge/internal/health"
	"landbridge/internal/registry"
)

// Sight is what can be seen of how a group fares here.
type Sight struct {
	Group     string
	Router    bool // this appliance serves a LAN
	Authority bool // it keeps the group's CA key
	Others    int  // further members
	Connected int  // of them, those that the overlay has a connection to
	Claimable bool // enough members can be reached for a block to be claimed
	Outlook   registry.Outlook
}

// Troubles says in words what is wrong in what is seen.
func (s Sight) Troubles() (all []health.Trouble) {
	if s.Outlook.Forgetful {
		return []health.Trouble{{Level: health.Error, Component: "registry", Key: "forgetful", Finding: s.forgetful()}}
	}
	if s.Others > 0 && s.Connected == 0 {
		all = append(all, health.Trouble{Component: "overlay", Key: "alone", Finding: s.alone()})
	}
	if !s.Claimable {
		all = append(all, health.Trouble{Component: "registry", Key: "quorum", Finding: health.Finding{
			Text:   fmt.Sprintf("Too few members can be reached to claim or renew blocks of addresses, which takes a majority of those that keep the register: who has an address keeps it, and %s.", s.room()),
			Remedy: "This ends by itself when enough of them are back. Members that are gone for good should be removed (landbridge group remove) while a majority is still there: one that is lost for good can't be replaced.",
		}})
	} else if s.Outlook.Stranded {
		all = append(all, health.Trouble{Component: "registry", Key: "stranded", Finding: health.Finding{
			Text:   fmt.Sprintf("Members were removed, or went, before the register of the blocks could be taken over from them, and too few of those that kept it can be reached: no block can be claimed, %s, and some hosts may not be found.", s.room()),
			Remedy: "This ends by itself when enough of them are back; if they are gone for good, create a new group, and have the others join that.",
		}})
	}
	if s.Router && s.Outlook.Free == 0 {
		all = append(all, health.Trouble{Level: health.Error, Component: "registry", Key: "block", Finding: s.noAddresses()})
	}
	return all
}

// alone says that nobody can be reached.
func (s Sight) alone() health.Finding {
	who, reach := fmt.Sprintf("None of the %d other members of the group %s can", s.Others, s.Group), "this machine reaches nobody in the network"
	if s.Others == 1 {
		who = fmt.Sprintf("The other member of the group %s can't", s.Group)
	}
	if s.Router {
		reach = "hosts of this LAN reach each other only"
	}
	return health.Finding{
		Text:   fmt.Sprintf("%s be reached: %s.", who, reach),
		Remedy: "See that this machine's way to the Internet works, and that the other appliances run; landbridge peers says of each why it can't be reached.",
	}
}

// forgetful says what to do with a state that is an older copy.
func (s Sight) forgetful() health.Finding {
	cure := "stop it, have what it was removed where the group was created (landbridge group remove), remove its state directory, and join with a new invitation"
	if s.Authority {
		cure = "as this one keeps the CA key of the group, create a new group, and have the others join that"
	}
	return health.Finding{
		Text: fmt.Sprintf("This appliance runs from an older copy of its state (a restored backup, or a snapshot): the other members of the group %s have seen more of what it promised and leased than it knows itself. "+
			"So that no address is given out twice, it leases, renews and claims nothing any more, and its word doesn't count among the others; hosts keep their addresses until the leases end.", s.Group),
		Remedy: "To serve hosts again: " + cure + ".",
	}
}

// room says what new clients get while nothing can be claimed.
func (s Sight) room() string {
	if s.Outlook.Free == 0 {
		return "new hosts get none"
	}
	return fmt.Sprintf("new hosts get the %s that are free in the blocks held here, and then none", plural(s.Outlook.Free, "address"))
}

// noAddresses says why hosts that are new on the LAN get no address.
func (s Sight) noAddresses() health.Finding {
	why, remedy := s.shortage()
	f := health.Finding{Text: fmt.Sprintf("New hosts of this LAN get no addresses: those of the %s held here are all in use, and %s. Hosts that have an address keep it.", plural(s.Outlook.Valid, "block"), why), Remedy: remedy}
	switch {
	case s.Outlook.Blocks == 0:
		f.Text = fmt.Sprintf("Hosts of this LAN get no addresses: this appliance holds no block of them yet, and %s.", why)
	case s.Outlook.Valid == 0:
		f.Text = fmt.Sprintf("New hosts of this LAN get no addresses: the time for which this appliance holds its %s has run out, and %s. Hosts that have an address keep it.", plural(s.Outlook.Blocks, "block"), why)
	}
	return f
}

// shortage says why there is no further block, and what helps.
func (s Sight) shortage() (why, remedy string) {
	const peers = "see whether the other members can be reached (landbridge peers)"
	switch {
	case !s.Claimable:
		return "claiming one takes a majority of the members that keep the register, and too few can be reached", "Have more of them run and be reached: landbridge peers says of each why it can't be."
	case errors.Is(s.Outlook.Shortage, registry.ErrTaken):
		return "the others hold all that were tried: the prefix is used up, or nearly", "Create the group anew with a larger one."
	case errors.Is(s.Outlook.Shortage, registry.ErrShare):
		return "it holds as many as one member may", "Create the group anew with a larger prefix, or serve some of the hosts from another appliance."
	case s.Outlook.Shortage != nil:
		return fmt.Sprintf("claiming one failed: %v; it goes on trying", s.Outlook.Shortage), "If it stays so, " + peers + "."
	}
	return "claiming one is being tried", "Wait a moment; then " + peers + "."
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
