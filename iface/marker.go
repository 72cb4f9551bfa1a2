package iface

import (
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const markerPrefix = "landbridge:"

// marker is what the alias of one of our devices says. See the package comment
// for its written form.
type marker struct {
	owner   string
	port    string // bridge: the LAN port
	wasDown bool   // bridge: the port was down before we took it
	nfCall  string // bridge: the value that bridge-nf-call-iptables had; "" if we left it alone
}

// parseMarker reads an alias; ok is false if it isn't ours.
func parseMarker(alias string) (m marker, ok bool) {
	rest, ok := strings.CutPrefix(alias, markerPrefix)
	if !ok {
		return marker{}, false
	}
	words := strings.Fields(rest)
	if len(words) == 0 {
		return marker{}, false
	}
	m.owner = words[0]
	for _, w := range words[1:] {
		if v, found := strings.CutPrefix(w, "port="); found {
			m.port = v
		} else if v, found := strings.CutPrefix(w, "nf="); found {
			m.nfCall = v
		} else if w == "down" {
			m.wasDown = true
		}
	}
	return m, true
}

func (m marker) String() string {
	s := markerPrefix + m.owner
	if m.port != "" {
		s += " port=" + m.port
	}
	if m.wasDown {
		s += " down"
	}
	if m.nfCall != "" {
		s += " nf=" + m.nfCall
	}
	return s
}

// validOwner says whether s can stand in a marker: 1 to 128 characters, no spaces.
func validOwner(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsAny(s, " \t\r\n")
}

// TAPs returns the indexes of the TAPs of Landbridge, of this state and of others.
func TAPs() ([]int, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	links, err := dump(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var all []int
	for _, l := range links {
		if _, ours := parseMarker(l.Attrs().Alias); ours && l.Type() == "tuntap" {
			all = append(all, l.Attrs().Index)
		}
	}
	return all, nil
}
