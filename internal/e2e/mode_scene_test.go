package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// modeScene is a group of three: d, which is public; a, which serves a LAN; and m, whose
// mode is switched, behind a NAT and with a port on a wire of its own.
type modeScene struct {
	*scene
	a, m   *site
	a1     *client // of a's LAN
	h1, h2 *client // on m's wire
}

// newModeScene begins with m in interface mode, by default.
func newModeScene(t *testing.T) *modeScene {
	t.Helper()
	s := &modeScene{scene: newScene(t)}
	s.a = s.site("a")
	s.a1 = newClient(t, s.a.wire, "a1").lease(netlab.Udhcpc)
	s.m = &site{net: s.wan.Site("site-m")}
	s.m.wire = s.m.net.Wire("m-cluster")
	s.m.machine = newMachine(t, s.m.net.Host("m"))
	s.m.wire.Plug(s.m.Host, "lan0")
	s.join(s.m.machine)
	s.h1, s.h2 = newClient(t, s.m.wire, "h1"), newClient(t, s.m.wire, "h2")
	return s
}

// link is what ip -j -d link says of a device.
type link struct {
	Name   string   `json:"ifname"`
	Alias  string   `json:"ifalias"`
	Master string   `json:"master"`
	Flags  []string `json:"flags"`
	Info   struct {
		Kind string `json:"info_kind"`
	} `json:"linkinfo"`
}

func (l link) up() bool { return slices.Contains(l.Flags, "UP") }

// attachedAs says how the kernel has the machine attached, or what is amiss.
func (m *machine) attachedAs() (mode string, err error) {
	m.t.Helper()
	var links []link
	r := m.exec("ip", "-j", "-d", "link")
	if err := json.Unmarshal([]byte(r.stdout), &links); err != nil {
		m.t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	var taps, bridges []link
	var port link
	for _, l := range links {
		switch {
		case l.Name == "lan0":
			port = l
		case strings.HasPrefix(l.Alias, "landbridge:") && l.Info.Kind == "bridge":
			bridges = append(bridges, l)
		case strings.HasPrefix(l.Alias, "landbridge:"):
			taps = append(taps, l)
		}
	}
	if len(taps) != 1 || !taps[0].up() || !port.up() {
		return "", fmt.Errorf("between modes:\n%s", r.stdout)
	}
	own := m.exec("ip", "-4", "-o", "addr", "show", "dev", taps[0].Name).stdout
	present := strings.Count(m.exec("ip", "-4", "-o", "addr", "show").stdout, "/32 scope link")
	alone := len(bridges) == 0 && port.Master == "" && taps[0].Master == "" && strings.Contains(own, "inet 10.77.")
	switch {
	case alone && present == 0:
		return "interface", nil
	case alone && present == 1:
		return "hybrid", nil
	case len(bridges) == 1 && bridges[0].up() && port.Master == bridges[0].Name && taps[0].Master == bridges[0].Name && own == "" && present == 0:
		return "router", nil
	}
	return "", fmt.Errorf("between modes:\n%s%s", r.stdout, m.exec("ip", "-4", "-o", "addr", "show").stdout)
}

// isIn waits until the machine is in a mode, for the API and for the kernel.
func (m *machine) isIn(mode string) {
	m.t.Helper()
	m.wait("to be in "+mode+" mode", func() (bool, error) {
		if s := m.mode(); string(s.Now.Mode) != mode {
			return false, fmt.Errorf("it is in %s mode; last %+v", s.Now.Mode, s.Last)
		}
		as, err := m.attachedAs()
		return as == mode, err
	})
}

func (m *machine) mode() (s api.ModeStatus) {
	m.t.Helper()
	if err := m.get(&s, "mode"); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// setMode is the command that switches to a mode, on lan0 where that needs a port and more
// doesn't name one.
func setMode(mode string, more ...string) []string {
	args := append([]string{"mode", "set", mode}, more...)
	if mode != "interface" && !slices.Contains(more, "--lan-port") {
		args = append(args, "--lan-port", "lan0")
	}
	return args
}

// pinger asks an address all the time, by a way that a switch must not touch.
type pinger struct {
	t    *testing.T
	what string
	cmd  *netlab.Cmd
	out  bytes.Buffer
}

func newPinger(t *testing.T, from *netlab.Host, addr string) *pinger {
	t.Helper()
	p := &pinger{t: t, what: from.Name + " to " + addr}
	p.cmd = from.Command(context.WithoutCancel(t.Context()), "ping", "-i0.02", addr)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, io.Discard
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// end checks that hardly any reply was missing, those of the last second apart, which may still be on their way.
func (p *pinger) end(most int) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	_ = p.cmd.Wait()
	var sent, came, last int
	for line := range strings.Lines(p.out.String()) {
		var seq uint16
		if _, after, ok := strings.Cut(line, "icmp_seq="); ok && strings.Contains(line, "bytes from") && !strings.Contains(line, "DUP") {
			_, _ = fmt.Sscanf(after, "%d", &seq)
			came, last = came+1, max(last, last+int(int16(seq-uint16(last)))) // the kernel counts to 65535, and on from 0
		}
		if strings.Contains(line, "packets transmitted") {
			_, _ = fmt.Sscanf(line, "%d packets transmitted", &sent)
		}
	}
	if last == 0 || last-came > most || sent-last > 50 {
		p.t.Errorf("ping from %s: %d replies to %d requests came, and none to %d after them; want all but %d", p.what, came, last, sent-last, most)
	}
	p.t.Logf("ping from %s: %d of %d replies", p.what, came, sent)
}
