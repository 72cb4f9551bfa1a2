package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"landbridge/internal/netlab"
)

func TestALANPortThatCannotBeBridgedIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	m := newMachine(t, s.wan.Host("m"))
	s.lab.LAN("wire").Plug(m.Host, "lan0")
	m.must("join", s.d.invite().Token)
	m.wait("the carrier of lan0", func() (bool, error) {
		return strings.TrimSpace(m.exec("cat", "/sys/class/net/lan0/operstate").stdout) == "up", nil
	})
	run := func(port string) []string { return []string{"run", "--mode", "router", "--lan-port", port} }

	m.refuses(failed, []string{"nope", "no"}, run("nope")...)
	m.refuses(failed, []string{"eth0", "default route"}, run("eth0")...)
	m.refuses(failed, []string{"lo"}, run("lo")...)
	for _, args := range [][]string{
		{"link", "add", "office-br", "type", "bridge"}, {"link", "set", "lan0", "master", "office-br"},
	} {
		if r := m.exec(append([]string{"ip"}, args...)...); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	m.refuses(failed, []string{"lan0", "office-br"}, run("lan0")...)
	if r := m.exec("ip", "link", "set", "lan0", "nomaster"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if r := m.exec("ip", "addr", "add", "192.0.2.5/24", "dev", "lan0"); r.code != 0 { // by which it is managed, with the default route elsewhere
		t.Fatal(r.stderr)
	}
	m.refuses(failed, []string{"lan0", "192.0.2.5/24", "ip addr del"}, run("lan0")...)
	if r := m.exec("ip", "addr", "flush", "dev", "lan0"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	m.flags = run("lan0")[1:]
	m.start()
}

// Somebody puts the LAN port on another bridge while it is in use, or gives it an address: that
// is his to do. The appliance says so and takes the port up when it is free again.
func TestALANPortThatIsTakenAwayIsTakenUpWhenItIsFree(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.site("a")
	h := newClient(t, a.wire, "h").lease(netlab.Udhcpc)
	reaches(t, h.Host, s.d.address())
	ip := func(args ...string) {
		t.Helper()
		if r := a.exec(append([]string{"ip"}, args...)...); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	ip("link", "add", "office-br", "type", "bridge")
	ip("link", "set", "lan0", "nomaster")
	reaches(t, h.Host, s.d.address()) // taken off by itself, it is put on again
	a.ails()

	ip("link", "set", "lan0", "master", "office-br")
	a.ails("LAN port lan0 already belongs to office-br")
	if bridge := a.exec("ip", "-o", "link", "show", "lan0").stdout; !strings.Contains(bridge, "master office-br") {
		t.Errorf("the port was taken back: %s", bridge)
	}
	ip("link", "del", "office-br")
	reaches(t, h.Host, s.d.address())
	a.ails()
}

// lanPort says all about a machine's port lan0 that its owner had set.
func (m *machine) lanPort() string {
	m.t.Helper()
	r := m.exec("sh", "-c", `ip -d -o link show lan0; ip -o -4 addr show lan0; ip route show dev lan0; cat /proc/sys/net/ipv6/conf/lan0/disable_ipv6`)
	if r.code != 0 {
		m.t.Fatal(r.stderr)
	}
	return r.stdout
}

// links lists the names of a machine's devices.
func (m *machine) links() string {
	m.t.Helper()
	return m.exec("sh", "-c", "ls /sys/class/net").stdout
}

func TestALANPortIsGivenBackOnSIGTERMAndUsableAfterSIGKILL(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.site("a")
	a.end(syscall.SIGTERM)
	port, links := a.lanPort(), a.links()
	if strings.Contains(port, "master") || strings.Contains(links, "lb") {
		t.Fatalf("after SIGTERM: lan0 is %sdevices %s", port, links)
	}
	a.start()
	h1, h2 := newClient(t, a.wire, "h1").lease(netlab.Udhcpc), newClient(t, a.wire, "h2").lease(netlab.Dhclient)

	a.end(syscall.SIGKILL)
	reaches(t, h1.Host, h2.addr) // the wire doesn't need the appliance
	if _, err := a.Run(t.Context(), "ip", "link", "show", "lan0"); err != nil {
		t.Errorf("after SIGKILL: %v", err)
	}
	a.start()
	fresh := newClient(t, a.wire, "h3").lease(netlab.Udhcpc)
	reaches(t, fresh.Host, s.d.address())
	reaches(t, h1.Host, s.d.address())

	a.end(syscall.SIGTERM)
	if got := a.lanPort(); got != port {
		t.Errorf("lan0 was given back as\n%swas\n%s", got, port)
	}
	if got := a.links(); got != links {
		t.Errorf("devices are\n%swere\n%s", got, links)
	}
	reaches(t, h1.Host, h2.addr)

	// After a SIGKILL the port serves its owner when its cable is used otherwise.
	a.start()
	a.end(syscall.SIGKILL)
	a.flags = nil // interface mode
	a.start()
	if got := a.lanPort(); got != port {
		t.Errorf("a run in interface mode after SIGKILL left lan0 as\n%swas\n%s", got, port)
	}
}

// In router mode, too, the appliance outlives its LAN port, and takes it up again.
func TestARouterOutlivesItsLANPort(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.site("a")
	h := newClient(t, a.wire, "h").lease(netlab.Udhcpc)
	d := s.d.address()
	reaches(t, h.Host, d)
	ails := func(word string) {
		t.Helper()
		a.wait("what is wrong is said", func() (bool, error) {
			health := a.status().Health
			return len(health) > 0 && strings.Contains(health[0].Text, "lan0") && strings.Contains(health[0].Text, word), fmt.Errorf("%v", health)
		})
	}
	port := a.Port("lan0")
	if err := port.SetCarrier(false); err != nil {
		t.Fatal(err)
	}
	ails("no carrier")
	if err := port.SetCarrier(true); err != nil {
		t.Fatal(err)
	}
	if err := port.Vanish(); err != nil {
		t.Fatal(err)
	}
	ails("has gone")
	reaches(t, a.Host, s.d.Port("eth0").Addr()) // the rest of the machine isn't touched
	if err := port.Return(); err != nil {
		t.Fatal(err)
	}
	reaches(t, h.Host, d)
	a.wait("all is well", func() (bool, error) { health := a.status().Health; return len(health) == 0, fmt.Errorf("%v", health) })
	newClient(t, a.wire, "fresh").lease(netlab.Udhcpc)

	a.end(syscall.SIGTERM)
	if links := a.links(); strings.Contains(links, "lb") || strings.Contains(a.lanPort(), "master") {
		t.Errorf("after SIGTERM: devices %s", links)
	}
}

func TestAPortThatCannotBearHybridModeIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	m := newMachine(t, s.wan.Host("m"))
	s.lab.LAN("wire").Plug(m.Host, "lan0")
	m.must("join", s.d.invite().Token)
	for _, script := range []string{
		"ip link add office-br type bridge && ip link set lan0 master office-br && ip link add quiet0 type veth peer name quiet1",
		"echo 2 > /proc/sys/net/ipv4/conf/quiet0/arp_ignore",
	} {
		if r := m.exec("sh", "-c", script); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	m.wait("the carrier of lan0", func() (bool, error) {
		return strings.TrimSpace(m.exec("cat", "/sys/class/net/lan0/operstate").stdout) == "up", nil
	})
	run := func(port string) []string { return []string{"run", "--mode", "hybrid", "--lan-port", port} }
	m.refuses(usage, []string{"hybrid mode needs lan-port", "lan-port: eth0"}, "run", "--mode", "hybrid")
	m.refuses(failed, []string{"nope", "it has eth0"}, run("nope")...)
	m.refuses(failed, []string{"lo", "name the network card"}, run("lo")...)
	m.refuses(failed, []string{"lan0", "office-br", "name office-br instead"}, run("lan0")...)
	m.refuses(failed, []string{"quiet0", "arp_ignore=2", "net.ipv4.conf.quiet0.arp_ignore"}, run("quiet0")...)
	m.flags = run("eth0")[1:] // which carries the default route
	m.start()
	reaches(t, m.Host, s.d.address())
}
