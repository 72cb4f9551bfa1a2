package console

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"landbridge/console/api"
)

// ErrServed is returned by Listen when somebody serves the API on the socket already.
var ErrServed = errors.New("another appliance runs on this state")

// Listen takes the API's Unix socket at path, with mode 0600 from the first moment. A
// socket on which nobody answers, as a killed daemon leaves it, is replaced; anything
// else at path is left alone. Close removes the socket.
//
// Two callers at one moment can both see that nobody answers: hold the state's lock
// (package store) while you listen.
func Listen(path string) (net.Listener, error) {
	if len(path) > api.MaxSocketPath {
		return nil, fmt.Errorf("the socket's path %q is longer than %d bytes: use a shorter state directory", path, api.MaxSocketPath)
	}
	if err := checkVacant(path); err != nil {
		return nil, err
	}
	// Bound in a directory that nobody else can enter, narrowed, then moved into place:
	// at no time can anybody else connect. A short name, as the path's length is bounded.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, fmt.Errorf("make the socket %s: %w", path, err)
	}
	defer os.RemoveAll(dir)
	l, err := bind(filepath.Join(dir, "s"), path)
	if err != nil {
		return nil, fmt.Errorf("make the socket %s: %w", path, err)
	}
	return l, nil
}

// bind listens at tmp and moves the socket to path.
func bind(tmp, path string) (net.Listener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(tmp, 0o600), os.Rename(tmp, path)); err != nil {
		_ = l.Close()
		return nil, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return &socket{UnixListener: l, path: path, info: info}, nil
}

// checkVacant reports whether a socket may be made at path.
func checkVacant(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the socket %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is in the way and is no socket: remove it, or use another state directory", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second) //nolint:noctx // bounded, and before there is anything to cancel
	if err == nil {
		_ = conn.Close()
		return ErrServed
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	// A full backlog (EAGAIN) or a time-out: somebody is there, if busy.
	return fmt.Errorf("%w: it holds %s but does not answer (%w)", ErrServed, path, err)
}

// socket is a listener that removes its own socket, and no successor's, when it closes.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo
	once sync.Once
}

// Addr returns the socket's address where clients find it.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Close stops listening and removes the socket.
func (s *socket) Close() error {
	s.once.Do(func() {
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.info) {
			_ = os.Remove(s.path)
		}
	})
	return s.UnixListener.Close()
}
