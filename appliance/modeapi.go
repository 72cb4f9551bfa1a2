package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/iface"
	"landbridge/internal/group"
)

// What the API shows and takes of the mode; modeplan.go and modeswitch.go decide.

// Mode tells how the appliance is attached, and what becomes of a switch.
func (n *node) Mode(context.Context) (api.ModeStatus, error) {
	s, err := modeStatus(n.setup(), n.modes.snapshot(), n.state.owner())
	if err != nil {
		return api.ModeStatus{}, err
	}
	if c := n.cfg.configured(); c != nil {
		s.Configured = c.describe()
	}
	n.modes.countdown(&s.Pending)
	return s, nil
}

// PlanMode tells what a switch would do, and does nothing.
func (n *node) PlanMode(_ context.Context, req api.ModeRequest) (api.ModePlan, error) {
	if err := n.modes.settled(); err != nil {
		return api.ModePlan{}, err
	}
	s, err := n.survey(req)
	if err != nil {
		return api.ModePlan{}, err
	}
	return plan(s)
}

// SwitchMode switches the mode until it is confirmed, or the time for that is over. It goes
// on though who asked has gone away.
func (n *node) SwitchMode(ctx context.Context, req api.ModeRequest) (api.ModeStatus, error) {
	if !n.joining.TryLock() {
		return api.ModeStatus{}, console.Conflict(errors.New("a group is being joined or left, or another switch is at work: try again in a moment"))
	}
	defer n.joining.Unlock()
	if err := n.modes.settled(); err != nil {
		return api.ModeStatus{}, err
	}
	s, err := n.survey(req)
	if err != nil {
		return api.ModeStatus{}, err
	}
	if _, err := plan(s); err != nil {
		return api.ModeStatus{}, err
	}
	patience := time.Duration(req.TimeoutSeconds) * time.Second
	if patience == 0 {
		patience = defaultConfirmTime
	}
	if err := n.modes.run(s.want, patience, req.Confirm); err != nil {
		return api.ModeStatus{}, err
	}
	return n.Mode(ctx)
}

// ConfirmMode keeps the mode that was switched to.
func (n *node) ConfirmMode(ctx context.Context) (api.ModeStatus, error) {
	n.joining.Lock()
	defer n.joining.Unlock()
	if err := n.modes.waiting(); err != nil {
		return api.ModeStatus{}, err
	}
	if err := n.modes.commit(); err != nil {
		return api.ModeStatus{}, err
	}
	return n.Mode(ctx)
}

// RollbackMode goes back to the mode before the switch.
func (n *node) RollbackMode(ctx context.Context) (api.ModeStatus, error) {
	n.joining.Lock()
	defer n.joining.Unlock()
	if err := n.modes.waiting(); err != nil {
		return api.ModeStatus{}, err
	}
	if err := n.modes.back("by landbridge mode rollback"); err != nil {
		return api.ModeStatus{}, err
	}
	return n.Mode(ctx)
}

// Mode tells how the next start attaches the appliance, which doesn't run.
func (o *Offline) Mode(context.Context) (api.ModeStatus, error) {
	r, err := o.state.mode()
	if err != nil {
		return api.ModeStatus{}, err
	}
	s, next, _ := r.start(setup{o.cfg.Mode, o.cfg.LANPort}, nil, time.Now())
	return modeStatus(s, next, o.state.owner())
}

// waiting refuses where no switch waits for confirmation, and says what became of the last.
func (m *modes) waiting() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.record
	switch {
	case r.Pending != nil && m.state == api.ModePendingStateWaiting:
		return nil
	case r.Pending != nil:
		return console.Conflict(fmt.Errorf("the switch to %v is being undone: nothing is left to confirm", r.Pending.To))
	case r.Last == nil:
		return console.Conflict(errors.New("no switch of the mode waits for confirmation"))
	case r.Last.Confirmed:
		return console.Conflict(fmt.Errorf("no switch of the mode waits for confirmation: the last, to %v, is confirmed already", r.Last.To))
	}
	return console.Conflict(fmt.Errorf("no switch of the mode waits for confirmation: the last, to %v, was rolled back: %s", r.Last.To, r.Last.Why))
}

func (m *modes) snapshot() modeRecord {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record
}

// countdown tells how a pending switch stands.
func (m *modes) countdown(p *api.ModePending) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.record.Pending == nil {
		return
	}
	p.State = m.state
	if !m.deadline.IsZero() {
		p.Deadline = m.deadline.UTC()
		p.SecondsLeft = int64(max(time.Until(m.deadline), 0).Round(time.Second) / time.Second)
	}
}

// modeStatus tells what a record says.
func modeStatus(now setup, r modeRecord, owner string) (api.ModeStatus, error) {
	s := api.ModeStatus{Now: now.describe()}
	if r.Pending != nil {
		s.Pending = api.ModePending{To: r.Pending.To.describe(), Back: r.Committed.Setup.describe()}
	}
	if l := r.Last; l != nil {
		s.Last = api.ModeOutcome{To: l.To.describe(), Back: l.Back.describe(), Outcome: api.ModeOutcomeKindRolledBack, Why: l.Why, At: l.At.UTC()}
		if l.Confirmed {
			s.Last.Outcome = api.ModeOutcomeKindConfirmed
		}
	}
	var err error
	s.Ports, err = describePorts(now, owner)
	return s, err
}

// describePorts lists this host's ports, and what each is fit for.
func describePorts(now setup, owner string) ([]api.LANPort, error) {
	ports, err := iface.Ports()
	if err != nil {
		return nil, err
	}
	all := make([]api.LANPort, 0, len(ports))
	for _, p := range ports {
		port := api.LANPort{Name: p.Name, MAC: p.MAC.String(), Up: p.Up}
		for _, mode := range Modes() {
			s := setup{mode, p.Name}
			if !mode.hasLANPort() {
				continue
			}
			err := error(nil)
			if s != now {
				err = checkLANPort(s, now, owner)
			}
			if err == nil {
				port.Modes = append(port.Modes, api.Mode(mode))
			} else if mode == ModeRouter {
				port.Why = err.Error()
			}
		}
		all = append(all, port)
	}
	return all, nil
}

// survey looks at all that a plan for the request needs to know.
func (n *node) survey(req api.ModeRequest) (survey, error) {
	s := survey{now: n.setup(), want: setup{Mode(strings.ToLower(req.Mode)), req.LanPort}}
	ports, err := iface.Ports()
	if err != nil {
		return survey{}, err
	}
	for _, p := range ports {
		s.ports = append(s.ports, p.Name)
	}
	all := n.territories(group.ID{})
	if s.want.LANPort != "" {
		s.unfit = n.checkPorts(s.want, all)
	}
	_, s.undivided = n.cfg.Groups.divide(s.want, all)
	for _, nw := range n.running() {
		s.groups = append(s.groups, nw.survey())
	}
	if s.operator, err = findOperator(req.Operator); err != nil {
		return survey{}, err
	}
	return s, nil
}

// checkPorts refuses LAN ports that aren't fit for a setup.
func (n *node) checkPorts(s setup, all []territory) error {
	for _, port := range n.cfg.Groups.ports(s, all) {
		if n.bridgeOn(port) != nil {
			if err := checkBridged(setup{s.Mode, port}); err != nil {
				return err
			}
			continue
		}
		if err := checkLANPort(setup{s.Mode, port}, n.setup(), n.state.owner()); err != nil {
			return err
		}
	}
	return nil
}

func (n *network) survey() surveyed {
	d := n.membership.Descriptor()
	g := surveyed{name: d.Name, prefix: d.Prefix, port: n.node.cfg.Groups.portOf(setup{}, territoryOf(n.membership))}
	own, has := n.ownLease()
	if has {
		g.own = own.Addr
	}
	for l := range n.registry.Leases() {
		if l.Addr != g.own {
			g.hosts++
		}
	}
	if a := n.attachment.Load(); a != nil {
		g.tap = a.tap.Name()
		if a.bridge != nil {
			g.bridge = a.bridge.Name()
		}
	}
	return g
}

// findOperator finds the device by which the operator is on this host.
func findOperator(c api.OperatorConnection) (operator, error) {
	if c.Local == "" {
		return operator{}, nil
	}
	local, err := netip.ParseAddr(c.Local)
	if err != nil {
		text := fmt.Sprintf("operator.local: %q is not an IP address", c.Local)
		return operator{}, console.Invalid(errors.New(text), api.FieldError{Field: "operator.local", Detail: text})
	}
	o := operator{local: local.Unmap()}
	if remote, err := netip.ParseAddr(c.Remote); err == nil {
		o.remote = remote.Unmap()
	}
	o.device, err = iface.DeviceOf(o.local)
	return o, err
}
