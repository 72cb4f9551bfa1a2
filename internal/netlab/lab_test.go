package netlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pings reports whether a ping is answered, which is repeated for five seconds.
func pings(t *testing.T, from *Host, to netip.Addr) bool {
	t.Helper()
	_, err := from.Run(t.Context(), "ping", "-c1", "-i0.3", "-w5", to.String())
	return err == nil
}

func TestSitesAreApartAndReachTheWAN(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	d := wan.Host("d", At(netip.MustParseAddr("203.0.113.77")))
	a := wan.Site("a", Inner("192.168.7.0/24"))
	b := wan.Site("b", Inner("192.168.7.0/24"))
	a1, a2, b1 := a.Host("a1"), a.Host("a2", At(netip.MustParseAddr("192.168.7.200"))), b.Host("b1")
	for _, h := range []*Host{a1, a2, b1} {
		if !pings(t, h, d.Port("eth0").Addr()) {
			t.Errorf("%s does not reach the public host", h.Name)
		}
	}
	if got := d.Port("eth0").Addr().String(); got != "203.0.113.77" {
		t.Errorf("d has the address %s", got)
	}
	if a1.Port("eth0").Addr() != b1.Port("eth0").Addr() {
		t.Fatalf("equal prefixes gave %v and %v", a1.Port("eth0").Addr(), b1.Port("eth0").Addr())
	}
	if !pings(t, a1, a2.Port("eth0").Addr()) {
		t.Error("a1 does not reach a2 on its LAN")
	}
	for _, c := range []struct {
		from *Host
		to   netip.Addr
		what string
	}{
		{b1, a2.Port("eth0").Addr(), "another site's private address"},
		{d, a1.Port("eth0").Addr(), "a private address from the WAN"},
	} {
		if pings(t, c.from, c.to) {
			t.Errorf("%s reaches %s", c.from.Name, c.what)
		}
	}
	// Who has a1's address? Its neighbours on site a know one machine, on b another.
	mac := func(h *Host) string {
		m, err := h.MAC("eth0")
		if err != nil {
			t.Error(err)
		}
		return m.String()
	}
	known, err := a2.Neighbours("eth0")
	if err != nil || known[a1.Port("eth0").Addr()].String() != mac(a1) || mac(a1) == mac(b1) {
		t.Errorf("a2's neighbours are %v (%v), a1 is %s, b1 is %s", known, err, mac(a1), mac(b1))
	}
}

func TestTheWANDropsForgedSources(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	victim, liar, target := wan.Host("victim"), wan.Host("liar"), wan.Host("target")
	forged := victim.Port("eth0").Addr()
	if _, err := liar.Run(t.Context(), "ip", "addr", "add", forged.String()+"/32", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	to := udp(t, target, target.Port("eth0").Addr())
	own := liar.Port("eth0").Addr()
	for _, from := range []netip.Addr{own, forged, own} {
		if _, err := udp(t, liar, from).WriteToUDPAddrPort([]byte("hello"), addrOf(to)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // what is sent last shows that what was sent before it doesn't come
		var buf [64]byte
		to.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, from, err := to.ReadFromUDPAddrPort(buf[:]); err != nil || from.Addr() != own {
			t.Errorf("from %v arrived a datagram, want it from %v (%v)", from, own, err)
		}
	}
	if more := drain(to, 100*time.Millisecond); more > 0 {
		t.Errorf("%d datagrams more arrived", more)
	}
}

func TestAWireCarriesFramesAndHasNoAddresses(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	site := lab.WAN("203.0.113.0/24").Site("a")
	box, wire := site.Host("box"), site.Wire("cluster")
	port := wire.Plug(box, "lan0")
	h1, h2 := wire.Host("h1"), wire.Host("h2")
	for _, c := range []struct {
		h      *Host
		device string
	}{{box, "lan0"}, {h1, "eth0"}, {h2, "eth0"}} {
		if addr, err := c.h.Addr(c.device); !errors.Is(err, ErrNoAddress) {
			t.Errorf("%s %s has the address %v (%v)", c.h.Name, c.device, addr, err)
		}
	}
	if port.Addr().IsValid() || box.Port("lan0") != port || box.Port("nope") != nil {
		t.Errorf("box's port is %+v", port)
	}
	routes, err := box.Run(t.Context(), "ip", "route", "show", "default")
	if err != nil || strings.Count(routes, "default") != 1 || !strings.Contains(routes, "dev eth0") {
		t.Errorf("box's default route is %q (%v)", routes, err)
	}
	for i, h := range []*Host{h1, h2, box} {
		addr := netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)})
		if _, err := h.Run(t.Context(), "ip", "addr", "add", addr.String()+"/24", "dev", map[*Host]string{box: "lan0"}[h]+map[bool]string{true: "eth0"}[h != box]); err != nil {
			t.Fatal(err)
		}
		if !pings(t, h, netip.MustParseAddr("10.9.0.1")) {
			t.Errorf("%s does not reach h1", h.Name)
		}
	}
}

func TestAMovedHostKeepsItsAddressAndItsCarrier(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	here, there := lab.LAN("here"), lab.LAN("there")
	vm := here.Host("vm")
	neighbours := []*Host{here.Host("neighbour here"), there.Host("neighbour there")}
	for i, h := range append([]*Host{vm}, neighbours...) {
		if _, err := h.Run(t.Context(), "ip", "addr", "add", netip.AddrFrom4([4]byte{10, 9, 0, byte(min(i+1, 2))}).String()+"/24", "dev", "eth0"); err != nil {
			t.Fatal(err)
		}
	}
	two := netip.MustParseAddr("10.9.0.2") // either neighbour
	macOfTwo := func() string {
		if _, err := vm.Run(t.Context(), "ip", "neigh", "flush", "all"); err != nil {
			t.Fatal(err)
		}
		if !pings(t, vm, two) {
			t.Error("vm reaches nobody")
		}
		table, err := vm.Neighbours("eth0")
		if err != nil {
			t.Fatal(err)
		}
		return table[two].String()
	}
	for i, lan := range []*LAN{here, there} {
		if err := vm.Port("eth0").MoveTo(lan); err != nil {
			t.Fatal(err)
		}
		want, err := neighbours[i].MAC("eth0")
		if err != nil {
			t.Fatal(err)
		}
		if got := macOfTwo(); got != want.String() {
			t.Errorf("on %s the neighbour is %s, want %v", lan.Name, got, want)
		}
	}
	changes, err := vm.Run(t.Context(), "cat", "/sys/class/net/eth0/carrier_down_count")
	if err != nil || changes != "1\n" { // before it was first plugged in
		t.Errorf("the carrier went down %q times (%v)", changes, err)
	}
	if err := lab.WAN("203.0.113.0/24").Host("w").Port("eth0").MoveTo(here); err == nil {
		t.Error("a port moved from the WAN to a LAN")
	}
}

func TestAHostHasFilesOfItsOwn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	lab := ForTest(t)
	lan := lab.LAN("lan")
	a, b := lan.Host("a"), lan.Host("b")
	secret := a.Dir() + "/secret"
	if err := a.WriteFile(secret, []byte("of a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := a.Run(ctx, "cat", secret); err != nil || out != "of a" {
		t.Errorf("a reads %q (%v)", out, err)
	}
	if out, err := b.Run(ctx, "cat", secret); err == nil {
		t.Errorf("b reads a's file: %q", out)
	}
	if _, err := os.Stat(secret); err == nil {
		t.Errorf("%s is on the machine", secret)
	}
	for _, file := range []string{"/etc/resolv.conf", "/etc/lab-test", "/var/lib/lab-test", "/run/lab-test"} {
		before, _ := os.ReadFile(file)
		if _, err := a.Run(ctx, "sh", "-c", "echo mine > "+file); err != nil {
			t.Error(err)
		}
		if got, err := a.ReadFile(file); err != nil || string(got) != "mine\n" {
			t.Errorf("%s on the host is %q (%v)", file, got, err)
		}
		if after, _ := os.ReadFile(file); string(after) != string(before) {
			t.Errorf("%s of the machine is now %q", file, after)
		}
	}
	if err := a.WriteFile("/tmp/lab-test", nil, 0o600); err == nil {
		t.Error("WriteFile wrote to what the host shares with the machine")
	}
	if err := a.WriteFile("/run/../tmp/lab-test", nil, 0o600); err == nil {
		t.Error("WriteFile wrote to what the host shares with the machine")
	}
	if out, err := a.Run(ctx, "hostname"); err != nil || out != "a\n" {
		t.Errorf("a is called %q (%v)", out, err)
	}
}

func TestACommandRunsOnItsHostAndDiesWhenKilled(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	h := lab.LAN("lan").Host("h")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	out, w := io.Pipe()
	short, kill := context.WithCancel(ctx)
	defer kill()
	cmd := h.Command(short, "sh", "-c", "echo $$; pwd; exec sleep 1000")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make([]byte, 0, 100)
	for bytes.Count(lines, []byte("\n")) < 2 {
		buf := make([]byte, 100)
		n, err := out.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, buf[:n]...)
	}
	wd, _ := os.Getwd()
	inner, dir, _ := strings.Cut(strings.TrimSpace(string(lines)), "\n")
	if dir != wd {
		t.Errorf("the command runs in %s, want %s", dir, wd)
	}
	if err := WaitFor(ctx, "process "+inner+" on the host to be the command", func() (bool, error) {
		out, err := h.Run(ctx, "cat", "/proc/"+inner+"/cmdline")
		return out == "sleep\x001000\x00", err
	}); err != nil {
		t.Error(err)
	}
	kill()
	if err := cmd.Wait(); err == nil || cmd.Wait() != err {
		t.Errorf("the killed command ended with %v, then %v", err, cmd.Wait())
	}
	if err := unix.Kill(cmd.Process.Pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the process lives on: %v", err)
	}
	// An orphan's end leaves no zombie.
	if _, err := h.Run(ctx, "sh", "-c", "setsid true & exit"); err != nil {
		t.Error(err)
	}
	if err := WaitFor(ctx, "the orphan's end", func() (bool, error) {
		out, err := h.Run(ctx, "sh", "-c", "cat /proc/[0-9]*/stat")
		return !strings.Contains(out, "(true)"), err
	}); err != nil {
		t.Error(err)
	}
}

func TestAFailureSaysWhatToDo(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	h := lab.LAN("lan").Host("h")
	var missing MissingProgramError
	if _, err := h.Run(t.Context(), "no-such-program"); !errors.As(err, &missing) || missing.Program != "no-such-program" {
		t.Errorf("a missing program: %v", err)
	}
	if err := (MissingProgramError{"dhclient", packages()["dhclient"]}).Error(); !strings.Contains(err, "apt-get install isc-dhcp-client") {
		t.Error(err)
	}
	if _, err := h.StartDHCP(t.Context(), "pump", "eth0"); err == nil || !strings.Contains(err.Error(), "there are dhclient, udhcpc") {
		t.Errorf("an unknown DHCP client: %v", err)
	}
	if _, err := h.Dial(t.Context(), "tcp", "localhost:80"); err == nil || !strings.Contains(err.Error(), "literal") {
		t.Errorf("dialling a name: %v", err)
	}
	_, err := h.Run(t.Context(), "sh", "-c", "echo reason; exit 3")
	if err == nil || !strings.Contains(err.Error(), "h: sh -c echo reason; exit 3: exit status 3: reason") {
		t.Errorf("a failing command: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = WaitFor(ctx, "rain", func() (bool, error) { return false, errors.New("blue sky") })
	if err == nil || !strings.Contains(err.Error(), "rain") || !strings.Contains(err.Error(), "blue sky") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting in vain: %v", err)
	}
	// No DHCP server: the client's own words are in the error.
	discovers := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		_, err := h.StartDHCP(ctx, Dhclient, "eth0")
		if err == nil || !strings.Contains(err.Error(), "DHCPDISCOVER on eth0") {
			return fmt.Errorf("no lease within %v: %v", within, err)
		}
		return nil
	}
	if discovers(3*time.Second) != nil { // in which a busy machine may not have started it
		if err := discovers(30 * time.Second); err != nil {
			t.Error(err)
		}
	}
}

func TestAfterAFailedStepNothingMoreIsBuilt(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("makes network namespaces, which needs root")
	}
	none := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		name, want string
		step       func(*Lab)
	}{
		{"prefix", "host bits", func(l *Lab) { l.WAN("203.0.113.5/24") }},
		{"tiny prefix", "/29 or shorter", func(l *Lab) { l.WAN("203.0.113.0/31") }},
		{"address", "192.0.2.1 is not in 203.0.113.0/24", func(l *Lab) { l.WAN("203.0.113.0/24").Host("h", At(none)) }},
		{"inner address", "192.0.2.1 is not in 192.168.1.0/24", func(l *Lab) { l.WAN("203.0.113.0/24").Site("s").Host("h", At(none)) }},
		{"loss", "between 0 and 1", func(l *Lab) { l.WAN("203.0.113.0/24").Host("h", Link{Loss: 7}) }},
		{"second eth0", "h has a port eth0 already", func(l *Lab) { n := l.LAN("n"); n.Plug(n.Host("h"), "eth0") }},
		{"NAT", "unknown kind", func(l *Lab) { l.WAN("203.0.113.0/24").Site("s", Behind(NAT(9))) }},
		{"long name", "name-too-long-for-a-device", func(l *Lab) { n := l.LAN("n"); n.Plug(n.Host("h"), "name-too-long-for-a-device") }},
	} {
		lab := New(slog.New(slog.DiscardHandler))
		c.step(lab)
		if err := lab.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		hosts := len(lab.hosts)
		site := lab.WAN("198.51.100.0/24").Site("later")
		h := site.Host("h")
		port := site.Wire("w").Plug(h, "lan0")
		errs := []error{site.ForgetMappings(), port.Cut(), port.SetCarrier(true), port.SetLink(Link{}), site.Uplink().Cut(), h.WriteFile("/run/x", nil, 0)}
		_, err := h.Run(t.Context(), "true")
		_, _ = site.Public(), port.Restore()
		if len(lab.hosts) != hosts || slices.Contains(append(errs, err), nil) {
			t.Errorf("%s: %d hosts more, %v", c.name, len(lab.hosts)-hosts, append(errs, err))
		}
		lab.Close()
	}
}
