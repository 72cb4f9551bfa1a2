package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
	"landbridge/internal/oldkernel"
)

// patience bounds everything that should take a moment.
const patience = 90 * time.Second

// machine is a host of the lab on which landbridge runs.
type machine struct {
	*netlab.Host
	t      *testing.T
	flags  []string         // of landbridge run
	env    []string         // of the daemon, besides ours
	lacks  []oldkernel.Lack // what the daemon's kernel is without
	daemon *netlab.Cmd
	log    string // file of what the daemon said
}

func newMachine(t *testing.T, h *netlab.Host, flags ...string) *machine {
	t.Helper()
	m := &machine{Host: h, t: t, flags: flags, log: filepath.Join(t.TempDir(), h.Name+".log")}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		text, err := os.ReadFile(m.log)
		if err == nil {
			t.Logf("---- the end of what %s said ----\n%s", h.Name, text[max(0, len(text)-4000):])
		}
	})
	return m
}

// within returns the machine for a subtest.
func (m *machine) within(t *testing.T) *machine {
	sub := *m
	sub.t = t
	return &sub
}

func (m *machine) state() string { return m.Dir() + "/state" }

// result is how a command ended.
type result struct {
	stdout, stderr string
	code           int
}

// cli runs landbridge on the machine's state; through, if any, is a program that runs it
// in turn (setpriv and its arguments).
func (m *machine) cli(through []string, args ...string) result {
	m.t.Helper()
	return m.exec(append(append(through[:len(through):len(through)], binary, "--state", m.state()), args...)...)
}

func (m *machine) exec(words ...string) result {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := m.Command(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		m.t.Fatalf("%s: %s: %v (%v)\n%s%s", m.Name, strings.Join(words, " "), err, ctx.Err(), &stdout, &stderr)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must runs landbridge and returns what it printed; it may not fail.
func (m *machine) must(args ...string) string {
	m.t.Helper()
	r := m.cli(nil, args...)
	if r.code != 0 {
		m.t.Fatalf("%s: landbridge %s: exit %d: %s", m.Name, strings.Join(args, " "), r.code, r.stderr)
	}
	return r.stdout
}

// get runs landbridge with --json. It returns an error for WaitFor's sake.
func (m *machine) get(into any, args ...string) error {
	m.t.Helper()
	r := m.cli(nil, append(args, "--json")...)
	if r.code != 0 {
		return errors.New(strings.TrimSpace(r.stderr))
	}
	return json.Unmarshal([]byte(r.stdout), into)
}

// invite makes an invitation on the group's authority.
func (m *machine) invite(args ...string) api.Invitation {
	m.t.Helper()
	var inv api.Invitation
	if err := m.get(&inv, append([]string{"group", "invite"}, args...)...); err != nil {
		m.t.Fatalf("%s: invite: %v", m.Name, err)
	}
	return inv
}

// start starts the daemon and waits until it serves its API.
func (m *machine) start() {
	m.t.Helper()
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	args := append([]string{"run", "--state", m.state(), "--name", m.Name}, m.flags...)
	m.daemon = m.Command(context.WithoutCancel(m.t.Context()), binary, args...)
	m.daemon.Stdout, m.daemon.Stderr = log, log
	m.daemon.Env = append(m.daemon.Env, m.env...)
	if len(m.lacks) > 0 {
		m.daemon.Prepare = func() error { return oldkernel.Enter(m.lacks...) }
	}
	if err := m.daemon.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.wait("its daemon", func() (bool, error) {
		var status api.Status
		err := m.get(&status, "status")
		return err == nil, err
	})
}

// end ends the daemon by a signal and waits until it is gone.
func (m *machine) end(signal syscall.Signal) {
	m.t.Helper()
	if err := m.daemon.Process.Signal(signal); err != nil {
		m.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- m.daemon.Wait() }()
	select {
	case err := <-done:
		m.daemon = nil
		if signal != syscall.SIGKILL && err != nil {
			m.t.Errorf("%s: after %v the daemon ended with %v", m.Name, signal, err)
		}
	case <-time.After(patience):
		m.t.Fatalf("%s: the daemon doesn't end on %v", m.Name, signal)
	}
}

// wait waits with patience until cond holds.
func (m *machine) wait(what string, cond func() (bool, error)) {
	m.t.Helper()
	waitFor(m.t, m.Name+": "+what, cond)
}

func waitFor(t *testing.T, what string, cond func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := netlab.WaitFor(ctx, what, cond); err != nil {
		t.Fatal(err)
	}
}

// peer returns what the machine says of another member.
func (m *machine) peer(name string) (api.Peer, error) {
	m.t.Helper()
	var list api.PeerList
	if err := m.get(&list, "peers"); err != nil {
		return api.Peer{}, err
	}
	for _, p := range list.Items {
		if p.Name == name {
			return p, nil
		}
	}
	return api.Peer{}, errors.New(m.Name + " doesn't list " + name)
}

// status returns what the daemon says of itself.
func (m *machine) status() api.Status {
	m.t.Helper()
	var status api.Status
	if err := m.get(&status, "status"); err != nil {
		m.t.Fatal(err)
	}
	return status
}

// address returns the machine's own virtual address (interface mode), once it has one.
func (m *machine) address() (addr netip.Addr) {
	m.t.Helper()
	m.wait("an address of its own", func() (bool, error) {
		addr = m.status().Attachment.Address
		return addr.IsValid(), nil
	})
	return addr
}

// leases returns the leases that the machine serves.
func (m *machine) leases() []api.Lease {
	m.t.Helper()
	var list api.LeaseList
	if err := m.get(&list, "leases"); err != nil {
		m.t.Fatal(err)
	}
	return list.Items
}

// counter returns one of the daemon's counters; those that never moved are not listed.
func (m *machine) counter(component, name string) uint64 {
	m.t.Helper()
	var list api.CounterList
	if err := m.get(&list, "counters"); err != nil {
		m.t.Fatal(err)
	}
	for _, c := range list.Items {
		if c.Component == component && c.Name == name {
			return c.Value
		}
	}
	return 0
}

// system returns all that a daemon could change on the machine: devices, bridges,
// addresses, routes, and the state: its files, or its groups where a daemon writes there.
func (m *machine) system() string {
	m.t.Helper()
	r := m.exec("sh", "-c", `ip -d -o link; ip -4 -o addr; ip -4 route show table all; ip rule; bridge link
		[ ! -e "$0" ] || find "$0" -printf '%y %m %p\n'`, m.state())
	if r.code != 0 {
		m.t.Fatalf("%s: %s", m.Name, r.stderr)
	}
	if m.daemon != nil {
		return r.stdout + m.must("group", "show", "--json")
	}
	return r.stdout + m.exec("sh", "-c", `[ ! -e "$0" ] || find "$0" -type f -exec sha256sum {} +`, m.state()).stdout
}
