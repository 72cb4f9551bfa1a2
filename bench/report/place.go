package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Here says where this run is, whose measurements are short or not.
func Here(ctx context.Context, quick bool) Machine {
	m := Machine{Started: time.Now().UTC(), Cores: runtime.NumCPU(), Quick: quick, CPU: runtime.GOARCH, Commit: "unknown"}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	return m
}

// Place puts a report between the markers of NAME.md, the first of which is begin, and its plot, if any, beside it as
// NAME.svg with that caption.
func Place(docs, name, caption, begin, text, svg string) error {
	document := filepath.Join(docs, name+".md")
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	if svg != "" {
		text = fmt.Sprintf("![%s](%s.svg)\n\n%s", caption, name, text)
		if err := os.WriteFile(filepath.Join(docs, name+".svg"), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	next, err := Insert(string(old), begin, text)
	if err != nil {
		return err
	}
	return os.WriteFile(document, []byte(next), 0o644)
}
