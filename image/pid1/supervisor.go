package pid1

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Pauses before the program is started again: doubled with each start that didn't last.
const (
	firstPause  = 200 * time.Millisecond
	longestWait = 30 * time.Second
	lasted      = time.Minute
	stopPatient = 10 * time.Second
)

// How much memory the program's heap may take, in bytes, before its collector works all the time: a quarter of the
// machine's. Its file takes another, and must stay in memory: what is read again and again from the slot has to be
// unpacked each time.
const (
	leastLimit   = 24 << 20 // what many people at the console's pages need
	largestLimit = 96 << 20 // as anywhere
)

func memoryLimit(machine uint64) uint64 { return min(max(machine/4, leastLimit), largestLimit) }

// machineMemory returns how much memory the kernel has to give, in bytes; 0: that isn't known.
func machineMemory() uint64 {
	var st unix.Sysinfo_t
	if unix.Sysinfo(&st) != nil {
		return 0
	}
	return st.Totalram * uint64(st.Unit)
}

// Supervisor runs a program, again and again.
type Supervisor struct {
	program string
	out     io.Writer
	log     *slog.Logger
	pid     atomic.Int64 // 0: not running
	ends    atomic.Int64 // how often it has ended unasked

	mu    sync.Mutex
	args  []string
	stop  context.CancelFunc // ends what runs
	asked bool               // that it be started anew
}

// Restart has the program run with other arguments from now on.
func (s *Supervisor) Restart(args []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.args = args
	if s.stop != nil {
		s.asked = true
		s.stop()
	}
}

// wasAsked reports whether the program ended as it was to.
func (s *Supervisor) wasAsked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.asked
	s.asked = false
	return was
}

// Run runs the program until ctx is done, then ends it: SIGTERM, and SIGKILL ten seconds later.
func (s *Supervisor) Run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := s.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.wasAsked() {
			continue
		}
		s.ends.Add(1)
		if time.Since(began) > lasted {
			pause = firstPause
		}
		s.log.Error("the program ended and is started again", "err", err, "wait", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestWait)
	}
}

func (s *Supervisor) once(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.mu.Lock()
	s.stop, s.asked = stop, false
	cmd := exec.CommandContext(ctx, s.program, s.args...)
	s.mu.Unlock()
	cmd.Env = []string{"PATH=/bin:/sbin", "HOME=/state", fmt.Sprintf("GOMEMLIMIT=%d", memoryLimit(machineMemory()))}
	cmd.Stdout, cmd.Stderr = s.out, s.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatient
	if err := cmd.Start(); err != nil {
		return err
	}
	s.pid.Store(int64(cmd.Process.Pid))
	defer s.pid.Store(0)
	return cmd.Wait()
}
