package pid1

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"landbridge/console/api"
	"landbridge/image/updating"
)

// Screen is what people see on the screen and on the serial line: where the console is, and what
// isn't well. Its methods are safe for concurrent use, and none waits for a terminal: one that takes
// nothing, as a serial line whose cable was drawn, must not hold up the machine.
type Screen struct {
	mu       sync.Mutex
	outs     []*outlet
	busy     map[io.Writer]bool // somebody is in its menu
	warnings updating.Warnings
	page     string
}

// NewScreen makes a screen that is seen at these places.
func NewScreen(outs ...io.Writer) *Screen {
	s := &Screen{busy: map[io.Writer]bool{}, warnings: updating.Warnings{}}
	for _, out := range outs {
		s.outs = append(s.outs, &outlet{out: out})
	}
	return s
}

// outlet is one place. What it can't take at once waits, the latest alone.
type outlet struct {
	out io.Writer

	mu      sync.Mutex
	writing bool
	waiting string
}

func (o *outlet) write(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = text
	if !o.writing {
		o.writing = true
		go o.drain() // it may wait for ever, and ends with the kernel
	}
}

// drain writes what waits, until there is nothing.
func (o *outlet) drain() {
	for {
		o.mu.Lock()
		text := o.waiting
		o.waiting, o.writing = "", text != ""
		o.mu.Unlock()
		if text == "" {
			return
		}
		_, _ = io.WriteString(o.out, text)
	}
}

// Show writes a line everywhere.
func (s *Screen) Show(line string) {
	for _, o := range s.outs {
		o.write(line + "\n")
	}
}

// Warn says what of a matter isn't well, in place of what it said before; nothing: all is.
func (s *Screen) Warn(matter string, lines ...string) {
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" })
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(lines) == 0 {
		delete(s.warnings, matter)
		return
	}
	s.warnings[matter] = lines
}

// Warnings returns all that isn't well.
func (s *Screen) Warnings() (all []string) {
	matters := s.Matters()
	for _, m := range slices.Sorted(maps.Keys(matters)) {
		all = append(all, matters[m]...)
	}
	return all
}

// Matters returns all that isn't well, by what it is about.
func (s *Screen) Matters() updating.Warnings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.warnings)
}

// Use notes whether somebody is in the menu at a place; there no page is written meanwhile.
func (s *Screen) Use(out io.Writer, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[out] = busy
}

// Page shows a page where nobody is busy, if it is another than the one before.
func (s *Screen) Page(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text == s.page {
		return
	}
	s.page = text
	for _, o := range s.outs {
		if !s.busy[o.out] {
			o.write(text)
		}
	}
}

// Latest returns the page that was shown last.
func (s *Screen) Latest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.page
}

// view is what a page shows.
type view struct {
	version  string
	urls     []string
	answers  bool // the console
	console  api.Console
	status   api.Status
	warnings []string
	ready    time.Duration // from the start to the console's first answer; 0: not yet
}

// text draws the page.
func (v view) text() string {
	var b strings.Builder
	row := func(label, value string) { fmt.Fprintf(&b, "  %-12s %s\n", label, printable(value)) }
	fmt.Fprintf(&b, "\n--- Landbridge %s %s\n", v.version, strings.TrimSpace(printable(v.status.Name)))
	for _, u := range v.urls {
		row("Console", u)
	}
	if len(v.urls) == 0 {
		row("Console", "no address yet: is the management port connected to a network with DHCP?")
	}
	switch {
	case !v.answers && v.ready == 0:
		row("State", "starting")
	case !v.answers:
		row("State", "the console doesn't answer; the program is started again where it has ended (log: in the menu)")
	default:
		row("Certificate", v.console.Fingerprint)
		if v.console.SetUp {
			row("Set up", "yes: log in")
		} else {
			row("Setup code", v.console.SetupCode)
		}
		row("Mode", string(v.status.Mode))
		for _, g := range v.status.Groups {
			row("Group", g.Name)
		}
		if len(v.status.Groups) == 0 {
			row("Group", "none yet: create or join one by the console")
		}
		if v.ready > 0 {
			row("Ready", fmt.Sprintf("%.1f s after the start", v.ready.Seconds()))
		}
		if len(v.status.Health) == 0 && len(v.warnings) == 0 {
			row("Health", "all is well")
		}
	}
	for _, h := range v.status.Health {
		if h.Component == updating.Component { // it has that from here
			continue
		}
		row("! "+string(h.Level), h.Text)
	}
	for _, w := range v.warnings {
		row("!", w)
	}
	b.WriteString("Press Enter for the menu.\n")
	return b.String()
}

// printable makes of a text one that can't move a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// consoleAnswers says whether the program's console answers on this machine.
func consoleAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1/healthz", nil)
	if err != nil {
		return false
	}
	// Its certificate is its own, made on this machine: there is nobody to vouch for it.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode < http.StatusInternalServerError
}
