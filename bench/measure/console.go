package measure

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"landbridge/bench/flood"
	"landbridge/internal/netlab"
)

// Echoes returns the round trips of echoes at an interval, measured by a process that
// sleeps between them.
func (t Tools) Echoes(ctx context.Context, p Path, interval, length time.Duration) (times []time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, length+slack)
	defer cancel()
	err = t.load(p.From.Command(ctx, t.Self, "load", "echoes", "-to", netip.AddrPortFrom(p.Addr, 0).String(), "-every", interval.String(), "-for", length.String()), &times)
	if err == nil && len(times) == 0 {
		err = fmt.Errorf("no echo from %v: %w", p.Addr, ErrNothing)
	}
	return times, err
}

// ConsoleFlood is a flood of a console, by a process of its own ("load flood"). It is one goroutine's.
type ConsoleFlood struct {
	cmd  *netlab.Cmd
	stop io.Closer
	says *bufio.Reader
}

// SetUpConsole sets the console at url up, from a host, and returns the cookie of a session.
func (t Tools) SetUpConsole(ctx context.Context, from *netlab.Host, url, setupCode string) (cookie string, err error) {
	err = t.load(from.Command(ctx, t.Self, "load", "flood", "-console", url, "-code", setupCode), &cookie)
	return cookie, err
}

// FloodConsole floods the console at url from a host, and returns when all its streams stand.
func (t Tools) FloodConsole(ctx context.Context, from *netlab.Host, url, cookie string) (_ *ConsoleFlood, err error) {
	f := &ConsoleFlood{cmd: from.Command(ctx, "nice", "-n", "19", t.Self, "load", "flood", "-console", url, "-cookie", cookie)}
	f.cmd.Stderr = os.Stderr
	if f.stop, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.says = bufio.NewReader(out)
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := f.says.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("the flood doesn't begin: %w", err), f.cmd.Wait())
	}
	return f, nil
}

// Stop ends the flood, and returns what has become of it.
func (f *ConsoleFlood) Stop() (c flood.Counts, err error) {
	err = errors.Join(f.stop.Close(), json.NewDecoder(f.says).Decode(&c))
	return c, errors.Join(err, f.cmd.Wait())
}
