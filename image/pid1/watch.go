package pid1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
	"landbridge/image/userdata"
)

// How often the appliance is looked at: until it is well, and then.
const (
	lookOften = time.Second
	lookThen  = 5 * time.Second
	wellAfter = 5 // answers of the console in a row
)

// watch shows how the appliance is, and keeps the running slot once it has been well for a while,
// which it isn't without its state: the other slot may know that.
func (m *machine) watch(ctx context.Context) {
	program := newLocal()
	v := view{version: m.version}
	for kept := false; ; {
		v.answers = consoleAnswers(ctx)
		seen := sighting{door: v.answers, lost: m.lost != "", ends: int(m.program.ends.Load())}
		if v.answers && v.ready == 0 {
			v.ready = time.Since(m.started)
		}
		if v.answers || m.gate.trial && !kept {
			if c, err := program.Console(ctx); err == nil {
				v.console = c
			}
			if s, err := program.Status(ctx); err == nil {
				v.status, seen.socket, seen.reached = s, true, reachesOthers(s)
			}
		}
		m.screen.Warn("network", m.network.Trouble())
		v.urls, v.warnings = urls(), m.screen.Warnings()
		m.warnProgram()
		m.screen.Page(v.text())
		if !kept {
			kept = m.weigh(ctx, seen)
		}
		wait := lookOften
		if kept {
			wait = lookThen
		}
		if pause(ctx, wait); ctx.Err() != nil {
			return
		}
	}
}

// warnProgram has the program's health say what the screen does. Of updates it knows more itself.
func (m *machine) warnProgram() {
	now := m.screen.Matters()
	delete(now, "update")
	if m.warned != nil && reflect.DeepEqual(now, m.warned) {
		return
	}
	if err := m.updates.desk.Warn(now); err != nil {
		m.log.Warn("the program doesn't know what isn't well", "err", err)
		return
	}
	m.warned = now
}

// weigh keeps the running slot, or gives it up, as soon as it is known which; it reports whether it is.
func (m *machine) weigh(ctx context.Context, seen sighting) bool {
	switch v, why := m.gate.judge(seen, time.Since(m.started)); v {
	case well:
		m.updates.keep(ctx)
	case up:
		m.updates.cameUp()
	case unwell:
		m.updates.giveUp(why)
	default:
		return false
	}
	m.settled.Store(true)
	return true
}

// reachesOthers reports whether another member of any group is reached.
func reachesOthers(s api.Status) bool {
	return slices.ContainsFunc(s.Groups, func(g api.GroupStatus) bool { return g.MembersConnected > 1 })
}

// openTerminals returns where people may be: the screen and the first serial line.
func openTerminals() (all []*os.File) {
	for _, name := range []string{"/dev/tty1", "/dev/ttyS0"} {
		// Not non-blocking: a terminal that is read is a thread that waits.
		fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			_ = unix.Close(fd)
			continue // a serial line that isn't there
		}
		heedless(t)
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, t) // it serves as it is, too
		all = append(all, os.NewFile(uintptr(fd), name))
	}
	return all
}

// heedless has a terminal take no key, or noise on the line, for the end of what is typed (Ctrl-D) or
// for a wish that nothing more be written (Ctrl-S).
func heedless(t *unix.Termios) {
	t.Iflag &^= unix.IXON | unix.IXOFF
	const disabled = 0 // _POSIX_VDISABLE
	for _, key := range []int{unix.VEOF, unix.VSTART, unix.VSTOP} {
		t.Cc[key] = disabled
	}
}

func writers(files []*os.File) (all []io.Writer) {
	for _, f := range files {
		all = append(all, f)
	}
	return all
}

// attend serves who is at a terminal, until ctx is done; also after its end, or a line that is too long.
func attend(ctx context.Context, anew func() *rescue, pause func(context.Context, time.Duration)) {
	for ctx.Err() == nil {
		r := anew()
		r.echo(true)
		r.serve(ctx)
		pause(ctx, time.Second) // a terminal that is gone ends at once, again and again
	}
}

// rescue serves who is at a terminal.
func (m *machine) rescue(terminal *os.File) *rescue {
	return &rescue{
		lines: bufio.NewScanner(terminal), out: terminal, hands: m,
		echo: func(on bool) { setEcho(terminal, on) }, busy: func(b bool) { m.screen.Use(terminal, b) },
	}
}

func setEcho(terminal *os.File, on bool) {
	t, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		return
	}
	t.Lflag &^= unix.ECHO
	if on {
		t.Lflag |= unix.ECHO
	}
	_ = unix.IoctlSetTermios(int(terminal.Fd()), unix.TCSETS, t)
}

// What a person at the screen can have done (interface hands).

// Page returns how the appliance is.
func (m *machine) Page() string { return m.screen.Latest() }

// Log returns the last of the log.
func (m *machine) Log() []byte { return m.kept.Last(40) }

// Network returns how the machine is reached.
func (m *machine) Network() userdata.Management { return m.network.Now() }

// SetNetwork has the machine be reached otherwise, now and after restarts.
func (m *machine) SetNetwork(ctx context.Context, file []byte) error {
	d, err := userdata.Parse("settings", file)
	if err != nil {
		return err
	}
	if err := writeSafely(filepath.Join(stateDir, keptNetwork), file); err != nil {
		return err
	}
	m.network.Change(ctx, d.Management)
	return nil
}

// ResetPassword gives a user of the console another password.
func (m *machine) ResetPassword(ctx context.Context, user, password string) error {
	return newLocal().ResetPassword(ctx, user, password)
}

// Restart has the machine start anew.
func (m *machine) Restart() { m.end(restart) }

// PowerOff switches the machine off.
func (m *machine) PowerOff() { m.end(powerOff) }

// FactoryReset forgets the state and restarts.
func (m *machine) FactoryReset() {
	m.mu.Lock()
	m.forget = true
	m.mu.Unlock()
	m.end(restart)
}

func (m *machine) forgetting() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.forget
}

// forgetState empties the state; a partition that couldn't be mounted is made anew.
func forgetState(lost string, log *slog.Logger) {
	entries, err := os.ReadDir(stateDir)
	if lost != "" {
		err = errors.Join(err, makeState(lost))
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(stateDir, e.Name())))
	}
	if err != nil {
		log.Error("not everything is forgotten", "err", err)
	}
}

// Rollback has the machine start by the other slot, if there is something in it. Unless that is well
// this one comes back; whether it reaches others is for who is at the screen to see.
func (m *machine) Rollback(ctx context.Context) error {
	_, err := m.updates.rollback(ctx, false)
	return err
}

func sortedKeys(m map[string][]string) []string { return slices.Sorted(maps.Keys(m)) }
