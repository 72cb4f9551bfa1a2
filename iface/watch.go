package iface

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// PortState is how a port is.
type PortState struct {
	Index   int              // the kernel's number of the device; 0: there is none of that name
	Running bool             // it is up and has a carrier
	MAC     net.HardwareAddr // nil where there is no device
}

// PortWatch tells what becomes of a port, until it is closed.
type PortWatch struct {
	name    string
	changed func(PortState)
	log     *slog.Logger
	h       *netlink.Handle
	news    *news
}

// WatchPort calls changed with the state of the device of that name, which need not exist: at once, and
// whenever the device or its IPv4 addresses have changed, perhaps to the same state. The
// calls come one after the other from one goroutine.
func WatchPort(name string, log *slog.Logger, changed func(PortState)) (*PortWatch, error) {
	news, err := subscribe(log, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("watch the LAN port %s: %w", name, err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		news.close()
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	w := &PortWatch{name: name, changed: changed, log: log, h: h, news: news}
	news.running.Go(w.run)
	return w, nil
}

// Close ends the watch; changed isn't called any more when it returns. It must not be called by changed.
func (w *PortWatch) Close() {
	w.news.close()
	w.h.Close()
}

func (w *PortWatch) run() {
	last := w.read(PortState{})
	w.changed(last)
	w.news.each(func(msgs []syscall.NetlinkMessage) {
		state := w.read(last)
		if msgs != nil && state.Index == last.Index && !concerns(msgs, state.Index) {
			return
		}
		last = state
		w.changed(state)
	})
}

// read asks the kernel for the state. Where it doesn't say, the last one stands.
func (w *PortWatch) read(last PortState) PortState {
	link, err := w.h.LinkByName(w.name)
	if err != nil {
		w.log.Debug("a device can't be looked up", "device", w.name, "err", err)
	}
	return portState(link, err, last)
}

// portState returns what the answer of the kernel says of a port that was in the state last.
func portState(link netlink.Link, err error, last PortState) PortState {
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return PortState{}
	}
	if err != nil {
		return last
	}
	a := link.Attrs()
	const running = unix.IFF_UP | unix.IFF_RUNNING
	return PortState{Index: a.Index, Running: a.RawFlags&running == running, MAC: a.HardwareAddr}
}

// concerns reports whether one of the messages is about the device.
func concerns(msgs []syscall.NetlinkMessage, index int) bool {
	for _, m := range msgs {
		switch m.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			if len(m.Data) >= unix.SizeofIfInfomsg && int(nl.DeserializeIfInfomsg(m.Data).Index) == index {
				return true
			}
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			if len(m.Data) >= unix.SizeofIfAddrmsg && int(nl.DeserializeIfAddrmsg(m.Data).Index) == index {
				return true
			}
		}
	}
	return false
}
