package iface

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
)

const nfCallIPTables = "/proc/sys/net/bridge/bridge-nf-call-iptables"

// disableIPv6 keeps the kernel from speaking IPv6 on one of our devices by itself
// (router solicitations, neighbour discovery, multicast reports), and from taking
// addresses or routes from a router advertisement. A kernel without IPv6 is fine.
func disableIPv6(dev string, log *slog.Logger) {
	path := "/proc/sys/net/ipv6/conf/" + dev + "/disable_ipv6"
	err := os.WriteFile(path, []byte("1"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("IPv6 stays on for our device: the kernel may send router solicitations there",
			"device", dev, "err", err)
	}
}

// netfilterCalls reads the switch that sends bridged frames through the host's
// iptables rules (a Docker host drops them by default): "" where nothing needs to be done.
func netfilterCalls() string {
	b, err := os.ReadFile(nfCallIPTables)
	value := strings.TrimSpace(string(b))
	if err != nil || value == "0" { // no br_netfilter here, or already quiet
		return ""
	}
	return value
}

// silenceNetfilter turns that switch off.
func silenceNetfilter() error { return os.WriteFile(nfCallIPTables, []byte("0"), 0) }

// warnNetfilter says what to do where we don't turn it off ourselves, and why we don't.
func warnNetfilter(bridge, why string, log *slog.Logger) {
	log.Warn("bridged frames pass this host's iptables rules; if hosts of the LAN get no answers, "+
		"allow them (iptables -I FORWARD -i "+bridge+" -j ACCEPT) or set net.bridge.bridge-nf-call-iptables=0",
		"bridge", bridge, "why", why)
}

// restoreNetfilter puts back what silenceNetfilter changed.
func restoreNetfilter(former string) error {
	if former == "" {
		return nil
	}
	err := os.WriteFile(nfCallIPTables, []byte(former), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
