package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
	"landbridge/internal/store"
)

// newPassword asks for a new password: twice, and without showing it, at a terminal.
func (p *program) newPassword() (string, error) {
	lines := bufio.NewReader(io.LimitReader(p.in, 2048))
	if !isTerminal(p.in) {
		return readPassword(lines)
	}
	show, err := hideTyping(p.in.(*os.File)) //nolint:forcetypeassert // a terminal is a file
	if err != nil {
		return "", err
	}
	defer show()
	fmt.Fprint(p.err, "New password: ")
	password, err := readPassword(lines)
	fmt.Fprintln(p.err)
	if err != nil {
		return "", err
	}
	fmt.Fprint(p.err, "The same again: ")
	again, err := readPassword(lines)
	fmt.Fprintln(p.err)
	if err == nil && again != password {
		err = errors.New("these were two different passwords; nothing is changed")
	}
	return password, err
}

func readPassword(lines *bufio.Reader) (string, error) {
	line, err := lines.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return "", errors.New("no password was given; nothing is changed")
	}
	return password, nil
}

// hideTyping has a terminal show nothing of what is typed, until show is called or a signal ends the
// program.
func hideTyping(terminal *os.File) (show func(), err error) {
	fd := int(terminal.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("hide what is typed: %w", err)
	}
	hidden := *was
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, fmt.Errorf("hide what is typed: %w", err)
	}
	restore := func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }
	ended, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case <-ended: // a read of a terminal doesn't end by itself
			restore()
			fmt.Fprintln(os.Stderr)
			os.Exit(exitFailed)
		case <-done:
		}
	}()
	return func() { signal.Stop(ended); close(done); restore() }, nil
}

// changeUser changes a user of the console: by the daemon, or in the state where none runs.
func (p *program) changeUser(ctx context.Context, name string, change api.UserChange) (u api.User, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client, err := api.Dial(ctx, p.socket())
	if errors.Is(err, api.ErrNoDaemon) {
		if err := p.mustHaveState(); err != nil {
			return u, err
		}
		state, err := p.offline(p.state, slog.New(newPlainLog(p.err)))
		if errors.Is(err, store.ErrInUse) {
			return u, fmt.Errorf("the appliance is starting or stopping: try again in a moment (%w)", err)
		}
		if err != nil {
			return u, err
		}
		u, err = state.ChangeUser(ctx, name, change)
		return u, errors.Join(err, state.Close())
	}
	if err != nil {
		return u, err
	}
	defer client.Close()
	res, err := client.ChangeUserWithResponse(ctx, name, change)
	if err != nil {
		return u, transportError(err)
	}
	return answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}
