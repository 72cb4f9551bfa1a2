package pid1

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// reap waits for orphans, which become PID 1's children, until ctx is done. The program itself is
// waited for by whoever started it.
func reap(ctx context.Context, ours func(pid int) bool) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
		}
		for _, pid := range zombies("/proc") {
			if !ours(pid) {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
		}
	}
}

// zombies returns the ended children of PID 1 (proc_pid_stat(5)).
func zombies(proc string) []int {
	files, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "stat"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		after := string(text[bytes.LastIndexByte(text, ')')+1:]) // the name in brackets may have anything in it
		if fields := strings.Fields(after); len(fields) > 1 && fields[0] == "Z" && fields[1] == "1" {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
