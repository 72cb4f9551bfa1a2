package pid1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Program is what the appliance runs.
const Program = "/bin/landbridge"

// Main is what the image's program does by the names /init and /sbin/modprobe; done says whether
// it was called by one of them. As PID 1 it doesn't return.
func Main(args []string) (exit int, done bool) {
	switch name := filepath.Base(args[0]); {
	case name == "modprobe":
		return modprobe(args[1:]), true
	case name != "init":
		return 0, false
	case os.Getpid() != 1:
		fmt.Fprintln(os.Stderr, "init: this is the first process of the appliance's image; on another machine run landbridge itself")
		return 2, true
	}
	m := &machine{started: time.Now()}
	m.run()
	return 1, true
}

// modprobe loads modules for the kernel, which calls it as: modprobe -q -- NAME.
func modprobe(args []string) int {
	m, err := OpenModules(modulesDir)
	for _, a := range args {
		if err == nil && !strings.HasPrefix(a, "-") {
			err = m.Load(a)
		}
	}
	if err != nil {
		return 1
	}
	return 0
}

// machine is the appliance from its start to its end.
type machine struct {
	started time.Time
	log     *slog.Logger
	screen  *Screen
	modules *Modules
	cmdline string
	running sync.WaitGroup
}

func (m *machine) run() {
	mounted := mountKernel()
	console := openConsole()
	m.screen = NewScreen(console)
	m.log = slog.New(slog.NewTextHandler(kernelLog(console), nil))
	if mounted != nil {
		m.log.Error("file systems of the kernel", "err", mounted)
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		m.log.Error("the kernel's command line", "err", err)
	}
	m.cmdline = string(cmdline)
	ctx, cancel := context.WithCancelCause(context.Background())
	end := func(how ending) { cancel(endingError{how}) }
	m.signals(end)
	m.hardware(ctx)
	warning := openState(ctx, m.log)
	m.screen.Warn(warning)
	m.system(ctx)
	m.network(ctx)
	buttons(ctx, func() { end(powerOff) })
	m.running.Go(func() { watchdog(ctx, m.log) })
	program := &Supervisor{program: Program, args: programArgs(), out: console, log: m.log}
	m.running.Go(func() { program.Run(ctx) })
	go reap(ctx, func(pid int) bool { return int64(pid) == program.pid.Load() })
	m.running.Go(func() { m.whenWell(ctx) })
	<-ctx.Done()
	m.screen.Show("The appliance is going down.")
	m.running.Wait()
	goDown(howToEnd(ctx))
}

// programArgs has the program serve its console to private networks, as the management port is
// the way to the Internet too, and without --console-allow nobody may come by that.
func programArgs() []string {
	args := []string{"run", "--state", stateDir + "/landbridge", "--console-listen", "[::]:443"}
	for _, network := range []string{
		"127.0.0.0/8", "::1/128", // the first process, which asks whether the console answers
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10",
	} {
		args = append(args, "--console-allow", network)
	}
	return args
}

// endingError is why everything ends.
type endingError struct{ how ending }

func (endingError) Error() string { return "the machine is going down" }

func howToEnd(ctx context.Context) ending {
	var e endingError
	if errors.As(context.Cause(ctx), &e) {
		return e.how
	}
	return restart
}

// signals are how the kernel and other programs ask for the end: Ctrl-Alt-Del is SIGINT.
func (m *machine) signals(end func(ending)) {
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF)
	asked := make(chan os.Signal, 4)
	signal.Notify(asked, unix.SIGINT, unix.SIGTERM, unix.SIGUSR1)
	go func() {
		for s := range asked {
			if s == unix.SIGUSR1 {
				end(powerOff)
			}
			end(restart)
		}
	}()
}

// hardware loads what the machine's devices need.
func (m *machine) hardware(ctx context.Context) {
	var err error
	if m.modules, err = OpenModules(modulesDir); err != nil {
		m.log.Error("no kernel modules", "err", err)
		return
	}
	if err := m.modules.LoadAll("/sys/devices"); err != nil {
		m.log.Warn("some drivers weren't loaded", "err", err)
	}
	for _, name := range []string{"evdev", "button"} {
		if err := m.modules.Load(name); err != nil {
			m.log.Warn("not loaded", "err", err)
		}
	}
	if _, err := os.Stat("/dev/watchdog"); err != nil {
		if err := m.modules.Load("softdog"); err != nil {
			m.log.Warn("no watchdog", "err", err)
		}
	}
	m.running.Go(func() {
		if err := hotplug(ctx, m.modules, m.log); err != nil {
			m.log.Warn("new hardware won't be noticed", "err", err)
		}
	})
}

// system mounts the partition with GRUB's environment.
func (m *machine) system(ctx context.Context) {
	device, err := partition(ctx, "/sys", "lb-esp")
	if err == nil {
		err = mount(device, systemDir, "vfat", unix.MS_SYNCHRONOUS|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "umask=077")
	}
	if err != nil {
		m.log.Error("no system partition: a new slot can't be kept", "err", err)
	}
}

// network sets the management port up: the first one, by DHCP.
func (m *machine) network(ctx context.Context) {
	if lo, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(lo)
	}
	all, err := ports()
	if err != nil || len(all) == 0 {
		m.screen.Warn("This machine has no network port that the appliance knows.")
		m.log.Error("no network port", "err", err)
		return
	}
	name := func() string { return "landbridge" }
	m.running.Go(func() { useDHCP(ctx, all[0], name, m.log) })
}

// whenWell waits until the console has answered for a while, and keeps the running slot.
func (m *machine) whenWell(ctx context.Context) {
	const enough = 5 // answers, a second apart
	for answers := 0; answers < enough; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		if consoleAnswers(ctx) {
			answers++
			m.screen.Ready(addresses(), time.Since(m.started))
		} else {
			answers = 0
		}
	}
	slot := parameter(m.cmdline, "slot")
	changed, err := keep(systemDir+"/grub/grubenv", slot)
	switch {
	case err != nil:
		m.log.Error("the running slot wasn't kept", "slot", slot, "err", err)
	case changed:
		m.log.Info("the running slot is the primary now", "slot", slot)
	}
}

// parameter returns a parameter of the kernel's command line.
func parameter(cmdline, name string) string {
	for word := range strings.FieldsSeq(cmdline) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	return ""
}

// kernelLog is where PID 1 says what it does: the kernel's log, or else the console.
func kernelLog(console io.Writer) io.Writer {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return console
	}
	return f
}

// openConsole returns the screen and the serial line as the kernel has them.
func openConsole() io.Writer {
	f, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if err != nil {
		return io.Discard
	}
	return f
}
