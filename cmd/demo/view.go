package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// view is the demo's terminal: one line a step, a spinner on the one under way
// where the output is a terminal, and the table of checks at the end.
type view struct {
	out   io.Writer
	live  bool // out is a terminal: colours, and lines that change
	start time.Time

	mu     sync.Mutex
	checks []check
	active *step
}

// check is one line of the table at the end.
type check struct {
	what   string
	detail string
	err    error
}

// step is a piece of work under way.
type step struct {
	what  string
	since time.Time
	note  string
	done  chan struct{}
	idle  chan struct{} // closed when the spinner has ended
}

func newView(f *os.File) *view {
	info, err := f.Stat()
	live := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
	return &view{out: f, live: live, start: time.Now()}
}

const (
	green = "\x1b[32m"
	red   = "\x1b[31m"
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	plain = "\x1b[0m"
)

// paint colours s where the terminal can show it.
func (v *view) paint(colour, s string) string {
	if !v.live {
		return s
	}
	return colour + s + plain
}

// say writes text as it is.
func (v *view) say(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.out, format+"\n", args...)
}

// title opens a chapter.
func (v *view) title(s string) { v.say("\n%s", v.paint(bold, s)) }

// do runs work under a line that tells what is being done and how it ended. work
// may set the note that stands at the end of its line.
func (v *view) do(what string, work func(note func(format string, args ...any)) error) error {
	s := v.begin(what)
	err := work(func(format string, args ...any) {
		v.mu.Lock()
		s.note = fmt.Sprintf(format, args...)
		v.mu.Unlock()
	})
	v.end(s, err)
	return err
}

// check runs work as do does, and enters it into the table at the end. It goes on
// after a failure: the table shows all that holds and all that doesn't.
func (v *view) check(what string, work func(note func(format string, args ...any)) error) {
	var detail string
	err := v.do(what, func(note func(string, ...any)) error {
		return work(func(format string, args ...any) {
			detail = fmt.Sprintf(format, args...)
			note("%s", detail)
		})
	})
	v.mu.Lock()
	v.checks = append(v.checks, check{what: what, detail: detail, err: err})
	v.mu.Unlock()
}

func (v *view) begin(what string) *step {
	s := &step{what: what, since: time.Now(), done: make(chan struct{}), idle: make(chan struct{})}
	v.mu.Lock()
	v.active = s
	v.mu.Unlock()
	go v.spin(s)
	return s
}

func (v *view) spin(s *step) {
	defer close(s.idle)
	if !v.live {
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		v.mu.Lock()
		fmt.Fprintf(v.out, "\r\x1b[K  %c %s %s", []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")[i%10], s.what, v.paint(dim, s.note))
		v.mu.Unlock()
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
	}
}

func (v *view) end(s *step, err error) {
	close(s.done)
	<-s.idle
	v.mu.Lock()
	defer v.mu.Unlock()
	v.active = nil
	mark, note := v.paint(green, "✓"), s.note
	if err != nil {
		mark, note = v.paint(red, "✗"), firstLine(err)
	}
	if v.live {
		fmt.Fprint(v.out, "\r\x1b[K")
	}
	took := time.Since(s.since).Round(10 * time.Millisecond)
	fmt.Fprintf(v.out, "  %s %s  %s\n", mark, s.what, v.paint(dim, strings.TrimSpace(note+fmt.Sprintf("  (%v)", took))))
}

// table writes the checks and returns how many failed.
func (v *view) table() (failed int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	width := 0
	for _, c := range v.checks {
		width = max(width, len([]rune(c.what)))
	}
	fmt.Fprintf(v.out, "\n%s\n", v.paint(bold, "Checks"))
	for _, c := range v.checks {
		mark, detail := v.paint(green, "pass"), c.detail
		if c.err != nil {
			failed++
			mark, detail = v.paint(red, "FAIL"), firstLine(c.err)
		}
		pad := strings.Repeat(" ", width-len([]rune(c.what)))
		fmt.Fprintf(v.out, "  %s  %s%s  %s\n", mark, c.what, pad, v.paint(dim, detail))
	}
	fmt.Fprintf(v.out, "\n%d passed, %d failed  (%v in all)\n", len(v.checks)-failed, failed,
		time.Since(v.start).Round(100*time.Millisecond))
	return failed
}

// firstLine returns the first of several errors, and how many more there are.
func firstLine(err error) string {
	first, rest, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	if more := strings.Count(rest, "\n"); rest != "" {
		first += fmt.Sprintf("  (and %d more lines)", more+1)
	}
	return first
}
