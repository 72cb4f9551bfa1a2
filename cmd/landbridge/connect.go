package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"landbridge/console/api"
	"landbridge/internal/store"
)

// How long commands wait for the appliance. Joining asks another site.
const (
	askTimeout  = 20 * time.Second
	joinTimeout = 75 * time.Second
	modeTimeout = 45 * time.Second // a switch is verified, and undone where it fails
	socketWait  = 3 * time.Second  // for a daemon that has the state and no socket yet
	socketRetry = 50 * time.Millisecond
)

// memberships is what a command can do with groups, with a daemon or without one.
type memberships interface {
	Groups(ctx context.Context) ([]api.Group, error)
	CreateGroup(ctx context.Context, req api.GroupCreate) (api.Group, error)
	Invite(ctx context.Context, group string, req api.InvitationCreate) (api.Invitation, error)
	Invitations(ctx context.Context, group string) ([]api.IssuedInvitation, error)
	RevokeInvitation(ctx context.Context, group, id string) (api.IssuedInvitation, error)
	Remove(ctx context.Context, group, member, reason string) (api.Removal, error)
	GroupSettings(ctx context.Context, group string) (api.GroupSettings, error)
	SetGroupSettings(ctx context.Context, group string, req api.GroupSettingsChange) (api.GroupSettings, error)
	Requests(ctx context.Context, group string) ([]api.Applicant, error)
	Approve(ctx context.Context, group, member string) (api.GroupMember, error)
	Deny(ctx context.Context, group, member, reason string) (api.Applicant, error)
	Join(ctx context.Context, req api.JoinRequest) (api.Joined, error)
	Applications(ctx context.Context) ([]api.JoinApplication, error)
	WithdrawApplication(ctx context.Context, group string) (api.JoinApplication, error)
	Leave(ctx context.Context, group string, destroyCA bool) (api.Departure, error)
}

// offline is a state without a daemon.
type offline interface {
	memberships
	restorer
	ChangeUser(ctx context.Context, name string, change api.UserChange) (api.User, error)
	Mode(ctx context.Context) (api.ModeStatus, error)
	Close() error
}

// withDaemon calls f with a client of the daemon on the state.
func (p *program) withDaemon(ctx context.Context, f func(context.Context, *api.Local) error) error {
	return p.withDaemonFor(ctx, askTimeout, f)
}

// withDaemonFor is withDaemon for what may take longer.
func (p *program) withDaemonFor(ctx context.Context, timeout time.Duration, f func(context.Context, *api.Local) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client, err := api.Dial(ctx, p.socket())
	if errors.Is(err, api.ErrNoDaemon) {
		return fmt.Errorf("no appliance is running on the state in %s: start one with landbridge run, or name another state with --state", p.state)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	return f(ctx, client)
}

// withMemberships calls f with the groups of the daemon on the state, or of the state
// itself where no daemon runs; running says which. A daemon that is just starting has
// the state before it opens its socket: it is waited for.
func (p *program) withMemberships(ctx context.Context, timeout time.Duration, f func(ctx context.Context, m memberships, running bool) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	log := slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: slog.LevelError}))
	for deadline := time.Now().Add(socketWait); ; {
		client, err := api.Dial(ctx, p.socket())
		if err == nil {
			defer client.Close()
			return f(ctx, remote{client}, true)
		}
		if !errors.Is(err, api.ErrNoDaemon) {
			return err
		}
		state, err := p.offline(p.state, log)
		if err == nil {
			return errors.Join(f(ctx, state, false), state.Close())
		}
		if !errors.Is(err, store.ErrInUse) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("another landbridge has the state in %s and hasn't answered for %v: it is starting or stopping, or it is a command that is at work. Look at its log, and try again", p.state, socketWait)
		}
		select {
		case <-ctx.Done():
			return transportError(ctx.Err())
		case <-time.After(socketRetry):
		}
	}
}

func (p *program) socket() string { return filepath.Join(p.state, api.SocketName) }

// answer returns the body of an answer, or its problem as an error.
func answer[T any](body *T, problem *api.Problem, res *http.Response) (T, error) {
	var zero T
	switch {
	case body != nil:
		return *body, nil
	case problem != nil:
		return zero, inFlags(problem)
	}
	return zero, fmt.Errorf("the appliance answered %s, which this landbridge doesn't understand: let both be of one version", res.Status)
}

// inFlags names the fields of a problem as the command line does.
func inFlags(p *api.Problem) error {
	if len(p.Errors) == 0 || !strings.HasPrefix(p.Detail, p.Errors[0].Field+": ") {
		return p // a sentence that names no field
	}
	flags := map[string]string{
		"name": "--name", "prefix": "--prefix", "zone": "--zone", "leaseSeconds": "--lease-time", "holdSeconds": "--hold-time",
		"mtu": "--mtu", "memberName": "this appliance's name", "ttlSeconds": "--expires", "uses": "--uses", "note": "--note", "addresses": "--address", "token": "the invitation", "lanPort": "--lan-port", "timeoutSeconds": "--timeout",
		"renewPercent": "--renew", "rebindPercent": "--rebind", "domain": "--domain", "search": "--search", "dnsServers": "--dns", "ntpServers": "--ntp",
		"routes": "--route", "excluded": "--exclude", "allowed": "--allow", "denied": "--deny", "ipv6Prefix": "--ipv6",
	}
	said := make([]string, len(p.Errors))
	for i, e := range p.Errors {
		field, _, _ := strings.Cut(e.Field, "[")
		said[i] = cmp.Or(flags[field], field) + ": " + e.Detail
	}
	return errors.New(strings.Join(said, "; "))
}

// transportError says what it means that a request got no answer.
func transportError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the appliance did not answer in time: look at its log, and try again")
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; what was asked may still be done")
	}
	return fmt.Errorf("the appliance ended the connection: look at its log (%w)", err)
}
