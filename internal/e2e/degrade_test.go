package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
	"landbridge/internal/netlab"
	"landbridge/internal/oldkernel"
)

// end is one of two members in interface mode.
type end struct {
	lacks []oldkernel.Lack // what its kernel is without
	env   []string         // of its daemon
	link  netlab.Link
}

// newPair makes a group of d and x, on one WAN, whose daemons run.
func newPair(t *testing.T, mtu int, atD, atX end) (d, x *machine) {
	t.Helper()
	s := &scene{t: t, lab: netlab.ForTest(t)}
	s.wan = s.lab.WAN("203.0.113.0/24")
	machineOf := func(name string, e end) *machine {
		m := newMachine(t, s.wan.Host(name, e.link))
		m.lacks, m.env = e.lacks, e.env
		return m
	}
	d, x = machineOf("d", atD), machineOf("x", atX)
	s.d = d
	d.must("group", "create", "--name", "e2e", "--prefix", groupPrefix, "--zone", zone, "--member-name", "d", "--mtu", fmt.Sprint(mtu))
	d.start()
	s.join(x)
	return d, x
}

// said counts the lines of the daemon's log with this text.
func (m *machine) said(text string) (n int) {
	m.t.Helper()
	log, err := os.ReadFile(m.log)
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

const defaultMTU = 1376

func TestTrafficCrossesBetweenAnOldKernelAndANewOne(t *testing.T) {
	const segments = unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN | unix.TUN_F_USO4 | unix.TUN_F_USO6
	type counter struct{ component, name string }
	for _, c := range []struct {
		name    string
		lacks   []oldkernel.Lack
		line    string
		lines   int
		counted []counter
	}{
		{"Linux 4.17", []oldkernel.Lack{oldkernel.UDPSegment(), oldkernel.UDPGRO(), oldkernel.TAPOffload(unix.TUN_F_USO4 | unix.TUN_F_USO6)},
			"this kernel lacks something", 2, []counter{{"socket", "lacks_udp_segment"}, {"socket", "lacks_udp_gro"}, {"tap", "lacks_offload"}}},
		{"no segmentation by the TAP", []oldkernel.Lack{oldkernel.TAPOffload(segments)},
			"this kernel doesn't offer all offload for TAPs", 1, []counter{{"tap", "lacks_offload"}}},
		{"no TUNSETOFFLOAD", []oldkernel.Lack{oldkernel.TAPOffload(0)},
			"this kernel doesn't offer all offload for TAPs", 1, []counter{{"tap", "lacks_offload"}}},
		{"no IFF_VNET_HDR", []oldkernel.Lack{oldkernel.TAPHeader()},
			"this kernel doesn't offer all offload for TAPs", 1, []counter{{"tap", "lacks_offload"}, {"tap", "finished_in_software"}}},
		{"no IPv6 socket that takes IPv4", []oldkernel.Lack{oldkernel.DualStack()},
			"this kernel lacks something", 1, []counter{{"socket", "lacks_ipv6"}}},
		{"EIO for joined datagrams", []oldkernel.Lack{oldkernel.JoinedSends()},
			"the network device takes no joined datagrams", 1, []counter{{"socket", "send_unjoined"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, x := newPair(t, defaultMTU, end{}, end{lacks: c.lacks})
			exchange(t, d, x)
			if n := x.said(c.line); n != c.lines {
				t.Errorf("%d lines say %q", n, c.line)
			}
			for _, k := range c.counted {
				if x.counter(k.component, k.name) == 0 {
					t.Errorf("nothing was counted as %s %s", k.component, k.name)
				}
				if n := d.counter(k.component, k.name); n != 0 && k.name != "finished_in_software" {
					t.Errorf("the new kernel has %d %s %s", n, k.component, k.name)
				}
			}
		})
	}
}

func TestWithoutAESInstructionsSessionsAreChaCha20(t *testing.T) {
	without := end{env: []string{"GODEBUG=cpu.aes=off,cpu.pclmulqdq=off,cpu.pmull=off"}}
	const slow, theirs = "this processor has no AES instructions", "the member's processor has no AES instructions"
	for _, c := range []struct {
		name         string
		d, x         end
		cipher       string
		told, theirs int // lines at x
	}{
		{"at neither end", end{}, end{}, "AES-256-GCM", 0, 0},
		{"at one end", end{}, without, "ChaCha20-Poly1305", 1, 0},
		{"at the other end", without, end{}, "ChaCha20-Poly1305", 0, 1},
		{"at both ends", without, without, "ChaCha20-Poly1305", 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, x := newPair(t, defaultMTU, c.d, c.x)
			exchange(t, d, x)
			p, err := x.peer("d")
			if c.cipher == "AES-256-GCM" && p.Cipher != c.cipher {
				t.Skip("this processor has no AES instructions, or hides them; nothing can be told apart")
			}
			if err != nil || p.Cipher != c.cipher || !strings.Contains(x.row("d"), c.cipher) {
				t.Errorf("the session is %q (%v); landbridge peers says %s", p.Cipher, err, x.row("d"))
			}
			if a, b := x.said(slow), x.said(theirs); a != c.told || (b > 0) != (c.theirs > 0) {
				t.Errorf("%d lines about this processor, %d about the other", a, b)
			}
			if n := x.counter("tunnel", "no_aes"); (n > 0) != (c.cipher != "AES-256-GCM") {
				t.Errorf("%d sessions counted", n)
			}
		})
	}
}

func TestTrafficCrossesWhateverTheMTUs(t *testing.T) {
	for _, c := range []struct {
		outside, beyond, inside int // of d's link and x's, and of the group
		fits                    string
	}{
		{576, 576, 576, "an MTU of 515"},
		{576, 576, 1500, "an MTU of 515"},
		{1500, 576, 1376, "an MTU of 515"}, // and d doesn't see it
		{1280, 1280, 1280, "an MTU of 1219"},
		{1280, 1280, 1219, ""},
		{1500, 1500, 1500, "an MTU of 1439"},
		{1500, 1500, 9000, "an MTU of 1439"},
		{9000, 9000, 9000, "an MTU of 8939"},
		{9000, 9000, 1500, ""},
	} {
		t.Run(fmt.Sprintf("%d and %d outside, %d inside", c.outside, c.beyond, c.inside), func(t *testing.T) {
			t.Parallel()
			d, x := newPair(t, c.inside, end{link: netlab.Link{MTU: c.outside}}, end{link: netlab.Link{MTU: c.beyond}})
			exchange(t, d, x)
			pings(t, d, x, c.inside)
			for _, m := range []*machine{d, x} {
				peer := map[*machine]string{d: "x", x: "d"}[m]
				p, err := m.peer(peer)
				if err != nil || p.Path == api.PathKindNone || (c.fits == "") != (p.Why == "") || !strings.Contains(p.Why, c.fits) {
					t.Errorf("%s: path %s, %q (%v)", m.Name, p.Path, p.Why, err)
				}
				lines, counted := m.said("full-size datagrams to this member are fragmented"), m.counter("tunnel", "path_fragmented")
				if (lines > 0) != (c.fits != "") || lines > 2 || uint64(lines) != counted {
					t.Errorf("%s: %d lines, %d counted", m.Name, lines, counted)
				}
				if n := m.counter("socket", "send_unjoined"); n > 0 && c.fits == "" {
					t.Errorf("%s: %d runs were refused", m.Name, n)
				}
			}
		})
	}
}

// A link of x's with a smaller MTU, of which d hears nothing, as the ICMP errors are lost: nothing
// large comes to x, and d says so. Then it lets routers fragment, and it does.
func TestAPathThatSwallowsLargePacketsIsToldAndMended(t *testing.T) {
	t.Parallel()
	s := mutedScene(t)
	x := newMachine(t, s.wan.Host("x", netlab.Link{MTU: 1300}))
	s.join(x)
	reaches(t, x.Host, s.d.address())
	s.d.wait("why large packets are lost", func() (bool, error) {
		p, err := s.d.peer("x")
		return strings.Contains(p.Why, "full-size datagrams are lost"), errors.Join(err, fmt.Errorf("%+v", p))
	})
	s.swallows(x)
}

// The same, of a link that becomes so while the path is in use.
func TestAPathThatBeginsToSwallowLargePacketsIsToldAndMended(t *testing.T) {
	t.Parallel()
	s := mutedScene(t)
	x := newMachine(t, s.wan.Host("x"))
	s.join(x)
	reaches(t, x.Host, s.d.address())
	exchange(t, s.d, x)
	if n := s.d.said(lostOnPath); n != 0 {
		t.Fatalf("%d lines before the link is narrow", n)
	}
	to, err := x.Addr("eth0")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.wan.Router().Run(t.Context(), "sh", "-c", `ip route replace "$0/32" mtu 1300 dev $(ip -o route get "$0" | sed 's/.* dev \([^ ]*\).*/\1/')`, to.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.swallows(x)
}

// lostOnPath is what an appliance says of a path that takes small datagrams alone.
const lostOnPath = "full-size datagrams are lost on the path"

// mutedScene is a group of d, on a WAN whose router tells nobody that a packet is too large.
func mutedScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, lab: netlab.ForTest(t)}
	s.wan = s.lab.WAN("203.0.113.0/24")
	_, err := s.wan.Router().Run(t.Context(), "nft", "add table ip mute; add chain ip mute out { type filter hook output priority 0; }; add rule ip mute out icmp type destination-unreachable drop")
	if err != nil {
		t.Fatal(err)
	}
	s.d = newMachine(t, s.wan.Host("d"))
	s.d.must("group", "create", "--name", "e2e", "--prefix", groupPrefix, "--zone", zone, "--member-name", "d")
	s.d.start()
	return s
}

// swallows checks that d says of the path to x that it takes small datagrams alone, and that it then has routers cut large ones.
func (s *scene) swallows(x *machine) {
	t, d := s.t, s.d
	t.Helper()
	echoes := func(size int) error {
		_, err := d.Run(t.Context(), "ping", "-q", "-c1", "-w1", "-M", "do", "-s", fmt.Sprint(size), x.address().String())
		return err
	}
	d.wait("a word on the narrow path", func() (bool, error) {
		return d.said(lostOnPath) > 0, echoes(56)
	})
	d.wait("routers' fragments", func() (bool, error) {
		err := echoes(defaultMTU - 28)
		return err == nil, err
	})
	exchange(t, d, x)
	if n := d.said("routers may fragment our datagrams from now on"); n != 1 {
		t.Errorf("%d lines on fragments", n)
	}
	if lines, counted := d.said(lostOnPath), d.counter("tunnel", "path_narrow"); uint64(lines) != counted {
		t.Errorf("%d lines, %d counted", lines, counted)
	}
}
