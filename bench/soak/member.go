package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// patience bounds everything that should take a moment.
const patience = 30 * time.Second

// member is a machine on which the program under test runs.
type member struct {
	*netlab.Host
	binary string
	args   []string // of landbridge run, besides state and name
	log    string   // file of what the daemon says
	daemon *netlab.Cmd
	ended  chan struct{} // closed when the daemon has ended
	how    error         // it ended; read after that
}

func newMember(o options, h *netlab.Host, args ...string) *member {
	return &member{Host: h, binary: o.binary, args: args, log: filepath.Join(o.logs, h.Name+".log")}
}

func (m *member) state() string { return m.Dir() + "/landbridge" }

// command runs a landbridge command on the member's state.
func (m *member) command(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := m.Run(ctx, m.binary, append(args, "--state", m.state())...)
	return err
}

// ask runs a landbridge command and reads what it answers.
func (m *member) ask(ctx context.Context, into any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := m.Command(ctx, m.binary, append(args, "--state", m.state(), "--json")...).Output()
	if err != nil {
		return fmt.Errorf("landbridge %s on %s: %w", strings.Join(args, " "), m.Name, err)
	}
	return json.Unmarshal(out, into)
}

// start starts the daemon and waits until it answers. It runs until the lab is closed; when it
// ends, however it does, ended is called.
func (m *member) start(ctx context.Context, ended func(error)) error {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	m.daemon = m.Command(context.WithoutCancel(ctx), m.binary, append([]string{"run", "--state", m.state(), "--name", m.Name}, m.args...)...)
	m.daemon.Stdout, m.daemon.Stderr = log, log
	if err := m.daemon.Start(); err != nil {
		return err
	}
	m.ended = make(chan struct{})
	go func() { // scene.close waits for it
		defer close(m.ended)
		err := m.daemon.Wait()
		m.how = fmt.Errorf("the daemon of %s has ended (%v)\n%s", m.Name, err, m.said())
		ended(m.how)
	}()
	return m.wait(ctx, "its daemon", func() (bool, error) {
		var status api.Status
		err := m.ask(ctx, &status, "status")
		return err == nil, err
	})
}

// join has the authority invite the member, which joins, and starts its daemon.
func (m *member) join(ctx context.Context, authority *member, ended func(error)) error {
	var invitation api.Invitation
	if err := authority.ask(ctx, &invitation, "group", "invite"); err != nil {
		return err
	}
	if err := m.command(ctx, "join", invitation.Token, "--name", m.Name); err != nil {
		return err
	}
	return m.start(ctx, ended)
}

// address waits for the member's own virtual address (interface mode).
func (m *member) address(ctx context.Context) (addr netip.Addr, err error) {
	err = m.wait(ctx, "an address of its own", func() (bool, error) {
		prefix, err := m.Addr("lb0")
		addr = prefix.Addr()
		return err == nil, err
	})
	return addr, err
}

func (m *member) wait(ctx context.Context, what string, cond func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return netlab.WaitFor(ctx, m.Name+": "+what, cond)
}

// said returns the end of what the daemon has said.
func (m *member) said() string {
	const most = 3000
	text, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("---- the end of %s ----\n%s", m.log, text[max(0, len(text)-most):])
}
