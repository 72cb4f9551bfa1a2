package iface

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// UplinkWatch tells whether this host has any way to others, until it is closed.
type UplinkWatch struct {
	exclude []string
	changed func(bool)
	log     *slog.Logger
	h       *netlink.Handle
	news    *nl.NetlinkSocket
	done    chan struct{}
	running sync.WaitGroup
}

// WatchUplink calls changed at once, and whenever it is otherwise, with whether the host has an uplink: a device
// that carries frames and has a global address, that Landbridge hasn't made, and that isn't named in exclude. The calls come
// one after the other from one goroutine.
func WatchUplink(log *slog.Logger, changed func(bool), exclude ...string) (*UplinkWatch, error) {
	news, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("watch this host's devices: %w", err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		news.Close()
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	w := &UplinkWatch{exclude: exclude, changed: changed, log: log, h: h, news: news, done: make(chan struct{})}
	w.running.Go(w.run)
	return w, nil
}

// Close ends the watch; changed isn't called any more when it returns. It must not be called by changed.
func (w *UplinkWatch) Close() {
	close(w.done)
	w.news.Close()
	w.running.Wait()
	w.h.Close()
}

func (w *UplinkWatch) run() {
	last := w.read(true)
	w.changed(last)
	for {
		_, _, err := w.news.Receive()
		select {
		case <-w.done:
			return
		default:
		}
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil { // as WatchPort's
			w.log.Debug("news of devices were lost", "err", err)
			select {
			case <-w.done:
				return
			case <-time.After(rereadPause):
			}
		}
		if now := w.read(last); now != last {
			last = now
			w.changed(now)
		}
	}
}

// read asks the kernel; where it can't say it is as before.
func (w *UplinkWatch) read(before bool) bool {
	links, err := dump(w.h.LinkList)
	if err != nil {
		w.log.Debug("devices can't be listed", "err", err)
		return before
	}
	fit := make(map[int]bool)
	for _, l := range links {
		a := l.Attrs()
		_, ours := parseMarker(a.Alias)
		const carries = unix.IFF_UP | unix.IFF_RUNNING
		fit[a.Index] = !ours && a.RawFlags&carries == carries && a.RawFlags&unix.IFF_LOOPBACK == 0 && !slices.Contains(w.exclude, a.Name)
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return w.h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		w.log.Debug("addresses can't be listed", "err", err)
		return before
	}
	return slices.ContainsFunc(addrs, func(a netlink.Addr) bool {
		addr, ok := netip.AddrFromSlice(a.IP)
		_, virtual := markOf(a)
		return ok && !virtual && fit[a.LinkIndex] && addr.Unmap().IsGlobalUnicast()
	})
}
