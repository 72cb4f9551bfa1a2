package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/google/gopacket/pcapgo"

	"landbridge/internal/netlab"
)

// newOffice is an appliance with a group of its own and a LAN at lan0, in interface mode, whose
// console is open to the WAN at url. It runs.
func newOffice(t *testing.T) (wan *netlab.WAN, d *machine, wire *netlab.LAN, url string) {
	t.Helper()
	wan = netlab.ForTest(t).WAN("203.0.113.0/24")
	d = newMachine(t, wan.Host("d"))
	url = d.door("eth0")
	wire = wan.Site("site-d").Wire("d-cluster")
	wire.Plug(d.Host, "lan0")
	d.must("group", "create", "--name", "e2e", "--prefix", groupPrefix, "--zone", zone, "--member-name", "d")
	d.start()
	return wan, d, wire, url
}

// A switch that nobody confirms is undone, also where the operator's own way to the page was
// cut; and the page says what became of it, and catches up by itself when it is in touch again, with an
// appliance that was started anew, too. A capture is what other programs read.
func TestAnOperatorWhoIsAwayFindsTheOldModeInABrowser(t *testing.T) {
	t.Parallel()
	wan, d, wire, url := newOffice(t)
	operator := wan.Host("operator")
	cable := operator.Port("eth0")
	done := func(err error) string {
		if err != nil {
			t.Error(err)
		}
		return "done"
	}
	browse(t, operator, "away.mjs", url, t.TempDir()).serve(map[string]func(string) string{
		"CODE": func(string) string { return d.setupCode() },
		"BACK": func(string) string { d.isIn("interface"); return "done" },
		"CUT":  func(string) string { return done(cable.Cut()) },
		"MEND": func(string) string { d.isIn("interface"); return done(cable.Mend()) },
		"STOP": func(string) string { d.end(syscall.SIGTERM); return "done" },
		"START": func(string) string {
			d.flags = append(d.flags, "--mode", "router", "--lan-port", "lan0")
			d.start()
			return "done"
		},
		"TRAFFIC": func(string) string {
			h := newClient(t, wire, "h1").lease(netlab.Udhcpc)
			p := newPinger(t, h.Host, service)
			t.Cleanup(func() { _ = p.cmd.Process.Kill() })
			return "done"
		},
		"CAPTURED": func(file string) string {
			if n := packetsIn(t, file); n < 20 { // 50 echo requests are sent a second
				t.Errorf("the capture of 4 s has %d packets", n)
			}
			return "done"
		},
	})
}

// packetsIn reads a pcapng file to its end.
func packetsIn(t *testing.T, file string) (n int) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(bytes.NewReader(raw), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatalf("%d bytes: %v", len(raw), err)
	}
	for ; ; n++ {
		if _, _, err := r.ReadPacketData(); errors.Is(err, io.EOF) {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// Two sites are joined by nothing but two pages and an invitation that is pasted.
func TestAnOperatorJoinsASecondSiteInABrowser(t *testing.T) {
	t.Parallel()
	wan, d, _, url := newOffice(t)
	site := wan.Site("site-a")
	a := newMachine(t, site.Host("a"))
	other := a.door("eth0")
	wire := site.Wire("a-cluster")
	wire.Plug(a.Host, "lan0")
	a.start()
	var h *client
	browse(t, site.Host("operator"), "join.mjs", url, other).serve(map[string]func(string) string{
		"CODE": func(name string) string { return map[string]*machine{"d": d, "a": a}[name].setupCode() },
		"HOST": func(string) string { h = newClient(t, wire, "h1").lease(netlab.Udhcpc); return "done" },
	})
	if h != nil {
		reaches(t, h.Host, d.address())
	}
}
