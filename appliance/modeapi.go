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
	"landbridge/internal/division"
	"landbridge/internal/group"
	"landbridge/internal/health"
	"landbridge/internal/modes"
)

// What the API shows and takes of the mode; package modes decides.

// newModes makes what switches the mode; r is what the state says of it.
func (n *node) newModes(r modes.Record) *modes.Switcher {
	return modes.New(n.base, r, modes.Config{
		Appliance: attacher{n}, Turn: &n.joining, Configured: n.cfg.Configured(), Log: n.log,
		Write: func(r modes.Record) error { return modes.Write(n.state.db, r) },
		Report: func(t health.Trouble) {
			if t.Finding == (health.Finding{}) {
				n.health.Clear("mode", t.Key)
				return
			}
			n.health.Report(t, time.Now())
		},
	})
}

// Mode tells how the appliance is attached, and what becomes of a switch.
func (n *node) Mode(context.Context) (api.ModeStatus, error) {
	now := n.modes.Status()
	s, err := modeStatus(n.setup(), now.Record, n.state.owner())
	if err != nil {
		return api.ModeStatus{}, err
	}
	if c := n.cfg.Configured(); c != nil {
		s.Configured = describeSetup(*c)
	}
	s.Pending = describePending(now)
	return s, nil
}

// settled refuses what can't be done during a switch of the mode.
func (n *node) settled() error { return modeProblem(n.modes.Settled()) }

// PlanMode tells what a switch would do, and does nothing.
func (n *node) PlanMode(_ context.Context, req api.ModeRequest) (api.ModePlan, error) {
	if err := n.settled(); err != nil {
		return api.ModePlan{}, err
	}
	s, err := n.survey(req)
	if err != nil {
		return api.ModePlan{}, err
	}
	p, err := s.Plan()
	if err != nil {
		return api.ModePlan{}, modeProblem(err)
	}
	return describePlan(p), nil
}

// SwitchMode switches the mode until it is confirmed, or the time for that is over. It goes
// on though who asked has gone away.
func (n *node) SwitchMode(ctx context.Context, req api.ModeRequest) (api.ModeStatus, error) {
	if !n.joining.TryLock() {
		return api.ModeStatus{}, console.Conflict(errors.New("a group is being joined or left, or another switch is at work: try again in a moment"))
	}
	defer n.joining.Unlock()
	if err := n.settled(); err != nil {
		return api.ModeStatus{}, err
	}
	s, err := n.survey(req)
	if err != nil {
		return api.ModeStatus{}, err
	}
	if _, err := s.Plan(); err != nil {
		return api.ModeStatus{}, modeProblem(err)
	}
	patience := time.Duration(req.TimeoutSeconds) * time.Second
	if patience == 0 {
		patience = modes.DefaultPatience
	}
	if err := n.modes.Run(s.Want, patience, req.Confirm); err != nil {
		return api.ModeStatus{}, modeProblem(err)
	}
	return n.Mode(ctx)
}

// ConfirmMode keeps the mode that was switched to.
func (n *node) ConfirmMode(ctx context.Context) (api.ModeStatus, error) {
	return n.endSwitch(ctx, n.modes.Commit)
}

// RollbackMode goes back to the mode before the switch.
func (n *node) RollbackMode(ctx context.Context) (api.ModeStatus, error) {
	return n.endSwitch(ctx, func() error { return n.modes.Back("by landbridge mode rollback") })
}

// endSwitch ends the switch that waits for confirmation.
func (n *node) endSwitch(ctx context.Context, end func() error) (api.ModeStatus, error) {
	n.joining.Lock()
	defer n.joining.Unlock()
	if err := n.modes.Waiting(); err != nil {
		return api.ModeStatus{}, modeProblem(err)
	}
	if err := end(); err != nil {
		return api.ModeStatus{}, modeProblem(err)
	}
	return n.Mode(ctx)
}

// Mode tells how the next start attaches the appliance, which doesn't run.
func (o *Offline) Mode(context.Context) (api.ModeStatus, error) {
	r, err := modes.Read(o.state.db)
	if err != nil {
		return api.ModeStatus{}, err
	}
	s, next, _ := r.Start(modes.Setup{Mode: o.cfg.Mode, LANPort: o.cfg.LANPort}, nil, time.Now())
	return modeStatus(s, next, o.state.owner())
}

// modeProblem puts what package modes refuses in the console's words.
func modeProblem(err error) error {
	var refused *modes.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Kind {
	case modes.Invalid:
		return console.Invalid(err, api.FieldError{Field: refused.Field, Detail: err.Error()})
	case modes.Conflict:
		return console.Conflict(err)
	default:
		return console.Unavailable(err)
	}
}

func describeSetup(s modes.Setup) api.ModeSetup {
	return api.ModeSetup{Mode: api.Mode(s.Mode), LanPort: s.LANPort}
}

func describePlan(p modes.Plan) api.ModePlan {
	d := api.ModePlan{From: describeSetup(p.From), To: describeSetup(p.To), Steps: []api.ModeStep{}, Notices: append([]string{}, p.Notices...)}
	for _, s := range p.Steps {
		d.Steps = append(d.Steps, api.ModeStep{Action: api.ModeStepAction(s.Action), Text: s.Text})
	}
	return d
}

// describePending tells how a switch stands: zero where none is pending.
func describePending(s modes.Status) (p api.ModePending) {
	if s.Record.Pending == nil {
		return p
	}
	p.To, p.Back = describeSetup(s.Record.Pending.To), describeSetup(s.Record.Committed.Setup)
	switch s.Phase {
	case modes.Applying:
		p.State = api.ModePendingStateApplying
	case modes.Waiting:
		p.State = api.ModePendingStateWaiting
	case modes.Returning:
		p.State = api.ModePendingStateReturning
	}
	if !s.Deadline.IsZero() {
		p.Deadline = s.Deadline.UTC()
		p.SecondsLeft = int64(max(time.Until(s.Deadline), 0).Round(time.Second) / time.Second)
	}
	return p
}

// modeStatus tells what a record says.
func modeStatus(now modes.Setup, r modes.Record, owner string) (api.ModeStatus, error) {
	s := api.ModeStatus{Now: describeSetup(now)}
	if l := r.Last; l != nil {
		s.Last = api.ModeOutcome{To: describeSetup(l.To), Back: describeSetup(l.Back), Outcome: api.ModeOutcomeKindRolledBack, Why: l.Why, At: l.At.UTC()}
		if l.Confirmed {
			s.Last.Outcome = api.ModeOutcomeKindConfirmed
		}
	}
	var err error
	s.Ports, err = describePorts(now, owner)
	return s, err
}

// describePorts lists this host's ports, and what each is fit for.
func describePorts(now modes.Setup, owner string) ([]api.LANPort, error) {
	ports, err := iface.Ports()
	if err != nil {
		return nil, err
	}
	facts, err := iface.FactsOfPorts()
	if err != nil {
		return nil, err
	}
	all := make([]api.LANPort, 0, len(ports))
	for _, p := range ports {
		port := api.LANPort{Name: p.Name, MAC: p.MAC.String(), Up: p.Up}
		if f := facts[p.Name]; f != nil {
			port.BitsPerSecond, port.Addresses, port.DefaultRoute, port.Gateways = f.BitsPerSecond, f.Addresses, f.Default, f.Gateways
		}
		for _, mode := range modes.All() {
			s := modes.Setup{Mode: mode, LANPort: p.Name}
			if !mode.HasLANPort() {
				continue
			}
			err := error(nil)
			if s != now {
				err = checkLANPort(s, now, owner)
			}
			if err == nil {
				port.Modes = append(port.Modes, api.Mode(mode))
			} else if mode == modes.Router {
				port.Why = err.Error()
			}
		}
		all = append(all, port)
	}
	return all, nil
}

// survey looks at all that a plan for the request needs to know.
func (n *node) survey(req api.ModeRequest) (modes.Survey, error) {
	s := modes.Survey{Now: n.setup(), Want: modes.Setup{Mode: modes.Mode(strings.ToLower(req.Mode)), LANPort: req.LanPort}}
	ports, err := iface.Ports()
	if err != nil {
		return modes.Survey{}, err
	}
	for _, p := range ports {
		s.Ports = append(s.Ports, p.Name)
	}
	all := n.territories(group.ID{})
	if s.Want.LANPort != "" {
		s.Unfit = n.checkPorts(s.Want, all)
	}
	_, s.Undivided = divide(n.cfg.Groups, n.roll.live(), s.Want, all)
	for _, nw := range n.running() {
		s.Groups = append(s.Groups, nw.survey())
	}
	if s.Operator, err = findOperator(req.Operator); err != nil {
		return modes.Survey{}, err
	}
	return s, nil
}

// checkPorts refuses LAN ports that aren't fit for a setup.
func (n *node) checkPorts(s modes.Setup, all []division.Territory) error {
	for _, port := range division.PortsOf(n.cfg.Groups, s, all) {
		if n.bridgeOn(port) != nil {
			if err := checkBridged(modes.Setup{Mode: s.Mode, LANPort: port}); err != nil {
				return err
			}
			continue
		}
		if err := checkLANPort(modes.Setup{Mode: s.Mode, LANPort: port}, n.setup(), n.state.owner()); err != nil {
			return err
		}
	}
	return nil
}

func (n *network) survey() modes.Group {
	d := n.membership.Descriptor()
	g := modes.Group{Name: d.Name, Prefix: d.Prefix, Port: division.PortOf(n.node.cfg.Groups, modes.Setup{}, territoryOf(n.membership))}
	own, has := n.ownLease()
	if has {
		g.Own = own.Addr
	}
	for l := range n.registry.Leases() {
		if l.Addr != g.Own {
			g.Hosts++
		}
	}
	if a := n.attachment.Load(); a != nil {
		g.TAP = a.tap.Name()
		if a.bridge != nil {
			g.Bridge = a.bridge.Name()
		}
	}
	return g
}

// findOperator finds the device by which the operator is on this host.
func findOperator(c api.OperatorConnection) (modes.Operator, error) {
	if c.Local == "" {
		return modes.Operator{}, nil
	}
	local, err := netip.ParseAddr(c.Local)
	if err != nil {
		text := fmt.Sprintf("operator.local: %q is not an IP address", c.Local)
		return modes.Operator{}, console.Invalid(errors.New(text), api.FieldError{Field: "operator.local", Detail: text})
	}
	o := modes.Operator{Local: local.Unmap()}
	if remote, err := netip.ParseAddr(c.Remote); err == nil {
		o.Remote = remote.Unmap()
	}
	o.Device, err = iface.DeviceOf(o.Local)
	return o, err
}
