package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

// SocketName is the name of the API's Unix socket in the state directory.
const SocketName = "landbridge.sock"

// MaxSocketPath is the longest path of a Unix socket in bytes: sun_path of Linux's
// sockaddr_un is 108 bytes with its terminating zero (unix(7)).
const MaxSocketPath = 107

// ErrNoDaemon is returned by Dial when nobody serves the API on the socket.
var ErrNoDaemon = errors.New("no appliance is running on this state")

// Local is a client of an appliance on this machine. Close it when done.
type Local struct {
	*ClientWithResponses
	transport *http.Transport
}

// Dial returns a client of the appliance that listens on the Unix socket at path. It
// connects once to see that somebody is there: ErrNoDaemon where nobody is.
// Each request may take as long as its context allows.
func Dial(ctx context.Context, path string) (*Local, error) {
	if len(path) > MaxSocketPath {
		return nil, fmt.Errorf("the socket's path %q is longer than %d bytes: use a shorter state directory", path, MaxSocketPath)
	}
	var dialer net.Dialer
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", path)
	}
	probe, err := dial(ctx, "", "")
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNoDaemon
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s may be opened only by the user that runs the appliance: use sudo, or be that user", path)
	case err != nil:
		return nil, fmt.Errorf("open the appliance's socket: %w", err)
	}
	_ = probe.Close()

	transport := &http.Transport{DialContext: dial, IdleConnTimeout: 30 * time.Second}
	client, err := NewClientWithResponses("http://landbridge", WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return &Local{ClientWithResponses: client, transport: transport}, nil
}

// Close closes the connections to the appliance.
func (l *Local) Close() error {
	l.transport.CloseIdleConnections()
	return nil
}

// Error makes a problem an error: its detail, or its title where it has none.
func (p Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}
