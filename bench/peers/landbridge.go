package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"landbridge/bench/underlay"
	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// landbridge is Landbridge in interface mode, set up as an operator does it: one
// side creates the group and invites the other, which joins. What is started, and timed, is
// both appliances after that, as after a restart of their machines.
type landbridge struct {
	ends
	binary  string
	args    map[*underlay.Side][]string // of landbridge run, besides the state
	crowded bool                        // many share the machine: have more patience
	disk    string                      // directory of this machine for the states; empty: in memory, on their hosts
}

const (
	landbridgePrefix = "10.79.0.0/16"
	landbridgeDevice = "lb0"
	patience         = 20 * time.Second // for what should take a moment
)

func (l *landbridge) Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, l.binary, "version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s version: %w: %s (make build makes it)", l.binary, err, out)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "landbridge ")), nil
}

func (l *landbridge) Setup(ctx context.Context, pair *underlay.Pair) error {
	a, b := pair.A, pair.B
	daemonA, daemonB, err := l.form(ctx, a, b)
	if err != nil {
		return err
	}
	for i, s := range pair.Sides() {
		if l.ends[i], err = l.end(ctx, s); err != nil {
			return err
		}
	}
	return l.rest(ctx, a, daemonA, daemonB)
}

// rest waits until the sides have met, and stops their daemons: all that is left to do is
// to start.
func (l *landbridge) rest(ctx context.Context, a *underlay.Side, daemons ...*netlab.Cmd) error {
	// The first packet makes the session.
	if _, err := l.ends[0].Host.Run(ctx, "ping", "-q", "-c", "1", "-w", "10", l.ends[1].Addr.String()); err != nil {
		return err
	}
	return errors.Join(l.meets(ctx, a), terminate(daemons...))
}

// terminate stops daemons.
func terminate(daemons ...*netlab.Cmd) (err error) {
	for _, d := range daemons {
		err = errors.Join(err, underlay.Terminate(d))
	}
	return err
}

// form makes a group of two and starts their daemons.
func (l *landbridge) form(ctx context.Context, a, b *underlay.Side) (daemonA, daemonB *netlab.Cmd, err error) {
	if daemonA, err = l.create(ctx, a); err != nil {
		return nil, nil, err
	}
	daemonB, err = l.join(ctx, a, b)
	return daemonA, daemonB, err
}

// create makes a group on a side and starts its daemon.
func (l *landbridge) create(ctx context.Context, s *underlay.Side) (*netlab.Cmd, error) {
	if err := l.command(ctx, s, "group", "create", "--name", "bench", "--prefix", landbridgePrefix); err != nil {
		return nil, err
	}
	return l.run(ctx, s)
}

// join has the authority invite a side, which joins, and starts its daemon.
func (l *landbridge) join(ctx context.Context, authority, s *underlay.Side) (*netlab.Cmd, error) {
	var invitation api.Invitation
	err := l.wait(ctx, "an invitation", func(ctx context.Context) (bool, error) {
		err := l.ask(ctx, authority, &invitation, "group", "invite")
		return err == nil, err
	})
	if err != nil {
		return nil, err
	}
	if err := l.command(ctx, s, "join", invitation.Token, "--name", s.Name); err != nil {
		return nil, err
	}
	return l.run(ctx, s)
}

// end waits until a side has its address.
func (l *landbridge) end(ctx context.Context, s *underlay.Side) (End, error) {
	e := End{Host: s.Host}
	err := l.wait(ctx, "the address of "+s.Name, func(context.Context) (bool, error) {
		prefix, err := s.Host.Addr(landbridgeDevice)
		e.Addr = prefix.Addr()
		return err == nil, err
	})
	return e, err
}

// meets waits until a side reaches the other without a relay.
func (l *landbridge) meets(ctx context.Context, s *underlay.Side) error {
	return l.wait(ctx, "a path that isn't relayed", func(ctx context.Context) (bool, error) {
		var peers api.PeerList
		if err := l.ask(ctx, s, &peers, "peers"); err != nil {
			return false, err
		}
		for _, p := range peers.Items {
			if p.Path == api.PathKindLAN || p.Path == api.PathKindDirect {
				return true, nil
			}
		}
		return false, fmt.Errorf("peers of %s: %+v", s.Name, peers.Items)
	})
}

// timeout bounds what should take a moment.
func (l *landbridge) timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.crowded {
		return context.WithTimeout(ctx, 6*patience)
	}
	return context.WithTimeout(ctx, patience)
}

func (l *landbridge) wait(ctx context.Context, what string, cond func(context.Context) (bool, error)) error {
	ctx, cancel := l.timeout(ctx)
	defer cancel()
	return netlab.WaitFor(ctx, what, func() (bool, error) { return cond(ctx) })
}

func (l *landbridge) Start(ctx context.Context, s *underlay.Side) error {
	_, err := l.run(ctx, s)
	return err
}

// run starts a side's daemon.
func (l *landbridge) run(ctx context.Context, s *underlay.Side) (*netlab.Cmd, error) {
	args := append([]string{"run", "--state", l.state(s), "--name", s.Name}, l.args[s]...)
	return s.Spawn(ctx, l.binary, args...)
}

func (l *landbridge) state(s *underlay.Side) string {
	if l.disk != "" {
		return l.disk + "/" + s.Name
	}
	return s.Dir() + "/landbridge"
}

// command runs a landbridge command on a side.
func (l *landbridge) command(ctx context.Context, s *underlay.Side, args ...string) error {
	ctx, cancel := l.timeout(ctx)
	defer cancel()
	_, err := s.Run(ctx, l.binary, append(args, "--state", l.state(s))...)
	return err
}

// ask runs a landbridge command and reads what it answers.
func (l *landbridge) ask(ctx context.Context, s *underlay.Side, into any, args ...string) error {
	out, err := s.Command(ctx, l.binary, append(args, "--state", l.state(s), "--json")...).Output()
	if err != nil {
		return fmt.Errorf("landbridge %s on %s: %w", strings.Join(args, " "), s.Name, err)
	}
	return json.Unmarshal(out, into)
}
