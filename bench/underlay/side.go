package underlay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"landbridge/internal/netlab"
)

// Side is one host of a pair.
type Side struct {
	*netlab.Host
	Addr netip.Addr // on the underlay

	infrastructure bool
	logs           []string
}

// newSide puts a host on the underlay, as number last of its network.
func newSide(lan *netlab.LAN, name string, last byte, cable ...netlab.Option) *Side {
	return &Side{Host: lan.Host(name, cable...), Addr: netip.AddrFrom4([4]byte{192, 0, 2, last})}
}

// Mark is in the environment of a peer's programs and of all that they start, however
// they detach themselves.
const Mark = "LANDBRIDGE_BENCH=peer"

// Spawn starts a program of the peer, which runs until it ends by itself, ctx ends, or the
// pair is closed. What it says is in Log.
func (s *Side) Spawn(ctx context.Context, program string, args ...string) (*netlab.Cmd, error) {
	name := fmt.Sprintf("%s/%s.%d.log", s.Dir(), filepath.Base(program), len(s.logs))
	log, err := os.OpenFile(s.Path(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.logs = append(s.logs, name)
	c := s.Command(ctx, program, args...)
	if !s.infrastructure {
		c.Env = append(c.Env, Mark)
	}
	c.Stdout, c.Stderr = log, log
	return c, c.Start()
}

// Log returns the end of what the programs on this side have said.
func (s *Side) Log() string {
	var all strings.Builder
	for _, name := range s.logs {
		text, err := s.ReadFile(name)
		if err != nil || len(text) == 0 {
			continue
		}
		const most = 1000 // bytes of each
		fmt.Fprintf(&all, "%s on %s: %s\n", filepath.Base(name), s.Name, strings.TrimSpace(string(text[max(0, len(text)-most):])))
	}
	return all.String()
}

// Alias gives the side n more addresses on the underlay, from host number first on.
func (s *Side) Alias(ctx context.Context, first, n int) ([]netip.Addr, error) {
	network := s.Addr.As4()
	var all []netip.Addr
	for i := range n {
		network[3] = byte(first + i)
		addr := netip.AddrFrom4(network)
		if _, err := s.Run(ctx, "ip", "addr", "add", netip.PrefixFrom(addr, bits).String(), "dev", "eth0"); err != nil {
			return nil, err
		}
		all = append(all, addr)
	}
	return all, nil
}

// Terminate asks a program to end and waits for that.
func Terminate(c *netlab.Cmd) error {
	if err := c.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = c.Wait() // it may well say "signal: terminated"
	return nil
}
