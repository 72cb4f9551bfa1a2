package iface

import (
	"fmt"
	"log/slog"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SilenceWatch tells of neighbours that don't answer, until it is closed.
type SilenceWatch struct{ news *news }

// WatchSilence calls silent with the addresses that the kernel has asked for by ARP in vain,
// which takes it some 3 s, and with the number of the device. The calls come one after the other
// from one goroutine.
func WatchSilence(log *slog.Logger, silent func(index int, addr netip.Addr)) (*SilenceWatch, error) {
	news, err := subscribe(log, unix.RTNLGRP_NEIGH)
	if err != nil {
		return nil, fmt.Errorf("watch for neighbours that don't answer: %w", err)
	}
	w := &SilenceWatch{news: news}
	news.running.Go(func() {
		news.each(func(msgs []syscall.NetlinkMessage) {
			for _, m := range msgs {
				if m.Header.Type != unix.RTM_NEWNEIGH {
					continue
				}
				n, err := netlink.NeighDeserialize(m.Data)
				if err != nil || n.State != unix.NUD_FAILED {
					continue
				}
				if addr, ok := netip.AddrFromSlice(n.IP.To4()); ok {
					silent(n.LinkIndex, addr)
				}
			}
		})
	})
	return w, nil
}

// Close ends the watch; silent isn't called any more when it returns.
func (w *SilenceWatch) Close() { w.news.close() }
