package division

import (
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"landbridge/internal/config"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/modes"
)

var (
	officeLand = Territory{ID: group.ID{1}, Name: "office", Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateways: gateway(1)}
	labLand    = Territory{ID: group.ID{2}, Name: "lab", Prefix: netip.MustParsePrefix("10.2.0.0/16"), Gateways: gateway(2)}
	shopLand   = Territory{ID: group.ID{3}, Name: "shop", Prefix: netip.MustParsePrefix("10.3.0.0/16")} // it is about to be created: nobody answers yet

	labHost   = frame.MAC{2, 0, 0, 0, 0, 2}
	shopHost  = frame.MAC{2, 0, 0, 0, 0, 3}
	otherHost = frame.MAC{2, 0, 0, 0, 0, 9}
)

// gateway is what the only member of a group answers with.
func gateway(last byte) iter.Seq[frame.MAC] {
	return slices.Values([]frame.MAC{{2, 0xaa, 0, 0, 0, last}})
}

func TestEachHostIsOfOneGroupAtMost(t *testing.T) {
	routed := modes.Setup{Mode: modes.Router, LANPort: "eth1"}
	none := group.ID{}
	named := []config.GroupHost{{Group: "lab", MAC: labHost}, {Group: shopLand.ID.String(), MAC: shopHost}}
	for name, c := range map[string]struct {
		cfg    config.Groups
		groups []Territory
		port   string
		want   [3]group.ID // of labHost, shopHost, otherHost

		live Live
	}{
		"the default group takes the rest": {config.Groups{Hosts: named, Default: "office"}, []Territory{officeLand, labLand, shopLand}, "eth1", [3]group.ID{labLand.ID, shopLand.ID, officeLand.ID}, Live{}},
		"no default group: silence":        {config.Groups{Hosts: named}, []Territory{labLand, shopLand}, "eth1", [3]group.ID{labLand.ID, shopLand.ID, none}, Live{}},
		"the default may be named too":     {config.Groups{Hosts: named, Default: "lab"}, []Territory{labLand, shopLand}, "eth1", [3]group.ID{labLand.ID, shopLand.ID, labLand.ID}, Live{}},
		"one group, others named":          {config.Groups{Hosts: named}, []Territory{officeLand}, "eth1", [3]group.ID{none, none, officeLand.ID}, Live{}},
		"one group, with hosts":            {config.Groups{Hosts: named}, []Territory{labLand}, "eth1", [3]group.ID{labLand.ID, none, none}, Live{}},
		"a port to itself":                 {config.Groups{Ports: []config.GroupPort{{Group: "lab", Port: "eth1.10"}}}, []Territory{officeLand, labLand}, "eth1.10", [3]group.ID{labLand.ID, labLand.ID, labLand.ID}, Live{}},
		"the port that it left":            {config.Groups{Ports: []config.GroupPort{{Group: "lab", Port: "eth1.10"}}}, []Territory{officeLand, labLand}, "eth1", [3]group.ID{officeLand.ID, officeLand.ID, officeLand.ID}, Live{}},
		"a named host, on another port":    {config.Groups{Hosts: named[1:], Ports: []config.GroupPort{{Group: "lab", Port: "eth1.10"}}, Default: "office"}, []Territory{officeLand, labLand, shopLand}, "eth1.10", [3]group.ID{labLand.ID, shopLand.ID, labLand.ID}, Live{}},
		"registered, beside named ones":    {config.Groups{Hosts: named[:1], Default: "office"}, []Territory{officeLand, labLand, shopLand}, "eth1", [3]group.ID{labLand.ID, shopLand.ID, officeLand.ID}, Live{Hosts: Registered{shopHost: shopLand.ID}}},
		"the configuration goes before":    {config.Groups{Hosts: named, Default: "office"}, []Territory{officeLand, labLand, shopLand}, "eth1", [3]group.ID{labLand.ID, shopLand.ID, officeLand.ID}, Live{Hosts: Registered{labHost: shopLand.ID}}},
		"registered in the default group":  {config.Groups{Hosts: named, Default: "office"}, []Territory{officeLand, labLand, shopLand}, "eth1", [3]group.ID{labLand.ID, shopLand.ID, officeLand.ID}, Live{Hosts: Registered{otherHost: officeLand.ID}}},
		"registered, of one group alone":   {config.Groups{}, []Territory{officeLand}, "eth1", [3]group.ID{officeLand.ID, officeLand.ID, officeLand.ID}, Live{Hosts: Registered{labHost: officeLand.ID}}},
		"registered in one that was left":  {config.Groups{}, []Territory{officeLand}, "eth1", [3]group.ID{none, officeLand.ID, officeLand.ID}, Live{Hosts: Registered{labHost: labLand.ID}}},
		"on a port that it has to itself":  {config.Groups{Ports: []config.GroupPort{{Group: "lab", Port: "eth1.10"}}}, []Territory{officeLand, labLand}, "eth1.10", [3]group.ID{labLand.ID, officeLand.ID, labLand.ID}, Live{Hosts: Registered{shopHost: officeLand.ID}}},
		"no host of it yet":                {config.Groups{Default: "office"}, []Territory{officeLand, labLand}, "eth1", [3]group.ID{officeLand.ID, officeLand.ID, officeLand.ID}, Live{}},
		"a default that was chosen":        {config.Groups{}, []Territory{officeLand, labLand}, "eth1", [3]group.ID{officeLand.ID, officeLand.ID, officeLand.ID}, Live{Defaults: []group.ID{shopLand.ID, officeLand.ID, labLand.ID}}},
		"the configured one goes before":   {config.Groups{Default: "lab"}, []Territory{officeLand, labLand}, "eth1", [3]group.ID{labLand.ID, labLand.ID, labLand.ID}, Live{Defaults: []group.ID{officeLand.ID}}},
		"a configured one elsewhere":       {config.Groups{Default: "shop", Ports: []config.GroupPort{{Group: "shop", Port: "eth2"}}}, []Territory{officeLand, labLand, shopLand}, "eth1", [3]group.ID{labLand.ID, labLand.ID, labLand.ID}, Live{Defaults: []group.ID{labLand.ID}}},
		"chosen, beside registered ones":   {config.Groups{}, []Territory{officeLand, labLand}, "eth1", [3]group.ID{labLand.ID, officeLand.ID, officeLand.ID}, Live{Hosts: Registered{labHost: labLand.ID}, Defaults: []group.ID{officeLand.ID}}},
		"nobody but registered ones":       {config.Groups{}, []Territory{labLand, shopLand}, "eth1", [3]group.ID{labLand.ID, shopLand.ID, none}, Live{Hosts: Registered{labHost: labLand.ID, shopHost: shopLand.ID}}},
	} {
		d, err := Divide(c.cfg, c.live, routed, c.groups)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := [3]group.ID{d.Of(labHost, c.port), d.Of(shopHost, c.port), d.Of(otherHost, c.port)}; got != c.want {
			t.Errorf("%s: of groups %v, want %v", name, got, c.want)
		}
		for _, g := range c.groups {
			id, is := d.Gateway(frame.MAC{2, 0xaa, 0, 0, 0, g.ID[0]})
			if is != (g.Gateways != nil) || is && id != g.ID {
				t.Errorf("%s: the gateway MAC of %s is %v's (%t)", name, g.Name, id, is)
			}
		}
		if c.live.Hosts != nil {
			continue
		}
		byName := len(c.cfg.Hosts) == 2
		for mac := range d.Hosts(labLand.ID) {
			if mac != labHost || d.Of(mac, "any") != labLand.ID {
				t.Errorf("%s: %v is said to be the lab's", name, mac)
			}
		}
		if d.Names(labHost, labLand.ID) != (byName && slices.ContainsFunc(c.groups, func(g Territory) bool { return g.Name == "lab" })) || d.Names(otherHost, officeLand.ID) {
			t.Errorf("%s: hosts are said to be named that aren't, or the other way round", name)
		}
	}
}

func TestOneGroupIsNotDivided(t *testing.T) {
	for name, s := range map[string]modes.Setup{"router": {Mode: modes.Router, LANPort: "eth1"}, "interface": {Mode: modes.Interface}} {
		if d, err := Divide(config.Groups{Default: "office"}, Live{}, s, []Territory{officeLand}); d != nil || err != nil {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	if d, err := Divide(config.Groups{}, Live{}, modes.Setup{Mode: modes.Interface}, []Territory{officeLand, labLand}); d != nil || err != nil {
		t.Errorf("two, in interface mode: %v, %v", d, err)
	}
}

func TestGroupsThatHostsCouldNotTellApartAreRefused(t *testing.T) {
	overlapping, namesake := shopLand, shopLand
	overlapping.Prefix, namesake.Name = netip.MustParsePrefix("10.1.128.0/17"), "office"
	routed := modes.Setup{Mode: modes.Router, LANPort: "eth1"}
	for name, c := range map[string]struct {
		cfg    config.Groups
		groups []Territory
		says   []string

		live Live
	}{
		"nobody's hosts":         {config.Groups{Hosts: []config.GroupHost{{Group: "lab", MAC: labHost}}}, []Territory{labLand, officeLand}, []string{"hosts on the LAN port eth1 are of the group office, and which of lab", "default-group: office", `group-port: ["office=eth1.10"]`, "nothing was done"}, Live{}},
		"one's alone registered": {config.Groups{}, []Territory{labLand, officeLand}, []string{"hosts on the LAN port eth1 are of the group office"}, Live{Hosts: Registered{labHost: labLand.ID}}},
		"a default elsewhere":    {config.Groups{Default: "office", Ports: []config.GroupPort{{Group: "office", Port: "eth2"}}}, []Territory{labLand, officeLand, shopLand}, []string{"hosts on the LAN port eth1 are of the group"}, Live{}},
		"overlap":                {config.Groups{Default: "office"}, []Territory{officeLand, overlapping}, []string{"office (10.1.0.0/16) and shop (10.1.128.0/17) overlap"}, Live{}},
		"one name":               {config.Groups{Default: "office"}, []Territory{officeLand, namesake}, []string{"in a group office (10.1.0.0/16) already"}, Live{}},
	} {
		_, err := Divide(c.cfg, c.live, routed, c.groups)
		for _, part := range c.says {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q isn't in %v", name, part, err)
			}
		}
	}
}

func TestThePortsOfGroupsAreEachListedOnce(t *testing.T) {
	c := config.Groups{Ports: []config.GroupPort{{Group: "lab", Port: "eth1.10"}, {Group: "absent", Port: "eth9"}}}
	all := []Territory{officeLand, labLand, shopLand}
	if got := PortsOf(c, modes.Setup{Mode: modes.Router, LANPort: "eth1"}, all); !reflect.DeepEqual(got, []string{"eth1", "eth1.10"}) {
		t.Errorf("in router mode %v", got)
	}
	if got := PortsOf(c, modes.Setup{Mode: modes.Hybrid, LANPort: "eth0"}, all); !reflect.DeepEqual(got, []string{"eth0"}) {
		t.Errorf("in hybrid mode %v", got)
	}
	if got := PortsOf(c, modes.Setup{Mode: modes.Interface}, all); got != nil {
		t.Errorf("in interface mode %v", got)
	}
}
