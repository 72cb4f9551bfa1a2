package appliance

import (
	"fmt"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/health"
)

// standing is this node's own standing in the group, as far as it knows: nil, or
// group.ErrRemoved.
func (n *network) standing() error { return n.membership.Descriptor().Check(n.membership.Self()) }

// dismissal is the reply to a node that was removed from the group. It brings the
// proof, so that the node knows and stops asking.
func (n *network) dismissal() []byte { return append([]byte{replyRemoved}, n.membership.Signed()...) }

// dismissed judges a dismissal from a member: it counts only if the descriptor, which
// the group's CA has signed, removes this node. It returns the reason why the call
// failed, group.ErrRemoved where it is true.
func (n *network) dismissed(from group.MemberID, signed []byte) error {
	if _, err := n.membership.Update(signed); err != nil {
		return fmt.Errorf("%s says that this appliance was removed from the group, with a descriptor that doesn't hold: %w", from.Short(), err)
	}
	if err := n.standing(); err != nil {
		return err
	}
	return fmt.Errorf("%s says that this appliance was removed from the group, and its descriptor doesn't say so", from.Short())
}

// reportStanding says in words when this appliance has been removed from the group.
func (n *network) reportStanding() {
	if n.standing() == nil {
		n.health().Clear("group", "removed")
		return
	}
	d := n.membership.Descriptor()
	why := ""
	if e, _ := d.Entry(n.membership.Self()); e.Reason != "" {
		why = fmt.Sprintf(" (the reason given: %s)", e.Reason)
	}
	n.log.Warn("this appliance was removed from the group", "version", d.Version)
	n.health().Report(health.Trouble{Level: health.Error, Component: "group", Key: "removed", Finding: health.Finding{
		Text:   fmt.Sprintf("This appliance was removed from the group %s%s: the other members have cut their sessions with it and answer it no more, so its hosts reach this LAN only and their leases end.", d.Name, why),
		Remedy: "To take part again, have a new invitation made where the group was created (landbridge group invite), and use it here (landbridge join).",
	}}, time.Now())
}

// reminderInterval is how often a trouble that stays is told again.
const reminderInterval = 24 * time.Hour

// reminder says when a trouble that lasts is worth a line in the log: as it begins or
// becomes another, and then once a day. The zero value has told nothing.
type reminder struct {
	kind string
	at   time.Time
}

// due reports whether to tell of the trouble now, and notes that it is told.
func (r *reminder) due(kind string, now time.Time) bool {
	if !r.at.IsZero() && r.kind == kind && now.Sub(r.at) < reminderInterval {
		return false
	}
	r.kind, r.at = kind, now
	return true
}
