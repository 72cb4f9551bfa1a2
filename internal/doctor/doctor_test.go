package doctor

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

// healthy is an examination that finds nothing.
func healthy() *examination {
	now, synced := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), true
	return &examination{
		Place: Place{NAT: NATCone, Port: 4860}, now: now, synced: &synced, disk: space{free: 10 << 30, total: 20 << 30, path: "/var/lib/landbridge"},
		status: api.Status{
			Mode: api.ModeRouter, Listen: []string{"udp [::]:4860"}, Observed: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:4860")},
			Groups: []api.GroupStatus{{
				ID: "aa", Name: "office", Prefix: netip.MustParsePrefix("10.9.0.0/16"), CertificateExpires: now.Add(60 * 24 * time.Hour),
				Attachment: api.Attachment{LanPort: "eth1"},
			}},
		},
		peers:  []api.Peer{{Name: "b", Connected: true, Session: api.SessionStateEstablished, Path: api.PathKindDirect}},
		blocks: []api.Block{{Group: "aa", Size: 62, Used: 10}},
	}
}

func TestTheDoctorFindsAHealthyApplianceWell(t *testing.T) {
	r := healthy().report()
	for _, c := range r.Checks {
		if c.State != api.CheckStateOK || c.Text == "" || c.Title == "" || c.Remedy != "" {
			t.Errorf("%+v", c)
		}
	}
	if r.State != api.CheckStateOK || len(r.Checks) < 12 {
		t.Errorf("%s by %d checks", r.State, len(r.Checks))
	}
	for _, name := range []string{"clock", "listen", "nat", "path", "mtu", "lan-port", "foreign-dhcp", "certificate", "pool", "disk", "store", "offloads", "health"} {
		if !slices.ContainsFunc(r.Checks, func(c api.DoctorCheck) bool { return c.Name == name }) {
			t.Errorf("nothing is said of %s", name)
		}
	}
}

func TestTheDoctorSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	no := false
	for _, c := range []struct {
		name   string
		damage func(*examination)
		check  string
		state  api.CheckState
		text   string
		help   string
	}{
		{"clock unkept", func(x *examination) { x.synced = &no }, "clock", api.CheckStateOK, "Nothing keeps it right, as far as this host's kernel knows", ""},
		{"clock unkept, and right", func(x *examination) { x.synced, x.Agree = &no, 2 }, "clock", api.CheckStateOK, "agrees with those of 2 other members", ""},
		{"clock of 1970", func(x *examination) { x.now = time.Unix(100, 0) }, "clock", api.CheckStateFailed, "1970-01-01", "Set the clock"},
		{"symmetric NAT", func(x *examination) { x.NAT = NATSymmetric }, "nat", api.CheckStateWarning, "another port each", "forward port 4860"},
		{"ports mapped", func(x *examination) { x.Mapped = netip.MustParseAddrPort("192.0.2.9:4860") }, "port-mapping", api.CheckStateOK, "to 192.0.2.9:4860", ""},
		{"lying router", func(x *examination) { x.MapFault = "the router at 10.0.0.1 says what can't be" }, "port-mapping", api.CheckStateWarning, "It isn't believed", "port-mapping: false"},
		{"relayed", func(x *examination) {
			x.peers[0].Path, x.peers[0].ViaName, x.peers[0].Why = api.PathKindRelay, "d", "none of its addresses answered"
		}, "path", api.CheckStateWarning, "by the relay d: none of its", "forward a port"},
		{"away", func(x *examination) {
			x.peers[0] = api.Peer{Name: "b", Session: api.SessionStateNone, Path: api.PathKindNone, Why: "it is off"}
		}, "path", api.CheckStateWarning, "b can't be reached: it is off", "other appliance runs"},
		{"narrow", func(x *examination) { x.Narrow = []string{"b"} }, "mtu", api.CheckStateWarning, "Only small datagrams pass directly to b", "smaller MTU"},
		{"fragmented", func(x *examination) { x.counters = map[string]uint64{"tunnel path_fragmented": 2} }, "mtu", api.CheckStateWarning, "2 paths", "MTU"},
		{"certificate soon over", func(x *examination) { x.status.Groups[0].CertificateExpires = x.now.Add(50 * time.Hour) }, "certificate", api.CheckStateWarning, "2 days", "CA key"},
		{"certificate over", func(x *examination) { x.status.Groups[0].CertificateExpires = x.now }, "certificate", api.CheckStateFailed, "expired", "CA key"},
		{"no block", func(x *examination) { x.blocks = nil }, "pool", api.CheckStateWarning, "No block", "peers"},
		{"prefix full", func(x *examination) {
			x.status.Groups[0].Prefix = netip.MustParsePrefix("10.9.0.0/28")
			x.blocks[0].Used = 12
		}, "pool", api.CheckStateWarning, "12 of the prefix's 13", "larger prefix"},
		{"disk low", func(x *examination) { x.disk.free = 100 << 20 }, "disk", api.CheckStateWarning, "100 MB", "room"},
		{"disk full", func(x *examination) { x.disk.free = 1 << 20 }, "disk", api.CheckStateFailed, "1 MB", "room"},
		{"disk read-only", func(x *examination) { x.disk.readOnly = true }, "disk", api.CheckStateFailed, "read-only", "kernel's log"},
		{"state", func(x *examination) { x.State = errors.New("closed") }, "store", api.CheckStateFailed, "closed", "log"},
		{"old kernel", func(x *examination) { x.counters = map[string]uint64{"socket lacks_udp_gro": 1} }, "offloads", api.CheckStateWarning, "UDP GRO", "kernel"},
		{"health", func(x *examination) {
			x.status.Health = []api.HealthItem{{Level: api.HealthLevelError, Component: "lan", Text: "The port is gone.", Remedy: "Put it back."}}
		}, "health", api.CheckStateFailed, "The port is gone.", "Put it back"},
		{"no port", func(x *examination) { x.status.Listen = nil }, "listen", api.CheckStateFailed, "listens nowhere", "restart"},
		{"disk unknown", func(x *examination) { x.disk.err = errors.New("no such directory") }, "disk", api.CheckStateWarning, "no such directory", "directory"},
		{"no group", func(x *examination) { x.status.Groups = nil }, "group", api.CheckStateWarning, "in no group", "landbridge join"},
	} {
		x := healthy()
		c.damage(x)
		r := x.report()
		got := r.Checks[0] // the worst comes first
		if c.state == api.CheckStateOK {
			got = r.Checks[slices.IndexFunc(r.Checks, func(f api.DoctorCheck) bool { return f.Name == c.check })]
		}
		if got.Name != c.check || got.State != c.state || r.State != c.state || !strings.Contains(got.Text, c.text) || !strings.Contains(got.Remedy, c.help) {
			t.Errorf("%s: %s, first %+v; want %s %s, with %q and %q", c.name, r.State, got, c.check, c.state, c.text, c.help)
		}
	}
}

func TestTheDoctorBoundsTheMembersThatItNames(t *testing.T) {
	x := healthy()
	for range 300 {
		x.peers = append(x.peers, api.Peer{Name: "x", Session: api.SessionStateNone, Path: api.PathKindNone})
	}
	checks := x.report().Checks
	if n := len(checks); n > maxBadPaths+20 {
		t.Errorf("%d checks", n)
	}
	for _, c := range checks {
		if c.State != api.CheckStateOK && c.Remedy == "" {
			t.Errorf("nothing helps with %+v", c)
		}
	}
}

func TestTheKindOfNATIsReadFromWhatOthersSee(t *testing.T) {
	at := func(all ...string) (ports []netip.AddrPort) {
		for _, a := range all {
			ports = append(ports, netip.MustParseAddrPort(a))
		}
		return ports
	}
	local := []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("198.51.100.1")}
	for _, c := range []struct {
		seen []netip.AddrPort
		want NAT
	}{
		{nil, NATUnknown},
		{at("[2001:db8::1]:4860"), NATUnknown},
		{at("198.51.100.1:4860"), NATNone},
		{at("192.0.2.7:4860", "[2001:db8::1]:9"), NATCone},
		{at("192.0.2.7:1001", "192.0.2.7:1002"), NATSymmetric},
		{at("192.0.2.7:1001", "192.0.2.8:1002"), NATCone},
	} {
		if got := NATOf(c.seen, local); got != c.want || got.words() == "" {
			t.Errorf("%v: %d, want %d", c.seen, got, c.want)
		}
	}
	if freeSpace(t.TempDir()).free == 0 || freeSpace("/nowhere/at/all").err == nil {
		t.Error("the space on a disk isn't found out")
	}
}
