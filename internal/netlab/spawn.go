package netlab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// scratch is each host's private directory; /run is a tmpfs of the host's own.
const scratch = "/run/lab"

// initScript is what the first process of a host does before it falls asleep: it
// covers what programs on the host may write to with layers of its own (mount -n
// writes nothing to the machine's /run before that is covered). It sleeps with SIGCHLD
// ignored, so that the kernel reaps what is orphaned on the host. Were this process
// killed before the kernel noted Pdeathsig, the script would end at "echo ready", as
// nobody reads that any more.
const initScript = `
set -e
mount -n --make-rprivate /
mount -n -t tmpfs -o mode=755 tmpfs /run
mount -n -t proc proc /proc
mount -n -t sysfs sysfs /sys
mkdir -p ` + scratch + ` /run/lock /run/.lab/etc /run/.lab/etc.work /run/.lab/lib /run/.lab/lib.work
mount -n -t overlay -o lowerdir=/etc,upperdir=/run/.lab/etc,workdir=/run/.lab/etc.work overlay /etc
mount -n -t overlay -o lowerdir=/var/lib,upperdir=/run/.lab/lib,workdir=/run/.lab/lib.work overlay /var/lib
rm -f /etc/resolv.conf
: > /etc/resolv.conf
mkdir -p /var/lib/dhcp /var/lib/dhcpcd
echo "$1" > /etc/hostname
echo "$1" > /proc/sys/kernel/hostname
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$1" > /etc/hosts
echo ready
exec env --ignore-signal=CHLD sleep infinity >/dev/null 2>&1
`

// mark is the environment variable by which all processes of this process's labs
// can be found in /proc.
func mark() string { return fmt.Sprintf("LANDBRIDGE_LAB=%d", os.Getpid()) }

// spawner starts the first processes of hosts, all from one OS thread that lives
// as long as the lab: the kernel kills them (Pdeathsig) when that thread ends,
// which it does, whatever kills this process.
type spawner struct {
	jobs chan func()
	done chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), done: make(chan struct{})}
	go lockedThread(func() {
		defer close(s.done)
		for job := range s.jobs {
			job()
		}
	})
	return s
}

// stop ends the thread, and with it all that it started and is still alive.
func (s *spawner) stop() {
	close(s.jobs)
	<-s.done
}

func (s *spawner) start(cmd *exec.Cmd) error {
	res := make(chan error)
	s.jobs <- func() { res <- cmd.Start() }
	return <-res
}

// spawn starts the first process of a host called name in namespaces of its own
// and returns when these are furnished.
func (s *spawner) spawn(name string) (cmd *exec.Cmd, err error) {
	sh, err := lookPath("sh")
	if err != nil {
		return nil, err
	}
	ready, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	var complaint bytes.Buffer
	cmd = exec.Command(sh, "-c", initScript, "netlab", name)
	cmd.Env = []string{"PATH=" + searchPath(), "LC_ALL=C", mark()}
	cmd.Stdout = w
	cmd.Stderr = &complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: enterAll,
		Pdeathsig:  unix.SIGKILL,
		Setpgid:    true, // Ctrl-C is for the program, which closes the lab
	}
	err = s.start(cmd)
	w.Close()
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("making namespaces needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN): %w", err)
	}
	if err != nil {
		return nil, err
	}
	if out, err := io.ReadAll(ready); string(out) != "ready\n" {
		_ = cmd.Process.Kill()
		werr := cmd.Wait()
		return nil, fmt.Errorf("furnish the namespaces: %s (%w)",
			strings.TrimSpace(complaint.String()), errors.Join(err, werr))
	}
	return cmd, nil
}
