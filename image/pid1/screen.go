package pid1

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Screen is what a person sees on the screen and on the serial line: where the console is, and
// what isn't well. Its methods are safe for concurrent use.
type Screen struct {
	out io.Writer

	mu        sync.Mutex
	warnings  []string
	addresses []string
}

// NewScreen makes a screen that is written to out.
func NewScreen(out io.Writer) *Screen { return &Screen{out: out} }

// Show writes a line.
func (s *Screen) Show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%s\n", line)
}

// Warn shows what isn't well, and keeps showing it. An empty warning is none.
func (s *Screen) Warn(text string) {
	if text == "" {
		return
	}
	s.Show(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnings = append(s.warnings, text)
}

// Ready shows where the console is, whenever that has changed.
func (s *Screen) Ready(addresses []string, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(addresses, s.addresses) {
		return
	}
	s.addresses = addresses
	var b strings.Builder
	fmt.Fprintf(&b, "\nLandbridge is ready, %.1f s after its start.\n", after.Seconds())
	for _, a := range addresses {
		address, port, _ := strings.Cut(a, " on ")
		fmt.Fprintf(&b, "  Console: https://%s  (%s)\n", address, port)
	}
	if len(addresses) == 0 {
		b.WriteString("  No address yet: is the management port connected to a network with DHCP?\n")
	}
	for _, w := range s.warnings {
		fmt.Fprintf(&b, "  ! %s\n", w)
	}
	_, _ = io.WriteString(s.out, b.String())
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
