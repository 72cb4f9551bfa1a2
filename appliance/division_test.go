package appliance

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"landbridge/internal/config"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/modes"
)

var (
	officeLand = territory{id: group.ID{1}, name: "office", prefix: netip.MustParsePrefix("10.1.0.0/16"), members: []group.MemberID{{1}, {2}}}
	labLand    = territory{id: group.ID{2}, name: "lab", prefix: netip.MustParsePrefix("10.2.0.0/16"), members: []group.MemberID{{1}, {3}}}
	shopLand   = territory{id: group.ID{3}, name: "shop", prefix: netip.MustParsePrefix("10.3.0.0/16"), members: []group.MemberID{{1}}}

	labHost   = frame.MAC{2, 0, 0, 0, 0, 2}
	shopHost  = frame.MAC{2, 0, 0, 0, 0, 3}
	otherHost = frame.MAC{2, 0, 0, 0, 0, 9}
)

func TestEachHostIsOfOneGroupAtMost(t *testing.T) {
	routed := modes.Setup{Mode: modes.Router, LANPort: "eth1"}
	none := group.ID{}
	named := []config.GroupHost{{Group: "lab", MAC: labHost}, {Group: shopLand.id.String(), MAC: shopHost}}
	for name, c := range map[string]struct {
		cfg    config.Groups
		groups []territory
		port   string
		want   [3]group.ID // of labHost, shopHost, otherHost
	}{
		"the default group takes the rest": {config.Groups{Hosts: named, Default: "office"}, []territory{officeLand, labLand, shopLand}, "eth1", [3]group.ID{labLand.id, shopLand.id, officeLand.id}},
		"no default group: silence":        {config.Groups{Hosts: named}, []territory{labLand, shopLand}, "eth1", [3]group.ID{labLand.id, shopLand.id, none}},
		"the default may be named too":     {config.Groups{Hosts: named, Default: "lab"}, []territory{labLand, shopLand}, "eth1", [3]group.ID{labLand.id, shopLand.id, labLand.id}},
		"one group, others named":          {config.Groups{Hosts: named}, []territory{officeLand}, "eth1", [3]group.ID{none, none, officeLand.id}},
		"one group, with hosts":            {config.Groups{Hosts: named}, []territory{labLand}, "eth1", [3]group.ID{labLand.id, none, none}},
		"a port to itself":                 {config.Groups{Ports: []config.GroupPort{{Group: "lab", Port: "eth1.10"}}}, []territory{officeLand, labLand}, "eth1.10", [3]group.ID{labLand.id, labLand.id, labLand.id}},
		"the port that it left":            {config.Groups{Ports: []config.GroupPort{{Group: "lab", Port: "eth1.10"}}}, []territory{officeLand, labLand}, "eth1", [3]group.ID{officeLand.id, officeLand.id, officeLand.id}},
		"a named host, on another port":    {config.Groups{Hosts: named[1:], Ports: []config.GroupPort{{Group: "lab", Port: "eth1.10"}}, Default: "office"}, []territory{officeLand, labLand, shopLand}, "eth1.10", [3]group.ID{labLand.id, shopLand.id, labLand.id}},
	} {
		d, err := divide(c.cfg, routed, c.groups)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := [3]group.ID{d.of(labHost, c.port), d.of(shopHost, c.port), d.of(otherHost, c.port)}; got != c.want {
			t.Errorf("%s: of groups %v, want %v", name, got, c.want)
		}
		if id, is := d.gateways[frame.MAC(gatewayMAC(labLand.id, group.MemberID{1}))]; is && id != labLand.id {
			t.Errorf("%s: the lab's gateway MAC is %v's", name, id)
		}
	}
}

func TestOneGroupIsNotDivided(t *testing.T) {
	for name, s := range map[string]modes.Setup{"router": {Mode: modes.Router, LANPort: "eth1"}, "interface": {Mode: modes.Interface}} {
		if d, err := divide(config.Groups{Default: "office"}, s, []territory{officeLand}); d != nil || err != nil {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	if d, err := divide(config.Groups{}, modes.Setup{Mode: modes.Interface}, []territory{officeLand, labLand}); d != nil || err != nil {
		t.Errorf("two, in interface mode: %v, %v", d, err)
	}
}

func TestGroupsThatHostsCouldNotTellApartAreRefused(t *testing.T) {
	overlapping, namesake := shopLand, shopLand
	overlapping.prefix, namesake.name = netip.MustParsePrefix("10.1.128.0/17"), "office"
	routed := modes.Setup{Mode: modes.Router, LANPort: "eth1"}
	for name, c := range map[string]struct {
		cfg    config.Groups
		groups []territory
		says   []string
	}{
		"nobody's hosts": {config.Groups{Hosts: []config.GroupHost{{Group: "lab", MAC: labHost}}}, []territory{labLand, officeLand}, []string{"hosts on the LAN port eth1 are of the group office, and which of lab", "default-group: office", `group-port: ["office=eth1.10"]`, "nothing was done"}},
		"overlap":        {config.Groups{Default: "office"}, []territory{officeLand, overlapping}, []string{"office (10.1.0.0/16) and shop (10.1.128.0/17) overlap"}},
		"one name":       {config.Groups{Default: "office"}, []territory{officeLand, namesake}, []string{"in a group office (10.1.0.0/16) already"}},
	} {
		_, err := divide(c.cfg, routed, c.groups)
		for _, part := range c.says {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q isn't in %v", name, part, err)
			}
		}
	}
}

func TestThePortsOfGroupsAreEachListedOnce(t *testing.T) {
	c := config.Groups{Ports: []config.GroupPort{{Group: "lab", Port: "eth1.10"}, {Group: "absent", Port: "eth9"}}}
	all := []territory{officeLand, labLand, shopLand}
	if got := portsOf(c, modes.Setup{Mode: modes.Router, LANPort: "eth1"}, all); !reflect.DeepEqual(got, []string{"eth1", "eth1.10"}) {
		t.Errorf("in router mode %v", got)
	}
	if got := portsOf(c, modes.Setup{Mode: modes.Hybrid, LANPort: "eth0"}, all); !reflect.DeepEqual(got, []string{"eth0"}) {
		t.Errorf("in hybrid mode %v", got)
	}
	if got := portsOf(c, modes.Setup{Mode: modes.Interface}, all); got != nil {
		t.Errorf("in interface mode %v", got)
	}
}
