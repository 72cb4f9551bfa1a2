package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"landbridge/internal/netlab"
)

// Path is how to get from one host to another: bare, or through a tunnel.
type Path struct {
	From, To *netlab.Host
	Addr     netip.Addr // To's
}

// Tools measures; Self is the program whose "load" command runs package load's ends.
type Tools struct{ Self string }

// output runs a program on a host and returns what it writes; a failure carries what
// it complained of.
func output(c *netlab.Cmd) ([]byte, error) {
	var complaint strings.Builder
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out, err
}

// load runs a client of package load and reads the JSON that it writes.
func (t Tools) load(c *netlab.Cmd, into any) error {
	out, err := output(c)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

// serve starts a server of package load on a host and returns when it is ready; stop
// ends it.
func (t Tools) serve(ctx context.Context, h *netlab.Host, extra []*os.File, args ...string) (stop func(), err error) {
	c := h.Command(ctx, t.Self, append([]string{"load"}, args...)...)
	c.ExtraFiles = extra
	ready, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	var complaint strings.Builder
	c.Stdout, c.Stderr = w, &complaint
	err = c.Start()
	w.Close()
	if err != nil {
		return nil, err
	}
	stop = func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	var line [1]byte
	if _, err := ready.Read(line[:]); err != nil {
		stop()
		return nil, fmt.Errorf("%s ends at once: %s (%w)", strings.Join(c.Args, " "), strings.TrimSpace(complaint.String()), err)
	}
	return stop, nil
}

// ErrNothing says that a program ran well and measured nothing.
var ErrNothing = errors.New("nothing was measured")

// timedOut reports whether a program was killed because its time was over.
func timedOut(ctx context.Context, err error) bool {
	var exit *exec.ExitError
	return ctx.Err() != nil && errors.As(err, &exit)
}
