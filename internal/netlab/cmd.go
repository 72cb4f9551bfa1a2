package netlab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// Cmd is an exec.Cmd whose process runs on a host of the lab, in all of its
// namespaces. Process.Pid is the process's number on this machine, so that
// Process.Signal reaches it. It ends at the latest when the lab is closed.
type Cmd struct {
	*exec.Cmd
	// Prepare, if set, runs on the thread that starts the process, in the host's namespaces. The
	// process inherits what it does to its thread, such as a filter of system calls.
	Prepare func() error

	host *Host
	once sync.Once
	err  error
}

// Command prepares a program to run on the host; ctx kills it. The working
// directory is this process's own unless Dir is set, files are the host's: see the
// package's documentation on what a host sees.
func (h *Host) Command(ctx context.Context, program string, args ...string) *Cmd {
	c := exec.CommandContext(ctx, program, args...)
	if path, err := lookPath(program); err == nil {
		c.Path, c.Err = path, nil
	} else {
		c.Err = err
	}
	c.Env = append(os.Environ(), "PATH="+searchPath(), mark())
	if wd, err := os.Getwd(); err == nil {
		c.Dir = wd
	}
	return &Cmd{Cmd: c, host: h}
}

// Start is exec.Cmd.Start, on the host.
func (c *Cmd) Start() error {
	if err := c.host.alive(); err != nil {
		return err
	}
	err := c.host.lab.start(c, func() error { return onThread(c.host.pidfd, enterAll, c.begin) })
	if err != nil {
		return fmt.Errorf("%s: %w", c.host.Name, err)
	}
	return nil
}

func (c *Cmd) begin() error {
	if c.Prepare != nil {
		if err := c.Prepare(); err != nil {
			return err
		}
	}
	return c.Cmd.Start()
}

// Wait is exec.Cmd.Wait; it may be called more than once.
func (c *Cmd) Wait() error {
	c.once.Do(func() {
		c.err = c.Cmd.Wait()
		c.host.lab.ended(c)
	})
	return c.err
}

// Run starts the program and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns what it wrote to its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns what it wrote.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Run runs a program on the host and returns what it wrote; a failure carries the
// command line and that output.
func (h *Host) Run(ctx context.Context, program string, args ...string) (string, error) {
	out, err := h.Command(ctx, program, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %s: %w: %s", h.Name, strings.Join(append([]string{program}, args...), " "),
			err, strings.TrimSpace(string(out)))
	}
	return string(out), err
}
