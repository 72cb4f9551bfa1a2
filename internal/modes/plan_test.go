package modes

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// office is a group as a survey finds it.
func office() Group {
	return Group{Name: "office", Prefix: netip.MustParsePrefix("10.9.0.0/16"), Own: netip.MustParseAddr("10.9.4.4"), Hosts: 3, TAP: "lb0", Bridge: "lbbr0"}
}

func TestAPlanSaysEachStepAndWhatHostsNotice(t *testing.T) {
	for _, c := range []struct {
		now, want Setup
		steps     []string // action and a part of the text, in order
		notices   []string
	}{
		{asInterface, asRouter,
			[]string{"remove lb0 with this host's address 10.9.4.4/16", "create bridge", "move eth1 onto", "create at 10.9.0.1", "keep sessions"},
			[]string{"connections by 10.9.4.4 end. The lease is kept", "eth1 get addresses by DHCP"}},
		{asRouter, asInterface,
			[]string{"move eth1 off the bridge lbbr0", "remove lbbr0", "remove lb0", "create 10.9.4.4/16, as before", "keep leases"},
			[]string{"The 3 hosts on the LAN of eth1", "This host gets an address"}},
		{asInterface, asHybrid,
			[]string{"remove lb0", "create 10.9.4.4/16, as before", "create the same address on eth0", "keep leases"},
			[]string{"keeps its address 10.9.4.4", "LAN of eth0 are reached natively"}},
		{asHybrid, asInterface,
			[]string{"remove native routes, and this host's address 10.9.4.4/16, from eth0", "remove lb0", "create 10.9.4.4/16", "keep leases"},
			[]string{"keeps its address 10.9.4.4", "by the tunnel, not natively"}},
		{asRouter, asHybrid,
			[]string{"move eth1 off", "remove lbbr0", "remove lb0", "create 10.9.4.4/16", "create on eth0", "keep leases"},
			[]string{"The 3 hosts on the LAN of eth1", "gets an address", "reached natively"}},
		{asHybrid, asRouter,
			[]string{"remove native routes", "remove lb0", "create bridge", "move eth1 onto", "create DHCP", "keep leases"},
			[]string{"connections by 10.9.4.4 end", "get addresses by DHCP"}},
		{asRouter, Setup{Router, "eth2"},
			[]string{"move eth1 off", "remove lbbr0", "remove lb0", "create bridge", "move eth2 onto", "create DHCP", "keep leases"},
			[]string{"The 3 hosts on the LAN of eth1", "LAN of eth2 get addresses"}},
	} {
		name := c.now.String() + " to " + c.want.String()
		p, err := Survey{Now: c.now, Want: c.want, Groups: []Group{office()}}.Plan()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(p.Steps) != len(c.steps) {
			t.Errorf("%s: %d steps, want %d: %+v", name, len(p.Steps), len(c.steps), p.Steps)
			continue
		}
		for i, want := range c.steps {
			action, text, _ := strings.Cut(want, " ")
			if got := p.Steps[i]; string(got.Action) != action || !strings.Contains(got.Text, text) {
				t.Errorf("%s: step %d is %q %q, want %q", name, i, got.Action, got.Text, want)
			}
		}
		for _, want := range c.notices {
			if !slices.ContainsFunc(p.Notices, func(n string) bool { return strings.Contains(n, want) }) {
				t.Errorf("%s: %q isn't in what hosts notice: %q", name, want, p.Notices)
			}
		}
	}
}

func TestAPlanWithoutAGroupChangesNothing(t *testing.T) {
	p, err := Survey{Now: asInterface, Want: asRouter}.Plan()
	if err != nil || len(p.Steps) != 0 || len(p.Notices) != 1 || p.To != (Setup{Router, "eth1"}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestASwitchThatCannotBeHasNoPlan(t *testing.T) {
	lab := office()
	lab.Name, lab.Prefix = "lab", netip.MustParsePrefix("10.9.128.0/17")
	apart := office()
	apart.Name, apart.Prefix = "apart", netip.MustParsePrefix("10.10.0.0/16")
	one := []Group{office()}
	at := func(local, device string) Operator {
		return Operator{Local: netip.MustParseAddr(local), Remote: netip.MustParseAddr("198.51.100.9"), Device: device}
	}
	for name, c := range map[string]struct {
		survey Survey
		says   []string
	}{
		"already there":          {Survey{Now: asRouter, Want: asRouter}, []string{"in router mode on eth1 already"}},
		"unknown mode":           {Survey{Now: asRouter, Want: Setup{Mode: "bridge"}}, []string{`no mode "bridge"`, "interface, router and hybrid"}},
		"router without a port":  {Survey{Now: asInterface, Want: Setup{Mode: Router}, Ports: []string{"eth0", "eth1"}}, []string{"needs a LAN port", "--lan-port", "eth0, eth1"}},
		"hybrid without a port":  {Survey{Now: asInterface, Want: Setup{Mode: Hybrid}, Ports: []string{"eth0"}}, []string{"hybrid mode needs a LAN port"}},
		"interface with a port":  {Survey{Now: asRouter, Want: Setup{Interface, "eth1"}}, []string{"has no LAN port", "leave --lan-port out"}},
		"a port that is unfit":   {Survey{Now: asInterface, Want: asRouter, Unfit: errors.New("eth1 belongs to br0")}, []string{"eth1 belongs to br0", "nothing was done"}},
		"overlapping groups":     {Survey{Now: asInterface, Want: asHybrid, Groups: []Group{office(), lab}}, []string{"office (10.9.0.0/16)", "lab (10.9.128.0/17)", "overlap", "group leave"}},
		"two groups on one port": {Survey{Now: asInterface, Want: asRouter, Groups: []Group{office(), apart}, Undivided: errors.New("nothing says which hosts are of apart")}, []string{"nothing says which hosts"}},
		"over the group":         {Survey{Now: asInterface, Want: asRouter, Groups: one, Operator: at("10.9.4.4", "lb0")}, []string{"your own connection, from 198.51.100.9", "10.9.4.4", "would be cut"}},
		"over the group, hybrid": {Survey{Now: asHybrid, Want: asRouter, Groups: one, Operator: at("10.9.4.4", "eth0")}, []string{"your own connection", "would be cut"}},
		"over the LAN port":      {Survey{Now: asInterface, Want: asRouter, Groups: one, Operator: at("fe80::7%eth1", "eth1")}, []string{"on eth1", "bridged", "would be cut"}},
	} {
		_, err := c.survey.Plan()
		for _, part := range c.says {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q isn't in %v", name, part, err)
			}
		}
	}
	// These cut nobody off.
	for name, s := range map[string]Survey{
		"by another address":             {Now: asInterface, Want: asRouter, Groups: one, Operator: at("192.0.2.7", "eth0")},
		"over the group, which stays":    {Now: asInterface, Want: asHybrid, Groups: one, Operator: at("10.9.4.4", "lb0")},
		"by the port that isn't bridged": {Now: asInterface, Want: asHybrid, Groups: one, Operator: at("192.0.2.7", "eth0")},
		"from the console":               {Now: asInterface, Want: asRouter, Groups: one},
	} {
		if _, err := s.Plan(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
