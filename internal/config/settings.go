package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"landbridge/internal/modes"
)

// Setting is one thing that can be configured: a key of the file and a flag of the same
// name.
type Setting struct {
	Key   string
	Value string // the placeholder of its value in help texts
	Kind  Kind
	Usage string // one line; of a list it has the placeholder in backquotes

	// Default returns the setting's value in a configuration, as it would be written.
	Default func(Config) string

	set  func(*Config, []string) error // values has one element unless Kind is List
	item func(string) error            // checks one element (List only)

	example string // of one element (List only)
}

// Kind is the shape of a setting's value.
type Kind int

// The kinds of settings.
const (
	Text Kind = iota
	Bool
	List
)

// Settings returns every setting, in the order in which a person would decide them.
func Settings() []Setting {
	return slices.Concat(attachmentSettings(), dhcpSettings(), dnsSettings(), groupSettings(), consoleSettings(), reachSettings())
}

// attachmentSettings say what the appliance is and how it is attached.
func attachmentSettings() []Setting {
	return []Setting{
		{Key: "state", Value: "DIR", Usage: "state directory: node key, groups, leases",
			Default: func(c Config) string { return c.State },
			set:     one(func(c *Config, v string) error { return setState(&c.State, v) })},
		{Key: "name", Value: "NAME", Usage: "what people call this appliance",
			Default: func(c Config) string { return c.Name },
			set:     one(func(c *Config, v string) error { c.Name = strings.ToLower(v); return CheckLabel(v) })},
		{Key: "mode", Value: "MODE", Usage: "interface: attach this host; router: attach the LAN behind lan-port; hybrid: attach this host, natively to its LAN at lan-port",
			Default: func(c Config) string { return string(c.Mode) },
			set: one(func(c *Config, v string) error {
				return oneOf(&c.Mode, v, modes.All()...)
			})},
		{Key: "lan-port", Value: "IFACE", Usage: "network interface of the LAN (router and hybrid mode)",
			Default: func(c Config) string { return c.LANPort },
			set:     one(func(c *Config, v string) error { c.LANPort = v; return checkInterfaceName(v) })},
	}
}

// reachSettings say how others reach it, and what it logs.
func reachSettings() []Setting {
	return []Setting{
		{Key: "listen", Value: "ADDR:PORT", Usage: "UDP address to listen on, and TCP unless tcp says otherwise",
			Default: func(c Config) string { return c.Listen.String() },
			set:     one(func(c *Config, v string) error { return setListen(&c.Listen, v) })},
		{Key: "tcp", Value: "ADDR:PORT", Usage: "TCP address to listen on where it is not that of listen",
			Default: func(Config) string { return "" },
			set:     one(func(c *Config, v string) error { return setListen(&c.TCP, v) })},
		{Key: "announce", Value: "HOST[:PORT]", Kind: List, Usage: "`HOST[:PORT]` at which others reach this appliance; may be given more than once",
			Default: func(c Config) string { return strings.Join(c.Announce, " ") },
			set:     setAnnounce, item: checkAnnounce, example: fmt.Sprintf("203.0.113.5:%d", DefaultPort)},
		{Key: "lan-discovery", Value: "BOOL", Kind: Bool, Usage: "look for members on this LAN by multicast",
			Default: func(c Config) string { return strconv.FormatBool(c.LANDiscovery) },
			set:     one(func(c *Config, v string) error { return setBool(&c.LANDiscovery, v) })},
		{Key: "port-mapping", Value: "BOOL", Kind: Bool, Usage: "ask the router before this host to open its ports (PCP, NAT-PMP, UPnP)",
			Default: func(c Config) string { return strconv.FormatBool(c.PortMapping) },
			set:     one(func(c *Config, v string) error { return setBool(&c.PortMapping, v) })},
		{Key: "proxy", Value: "URL", Usage: "HTTP proxy by which members are reached that UDP and TCP don't reach directly, or none (default: HTTPS_PROXY of the environment)",
			Default: func(Config) string { return "" }, // it may hold a password
			set:     one(setProxy)},
		{Key: "log-level", Value: "LEVEL", Usage: "debug, info, warn or error",
			Default: func(c Config) string { return strings.ToLower(c.LogLevel.String()) },
			set:     one(setLogLevel)},
		{Key: "log-format", Value: "FORMAT", Usage: "text or json",
			Default: func(c Config) string { return string(c.LogFormat) },
			set: one(func(c *Config, v string) error {
				return oneOf(&c.LogFormat, v, LogText, LogJSON)
			})},
	}
}

// table is the settings that a file may have.
type table []Setting

// of returns the setting with this key.
func (t table) of(key string) (Setting, bool) {
	i := slices.IndexFunc(t, func(s Setting) bool { return s.Key == key })
	if i < 0 {
		return Setting{}, false
	}
	return t[i], true
}

// one makes a setter of lists from a setter of one value: the last one counts, as with flags.
func one(set func(*Config, string) error) func(*Config, []string) error {
	return func(c *Config, values []string) error {
		if len(values) == 0 {
			return errors.New("has no value")
		}
		return set(c, values[len(values)-1])
	}
}

func oneOf[T ~string](dst *T, v string, allowed ...T) error {
	if slices.Contains(allowed, T(v)) {
		*dst = T(v)
		return nil
	}
	return fmt.Errorf("%q is not one of %s", v, orList(allowed))
}

func setState(dst *string, v string) error {
	if v == "" || strings.ContainsRune(v, 0) {
		return fmt.Errorf("want a directory, as %s", DefaultState)
	}
	*dst = filepath.Clean(v)
	return nil
}

// setListen reads ADDR:PORT, or :PORT for every address.
func setListen(dst *netip.AddrPort, v string) error {
	if port, ok := strings.CutPrefix(v, ":"); ok {
		v = "[::]:" + port
	}
	addr, err := netip.ParseAddrPort(v)
	if err != nil {
		return fmt.Errorf("%q is not an IP address with a port, as [::]:%d or 192.0.2.7:%d", v, DefaultPort, DefaultPort)
	}
	if addr.Addr().IsMulticast() {
		return fmt.Errorf("%v is a multicast address: name an address of this host, or [::] for all of them", addr.Addr())
	}
	*dst = addr
	return nil
}

func setBool(dst *bool, v string) error {
	switch v {
	case "true", "false":
		*dst = v == "true"
		return nil
	}
	return fmt.Errorf("%q is not one of true and false", v)
}

func setLogLevel(c *Config, v string) error {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if v == strings.ToLower(l.String()) {
			c.LogLevel = l
			return nil
		}
	}
	return fmt.Errorf("%q is not one of debug, info, warn and error", v)
}

// maxAnnounce bounds the announced addresses: they travel to every member.
const maxAnnounce = 16

func setAnnounce(c *Config, values []string) error {
	if len(values) > maxAnnounce {
		return fmt.Errorf("%d addresses are more than %d", len(values), maxAnnounce)
	}
	var errs []string
	for _, v := range values {
		if err := checkAnnounce(v); err != nil {
			errs = append(errs, err.Error())
		}
	}
	if len(errs) > 0 {
		return errors.New(strings.Join(errs, "; "))
	}
	c.Announce = slices.Clone(values)
	return nil
}

func checkAnnounce(v string) error {
	_, err := Multiaddrs(v)
	return err
}

// checkInterfaceName reports whether the kernel would take v as the name of a network
// interface (dev_valid_name in net/core/dev.c).
func checkInterfaceName(v string) error {
	if v == "" || len(v) > 15 || v == "." || v == ".." || strings.ContainsAny(v, "/: \t\n\v\f\r\x00") {
		return fmt.Errorf("%q can't be a network interface: want its name as in ip link, at most 15 characters", v)
	}
	return nil
}

// orList returns the values as "a, b and c".
func orList[T ~string](values []T) string {
	var b strings.Builder
	for i, v := range values {
		switch {
		case i > 0 && i == len(values)-1:
			b.WriteString(" and ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(v))
	}
	return b.String()
}

// suggest returns `: did you mean "mode"?` where a setting is at most two edits away.
func (t table) suggest(key string) string {
	if near := Nearest(key, t.keys()); near != "" {
		return ": did you mean " + strconv.Quote(near) + "?"
	}
	return ": the settings are " + orList(t.keys())
}

func (t table) keys() []string {
	keys := make([]string, len(t))
	for i, s := range t {
		keys[i] = s.Key
	}
	return keys
}

// Nearest returns which of the words somebody may have meant who wrote word: the one that
// is the fewest edits away, and at most two. It is empty where none is near.
func Nearest(word string, words []string) string {
	best, distance := "", 3
	for _, w := range words {
		if d := edits(word, w, distance); d < distance {
			best, distance = w, d
		}
	}
	return best
}

// edits returns the Levenshtein distance of a and b, or limit where it is no less.
func edits(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
