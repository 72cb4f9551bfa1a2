package iface

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// rereadPause is how long is waited after the kernel's news were lost or failed.
const rereadPause = 100 * time.Millisecond

// news is what the kernel tells of changes, until it is closed (rtnetlink(7)).
type news struct {
	socket  *nl.NetlinkSocket
	log     *slog.Logger
	done    chan struct{}
	running sync.WaitGroup // who reads
}

func subscribe(log *slog.Logger, groups ...uint) (*news, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return nil, err
	}
	return &news{socket: socket, log: log, done: make(chan struct{})}, nil
}

// each hands over messages as they come, until close; nil where some were lost, so that
// what counts must be looked at.
func (n *news) each(take func([]syscall.NetlinkMessage)) {
	for {
		msgs, _, err := n.socket.Receive()
		select {
		case <-n.done:
			return
		default:
		}
		if err != nil {
			if errors.Is(err, os.ErrClosed) {
				return
			}
			n.log.Debug("the kernel's news were lost", "err", err) // ENOBUFS: more has happened than fits
			msgs = nil
			select {
			case <-n.done:
				return
			case <-time.After(rereadPause):
			}
		}
		take(msgs)
	}
}

// close ends it and waits for who reads.
func (n *news) close() {
	close(n.done)
	n.socket.Close()
	n.running.Wait()
}
