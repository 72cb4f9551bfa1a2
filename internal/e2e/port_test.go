package e2e

import (
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
	m.flags = run("lan0")[1:]
	m.start()
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
