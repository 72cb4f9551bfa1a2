package underlay

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ticks is the kernel's USER_HZ, the unit of CPU times in /proc: 10 ms on every
// architecture that Linux has.
const ticks = 10 * time.Millisecond

// Usage is what a peer's programs use, on both sides.
type Usage struct {
	CPU       time.Duration // user and system
	RSS, Peak int64         // bytes in memory now, and at most so far, on the larger side
	Processes int
}

// Used returns what the programs of the peers on this process's underlay have used so
// far, on all sides or on one.
func Used(only ...*Side) (Usage, error) {
	processes, err := list()
	if err != nil {
		return Usage{}, err
	}
	var namespaces []string
	for _, s := range only {
		name, err := os.Readlink(s.NetNS())
		if err != nil {
			return Usage{}, err
		}
		namespaces = append(namespaces, name)
	}
	var u Usage
	rss, peak := make(map[string]int64), make(map[string]int64) // by host
	for _, q := range processes {
		if !q.has(Mark) || !q.has(ours()) {
			continue
		}
		host := q.namespace()
		if len(only) > 0 && !slices.Contains(namespaces, host) {
			continue
		}
		u.Processes++
		u.CPU += q.cpu
		rss[host] += q.status("VmRSS")
		peak[host] += q.status("VmHWM")
		u.RSS, u.Peak = max(u.RSS, rss[host]), max(u.Peak, peak[host])
	}
	return u, nil
}

// ours is in the environment of everything that runs on a lab of this process (see
// netlab).
func ours() string { return fmt.Sprintf("LANDBRIDGE_LAB=%d", os.Getpid()) }

// Foreign returns the CPU time that other programs on this machine have used so far:
// all but this one, what runs in its labs, and the kernel's own threads.
func Foreign() (time.Duration, error) {
	processes, err := list()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, q := range processes {
		if q.pid != os.Getpid() && !q.kernel && !q.has(ours()) {
			sum += q.cpu + q.waited
		}
	}
	return sum, nil
}

// process is what /proc tells of one.
type process struct {
	pid         int
	kernel      bool
	cpu, waited time.Duration // its own, and that of children it has waited for
	environ     string
}

// list returns the processes that are there now.
func list() ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		q, err := parseStat(string(stat))
		if err != nil {
			return nil, err
		}
		if environ, err := os.ReadFile("/proc/" + e.Name() + "/environ"); err == nil {
			q.environ = "\x00" + string(environ)
		}
		all = append(all, q)
	}
	return all, nil
}

// parseStat reads /proc/PID/stat (proc(5)). The program's name, in brackets, may hold
// anything.
func parseStat(stat string) (process, error) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("/proc/PID/stat reads %q: no program's name", stat)
	}
	fields := strings.Fields(stat[end+1:]) // the third, state, is the first here
	const ppid, utime, stime, cutime, cstime = 1, 11, 12, 13, 14
	if len(fields) <= cstime {
		return process{}, fmt.Errorf("/proc/PID/stat reads %q: too few fields", stat)
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		return n
	}
	pid, err := strconv.Atoi(strings.TrimSpace(stat[:open]))
	if err != nil {
		return process{}, fmt.Errorf("/proc/PID/stat reads %q: %w", stat, err)
	}
	const kthreadd = 2
	return process{
		pid:    pid,
		kernel: pid == kthreadd || number(ppid) == kthreadd,
		cpu:    time.Duration(number(utime)+number(stime)) * ticks,
		waited: time.Duration(number(cutime)+number(cstime)) * ticks,
	}, nil
}

// has reports whether a variable with this value is in the process's environment.
func (q process) has(variable string) bool {
	return strings.Contains(q.environ, "\x00"+variable+"\x00")
}

// status returns a size in bytes from /proc/PID/status, 0 where the process has ended.
func (q process) status(key string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", q.pid))
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == key+":" {
			kilobytes, _ := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}

// namespace names the process's network namespace.
func (q process) namespace() string {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", q.pid))
	if err != nil {
		return "" // it has ended meanwhile
	}
	return name
}
