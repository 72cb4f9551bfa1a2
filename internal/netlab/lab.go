package netlab

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
)

var (
	errClosed = errors.New("the lab is closed")
	errGone   = errors.New("the host is gone")
)

// Lab owns everything that is made in it. Its methods may be called from several
// goroutines.
type Lab struct {
	log   *slog.Logger
	tb    TB // nil outside tests
	spawn *spawner
	wires *Host // the namespace of all LANs' bridges

	starting sync.RWMutex // read-held while a command starts or a step of building runs

	mu     sync.Mutex
	err    error
	closed bool
	next   int // numbers ports, bridges and MAC addresses
	hosts  []*Host
	pumps  []*pump
	cmds   map[*Cmd]struct{}
}

// TB is what the lab needs of a testing.TB.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Cleanup(func())
	Output() io.Writer
}

// New opens an empty lab, which the caller must Close.
//
// Methods that build (WAN, LAN, Host, Site, Plug) return no error: the first
// failure is kept for Err, and everything after it does nothing.
func New(log *slog.Logger) *Lab {
	l := &Lab{log: log, spawn: newSpawner(), cmds: make(map[*Cmd]struct{})}
	for _, err := range Missing() {
		l.fail(err)
	}
	l.wires = l.newHost("wires")
	l.build("prepare the wires", func() error {
		// Frames between hosts of one LAN are no business of any packet filter.
		return l.wires.sysctl("net/bridge/bridge-nf-call-iptables", "0", optional)
	})
	return l
}

// ForTest opens a lab that is closed when the test ends. A failure to build ends
// the test, so builders must be called on the test's own goroutine. The test is skipped
// where it doesn't run as root.
func ForTest(t TB) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("the lab makes network namespaces, which needs root")
	}
	l := New(slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(l.Close)
	if err := l.Err(); err != nil {
		t.Fatalf("%v", err)
	}
	l.mu.Lock()
	l.tb = t
	l.mu.Unlock()
	return l
}

// Err returns the first failure to build, or nil.
func (l *Lab) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close ends every process of the lab and removes all that it made. It returns
// when nothing is left. It may be called more than once.
func (l *Lab) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	if l.err == nil {
		l.err = errClosed
	}
	l.mu.Unlock()
	l.starting.Lock() // what was starting has started, nothing else will
	defer l.starting.Unlock()
	l.mu.Lock()
	hosts, pumps := l.hosts, l.pumps
	cmds := make([]*Cmd, 0, len(l.cmds))
	for c := range l.cmds {
		cmds = append(cmds, c)
	}
	l.mu.Unlock()

	for _, p := range pumps {
		p.stop()
	}
	for _, h := range hosts {
		h.kill()
	}
	// A PID namespace is gone when the last of its processes has been waited for;
	// those that nobody waits for any more are waited for here.
	var waits sync.WaitGroup
	for _, c := range cmds {
		waits.Go(func() { _ = c.Wait() })
	}
	waits.Wait()
	for _, h := range hosts {
		h.wait()
	}
	l.spawn.stop()
}

// build runs one step of building, unless an earlier one failed.
func (l *Lab) build(what string, step func() error) {
	if l.tb != nil {
		l.tb.Helper()
	}
	l.starting.RLock()
	err := l.Err()
	if err == nil {
		if err = step(); err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
	}
	l.starting.RUnlock()
	if err != nil {
		l.fail(err) // which keeps the first
	}
}

// fail keeps the first failure, and ends a test by it.
func (l *Lab) fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = fmt.Errorf("netlab: %w", err)
	}
	tb, first := l.tb, l.err
	l.mu.Unlock()
	if tb != nil {
		tb.Helper()
		tb.Fatalf("%v", first)
	}
}

// number returns a number that was not given out before.
func (l *Lab) number() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next
}

// start runs a command's start unless the lab is closed, and notes the command so
// that Close waits for it.
func (l *Lab) start(c *Cmd, start func() error) error {
	l.starting.RLock()
	defer l.starting.RUnlock()
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return errClosed
	}
	if err := start(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cmds[c] = struct{}{}
	return nil
}

// ended forgets a command that has been waited for.
func (l *Lab) ended(c *Cmd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.cmds, c)
}

// mac returns a locally administered address; the same program gives the same
// port the same address each time it runs.
func (l *Lab) mac(host, port string) net.HardwareAddr {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", host, port, l.number()))
	return net.HardwareAddr{0x0a, sum[0], sum[1], sum[2], sum[3], sum[4]}
}
