package member

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a member's daemon uses (proc(5)).
type Usage struct {
	RSS, Anonymous int64 // bytes in memory; of these, what isn't the program's file
	FDs, Threads   int
	CPU            time.Duration // user and system, so far
}

// Usage says what the daemon uses now. The error says that it has ended.
func (m *Member) Usage() (u Usage, err error) {
	pid := m.Process()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return u, err
	}
	u.FDs = len(fds)
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		number, _ := strconv.ParseInt(fields[0], 10, 64)
		switch key {
		case "VmRSS":
			u.RSS = number << 10
		case "RssAnon":
			u.Anonymous = number << 10
		case "Threads":
			u.Threads = int(number)
		}
	}
	if u.RSS == 0 || u.Threads == 0 {
		return u, fmt.Errorf("process %d has ended", pid)
	}
	// The CPU clock of a process, as clock_getcpuclockid(3) names it.
	var spent unix.Timespec
	const scheduled = 2
	if err := unix.ClockGettime(int32(^pid)<<3|scheduled, &spent); err != nil {
		return u, os.NewSyscallError("clock_gettime", err)
	}
	u.CPU = time.Duration(spent.Nano())
	return u, nil
}

// Carried returns how many bytes a device of the member's machine has sent and received, headers of Ethernet included.
func (m *Member) Carried(device string) (sum int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", m.Pid()))
	if err != nil {
		return 0, err
	}
	const received, sent = 0, 8 // columns
	for line := range strings.Lines(string(text)) {
		name, values, _ := strings.Cut(line, ":")
		fields := strings.Fields(values)
		if strings.TrimSpace(name) != device || len(fields) <= sent {
			continue
		}
		in, inErr := strconv.ParseInt(fields[received], 10, 64)
		out, outErr := strconv.ParseInt(fields[sent], 10, 64)
		return in + out, errors.Join(inErr, outErr)
	}
	return 0, fmt.Errorf("%s has no device %s", m.Name, device)
}
