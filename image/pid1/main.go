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
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/image/bundle"
	"landbridge/image/hardware"
	"landbridge/image/updating"
	"landbridge/image/userdata"
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
	m := &machine{started: time.Now(), kept: newRing(256 << 10)}
	m.run()
	return 1, true
}

// modprobe loads modules for the kernel, which calls it as: modprobe -q -- NAME.
func modprobe(args []string) int {
	m, err := hardware.OpenModules(hardware.ModulesDir)
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
	kept    *Ring // what this process and the program have logged
	log     *slog.Logger
	screen  *Screen
	modules *hardware.Modules
	cmdline string
	version string
	lost    string // the partition with the state, where that couldn't be mounted
	network *Network
	program *Supervisor
	updates *updates
	gate    *gate
	end     func(ending)
	running sync.WaitGroup

	settled atomic.Bool // whether the running slot is kept or given up

	warned   updating.Warnings // what the program knows isn't well
	unguided bool              // nothing was given to it yet, neither now nor before

	mu     sync.Mutex
	told   userdata.Data
	forget bool // the state, at the end
}

// overdue is when a machine whose slot is tried is left to its watchdog: all that should have given up by then has hung.
const overdue = trialWithin + time.Minute

func (m *machine) run() {
	debug.SetGCPercent(25) // its heap is small, and a machine of 128 MB has little to spare
	mounted := mountKernel()
	terminals := openTerminals()
	m.screen = NewScreen(writers(terminals)...)
	m.log = slog.New(slog.NewTextHandler(kernelLog(m.kept), nil))
	if mounted != nil {
		m.log.Error("file systems of the kernel", "err", mounted)
	}
	m.cmdline, m.version = contents("/proc/cmdline"), contents("/etc/landbridge-release")
	ctx, cancel := context.WithCancelCause(context.Background())
	m.end = func(how ending) { cancel(endingError{how}) }
	m.signals()
	m.screen.Warn("clock", mendClock())
	m.hardware(ctx)
	tried := hardware.Parameter(m.cmdline, "trial") == "1"
	m.running.Go(func() {
		watchdog(ctx, func() bool { return !tried || m.settled.Load() || time.Since(m.started) < overdue }, m.log)
	})
	var warning string
	m.lost, warning = openState(ctx, m.log)
	m.screen.Warn("state", warning)
	m.system(ctx)
	m.prepareUpdates(ctx, tried)
	told, wrong := configured(stateDir, m.seed)
	m.tell(told)
	m.screen.Warn("user-data", wrong...)
	m.work(ctx, told)
	for _, t := range terminals {
		go attend(ctx, func() *rescue { return m.rescue(t) }, pause) // it may wait for a line for ever, and ends with the kernel
	}
	<-ctx.Done()
	m.screen.Show("The appliance is going down.")
	m.settle()
	if m.forgetting() {
		forgetState(m.lost, m.log)
	}
	goDown(howToEnd(ctx))
}

// work starts what goes on until ctx is done.
func (m *machine) work(ctx context.Context, told userdata.Data) {
	name := m.setHostName(told.Name)
	m.network = newNetwork(management(ctx, stateDir, told.Management, m.log), name, m.log)
	m.running.Go(func() { m.network.Run(ctx) })
	servers := func() []string { return append(append([]string(nil), m.toldNow().NTP...), m.network.TimeServers()...) }
	m.running.Go(func() { keepTime(ctx, servers, func(lines ...string) { m.screen.Warn("time", lines...) }, m.log) })
	buttons(ctx, func() { m.end(powerOff) })
	m.program = &Supervisor{program: Program, args: programArgs(told), out: m.kept, log: m.log}
	m.running.Go(func() { m.program.Run(ctx) })
	go reap(ctx, func(pid int) bool { return int64(pid) == m.program.pid.Load() })
	m.running.Go(func() { m.watch(ctx) })
	m.running.Go(func() { m.updates.serve(ctx) })
	if m.lost == "" {
		m.running.Go(func() {
			m.askCloud(ctx)
			m.first(ctx)
		})
	}
}

// setHostName sets the host's name, and returns it.
func (m *machine) setHostName(name string) string {
	if name == "" {
		name = "landbridge"
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		m.log.Warn("the host's name isn't set", "err", err)
	}
	return name
}

// tell notes what the appliance is told.
func (m *machine) tell(d userdata.Data) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = d
}

func (m *machine) toldNow() userdata.Data {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told
}

// seed finds what the appliance is given. Beside a state that may come back nothing is planted.
func (m *machine) seed() seed {
	s := findSeed(m.log)
	m.unguided = s.from == ""
	if m.lost != "" {
		s.state = nil
	}
	return s
}

// programArgs has the program do as it was told, and serve its console to private networks but the
// overlay where that says nothing: the management port is the way to the Internet too, by which nobody may come
// without --console-allow.
func programArgs(d userdata.Data) []string {
	args := []string{"run", "--state", stateDir + "/landbridge", "--console-listen", "[::]:443"}
	// This process, which asks whether the console answers, comes from there.
	args = append(args, "--console-allow=127.0.0.0/8", "--console-allow=::1/128")
	if len(d.Settings["console-allow"]) == 0 {
		args = append(args, "--console-allow=private")
	}
	for _, key := range sortedKeys(d.Settings) {
		for _, v := range d.Settings[key] {
			args = append(args, "--"+key+"="+v)
		}
	}
	return args
}

// first does what is done once.
func (m *machine) first(ctx context.Context) {
	f := first{told: m.toldNow(), program: newLocal(), say: func(text string) { m.screen.Warn("first start", text) }, pause: pause}
	if err := f.once(ctx, filepath.Join(stateDir, keptApplied)); err != nil {
		m.log.Warn("what is done isn't noted", "err", err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// settle waits until all that goes on has ended, and not for ever.
func (m *machine) settle() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.running.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(2 * stopPatient):
		m.log.Error("not everything ended in time")
	}
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
func (m *machine) signals() {
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF)
	asked := make(chan os.Signal, 4)
	signal.Notify(asked, unix.SIGINT, unix.SIGTERM, unix.SIGUSR1)
	go func() {
		for s := range asked {
			if s == unix.SIGUSR1 {
				m.end(powerOff)
			}
			m.end(restart)
		}
	}()
}

// hardware loads what the machine's devices need.
func (m *machine) hardware(ctx context.Context) {
	var err error
	if m.modules, err = hardware.OpenModules(hardware.ModulesDir); err != nil {
		m.log.Error("no kernel modules", "err", err)
		return
	}
	if err := m.modules.LoadAll("/sys/devices"); err != nil {
		m.log.Warn("some drivers weren't loaded", "err", err)
	}
	for _, name := range []string{"evdev", "button", "tun"} {
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
	device, err := hardware.Partition(ctx, "/sys", "lb-esp", nil)
	if err == nil {
		err = mount(device, systemDir, "vfat", unix.MS_SYNCHRONOUS|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "umask=077")
	}
	if err != nil {
		m.log.Error("no system partition: a new slot can't be kept", "err", err)
	}
}

// prepareUpdates finds out what became of the last update, before the program asks.
func (m *machine) prepareUpdates(ctx context.Context, tried bool) {
	m.updates = &updates{
		desk: updating.Desk{Dir: updating.Dir}, log: m.log, say: func(lines ...string) { m.screen.Warn("update", lines...) }, restart: func() { m.end(restart) },
		system: disks{}, now: runningVersion(m.version), slot: hardware.Parameter(m.cmdline, "slot"), state: stateDir,
	}
	text, err := os.ReadFile(updating.KeysFile)
	if err == nil {
		m.updates.keys, err = bundle.ParseKeys(text)
	}
	if err == nil {
		err = os.MkdirAll(updating.Dir, 0o700)
	}
	if err != nil {
		m.log.Error("no updates are taken", "err", err)
	}
	m.gate = m.updates.begin(ctx, m.lost != "", tried)
}

// contents returns a small file as text; one that isn't there is empty.
func contents(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// kernelLog is where this process says what it does: kept, and in the kernel's log.
func kernelLog(kept io.Writer) io.Writer {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return kept
	}
	return io.MultiWriter(kept, f)
}
