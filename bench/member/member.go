package member

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// Patience bounds everything that should take a moment.
const Patience = 30 * time.Second

// Member is a machine on which the program runs.
type Member struct {
	*netlab.Host
	Log     string // file of what the daemon says
	program string
	args    []string // of landbridge run, besides state and name
	daemon  *netlab.Cmd
	killed  atomic.Bool
	ended   chan struct{} // closed when the daemon has ended
	how     error         // it ended; read after that
}

// New returns the member on a machine, whose daemon hasn't been started. It runs program, and writes its log into a
// directory.
func New(program, logs string, h *netlab.Host, args ...string) *Member {
	return &Member{Host: h, program: program, args: args, Log: filepath.Join(logs, h.Name+".log")}
}

func (m *Member) state() string { return m.Dir() + "/landbridge" }

// Do runs a landbridge command on the member's state.
func (m *Member) Do(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	_, err := m.Run(ctx, m.program, append(args, "--state", m.state())...)
	return err
}

// Ask runs a landbridge command and reads what it answers.
func (m *Member) Ask(ctx context.Context, into any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	out, err := m.Command(ctx, m.program, append(args, "--state", m.state(), "--json")...).Output()
	if err != nil {
		return fmt.Errorf("landbridge %s on %s: %w", strings.Join(args, " "), m.Name, err)
	}
	return json.Unmarshal(out, into)
}

// Start starts the daemon and waits until it answers: see Launch.
func (m *Member) Start(ctx context.Context, ended func(error)) error {
	if err := m.Launch(ctx, ended); err != nil {
		return err
	}
	return m.Wait(ctx, "its daemon", func() (bool, error) {
		var status api.Status
		err := m.Ask(ctx, &status, "status")
		return err == nil, err
	})
}

// Launch starts the daemon. It runs until the lab is closed or Kill ends it; when it ends in another way, however it
// does, ended is called. What it says is added to the log, which the member's first daemon begins.
func (m *Member) Launch(ctx context.Context, ended func(error)) error {
	how := os.O_CREATE | os.O_APPEND | os.O_WRONLY
	if m.daemon == nil {
		how |= os.O_TRUNC
	}
	log, err := os.OpenFile(m.Log, how, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	m.killed.Store(false)
	m.daemon = m.Command(context.WithoutCancel(ctx), m.program, append([]string{"run", "--state", m.state(), "--name", m.Name}, m.args...)...)
	m.daemon.Stdout, m.daemon.Stderr = log, log
	if err := m.daemon.Start(); err != nil {
		return err
	}
	m.ended = make(chan struct{})
	go func() { // Ended tells when it is over
		defer close(m.ended)
		err := m.daemon.Wait()
		m.how = fmt.Errorf("the daemon of %s has ended (%v)\n%s", m.Name, err, m.said())
		if !m.killed.Load() {
			ended(m.how)
		}
	}()
	return nil
}

// Kill ends the daemon as a power cut does, and waits until it is gone.
func (m *Member) Kill() error {
	m.killed.Store(true)
	if err := m.daemon.Process.Kill(); err != nil {
		return err
	}
	<-m.ended
	return nil
}

// Process is the daemon's number on this machine.
func (m *Member) Process() int { return m.daemon.Process.Pid }

// Ended is closed once the daemon has ended: then How says how. It is nil where none was started.
func (m *Member) Ended() <-chan struct{} { return m.ended }

// How says how the daemon ended. It is read after Ended.
func (m *Member) How() error { return m.how }

// Join makes it a member by an invitation of the authority's.
func (m *Member) Join(ctx context.Context, authority *Member) error {
	var invitation api.Invitation
	if err := authority.Ask(ctx, &invitation, "group", "invite"); err != nil {
		return err
	}
	return m.Do(ctx, "join", invitation.Token, "--name", m.Name)
}

// Address waits for the member's own virtual address (interface mode).
func (m *Member) Address(ctx context.Context) (addr netip.Addr, err error) {
	err = m.Wait(ctx, "an address of its own", func() (bool, error) {
		prefix, err := m.Addr("lb0")
		addr = prefix.Addr()
		return err == nil, err
	})
	return addr, err
}

// Wait waits with patience until cond holds.
func (m *Member) Wait(ctx context.Context, what string, cond func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return netlab.WaitFor(ctx, m.Name+": "+what, cond)
}

// said returns the end of what the daemon has said.
func (m *Member) said() string {
	const most = 3000
	text, err := os.ReadFile(m.Log)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("---- the end of %s ----\n%s", m.Log, text[max(0, len(text)-most):])
}
