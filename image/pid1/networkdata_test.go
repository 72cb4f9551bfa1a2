package pid1

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"landbridge/image/userdata"
)

// asNova is what OpenStack's Nova writes: a static network, and one that is DHCP's beside IPv6.
const (
	novaStatic = `{"links": [{"ethernet_mac_address": "fa:16:3e:60:32:83", "id": "tapf7f00564-60", "mtu": null, "type": "ovs", "vif_id": "f7f00564-60c4-4237-b8fb-cb36bb66458a"}],
"networks": [{"id": "network0", "ip_address": "10.192.35.66", "link": "tapf7f00564-60", "netmask": "255.255.252.0", "network_id": "edbd37df-7fa8-4e34-a411-5edfc29ff3ca",
  "routes": [{"gateway": "10.192.35.254", "netmask": "0.0.0.0", "network": "0.0.0.0"}], "type": "ipv4"}],
"services": [{"address": "10.255.250.40", "type": "dns"}, {"address": "10.255.251.40", "type": "dns"}]}`
	novaDHCP = `{"links": [{"mtu": 1450, "ethernet_mac_address": "FA-16-3E-99-59-C6", "type": "ovs", "id": "tap68"}],
"networks": [{"link": "tap68", "type": "ipv4_dhcp", "network_id": "dd30", "id": "network0"},
  {"routes": [{"network": "::", "gateway": "2001:db8:9::1", "netmask": "::"}], "services": [], "link": "tap68", "type": "ipv6", "ip_address": "2001:db8:9::5", "netmask": "ffff:ffff:ffff::"}],
"services": [{"address": "192.0.2.53", "type": "dns"}]}`
)

func TestTheManagementPortIsInANetworkOfTheConfigDrive(t *testing.T) {
	link := `{"links":[{"id":"a","ethernet_mac_address":"52:54:00:00:00:01"},{"id":"b","ethernet_mac_address":"52:54:00:00:00:02","mtu":1450},{"id":"v","type":"vlan","ethernet_mac_address":"52:54:00:00:00:03"}],"networks":`
	for name, c := range map[string]struct {
		text string
		want userdata.Management
	}{
		"static": {novaStatic, userdata.Management{
			Port: "fa:16:3e:60:32:83", Address: netip.MustParsePrefix("10.192.35.66/22"), Gateway: netip.MustParseAddr("10.192.35.254"),
			DNS: []netip.Addr{netip.MustParseAddr("10.255.250.40"), netip.MustParseAddr("10.255.251.40")},
		}},
		"DHCP": {novaDHCP, userdata.Management{Port: "fa:16:3e:99:59:c6", MTU: 1450, DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}}},
		"the one with a way out": {
			link + `[{"type":"ipv4","link":"v","ip_address":"10.1.0.5/24","routes":[{"network":"0.0.0.0/0","gateway":"10.1.0.1"}]},
				{"type":"ipv4","link":"a","ip_address":"10.2.0.5/24"},{"type":"ipv4","link":"b","ip_address":"10.3.0.5/24","routes":[{"network":"0.0.0.0/0","gateway":"10.3.0.1"}]}]}`,
			userdata.Management{Port: "52:54:00:00:00:02", MTU: 1450, Address: netip.MustParsePrefix("10.3.0.5/24"), Gateway: netip.MustParseAddr("10.3.0.1")},
		},
		"none has a way out": {
			link + `[{"type":"ipv6_slaac","link":"a"},{"type":"ipv4","link":"a","ip_address":"10.2.0.5/24","routes":[{"network":"0.0.0.0/0","gateway":"10.9.0.1"}]},{"type":"ipv4","link":"b","ip_address":"10.3.0.5/24"}]}`,
			userdata.Management{Port: "52:54:00:00:00:01", Address: netip.MustParsePrefix("10.2.0.5/24")},
		},
	} {
		got, err := managementOf([]byte(c.text))
		if diff := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	for name, text := range map[string]string{
		"no JSON": `{"links":`, "no networks": `{}`, "no port of its own": link + `[{"type":"ipv4","link":"v","ip_address":"10.1.0.5/24"}]}`,
		"no mask": link + `[{"type":"ipv4","link":"a","ip_address":"10.1.0.5"}]}`, "a mask with a hole": link + `[{"type":"ipv4","link":"a","ip_address":"10.1.0.5","netmask":"255.0.255.0"}]}`,
		"IPv6's mask": link + `[{"type":"ipv4","link":"a","ip_address":"10.1.0.5","netmask":"ffff::"}]}`,
	} {
		if m, err := managementOf([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if _, err := managementOf([]byte(`{}`)); !errors.Is(err, errNoNetwork) {
		t.Error(err)
	}
}

func TestNetworksOfTheConfigDriveAreKeptAndCountBehindUserData(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for name, c := range map[string]struct {
		network, userData, port, wrong string
	}{
		"the cloud's":         {novaStatic, "name: a\n", "fa:16:3e:60:32:83", ""},
		"its own port":        {novaStatic, "management-port: eth1\n", "eth1", ""},
		"DHCP, by its own":    {novaStatic, "management-address: dhcp\n", "", ""},
		"its own resolvers":   {novaStatic, "dns: [192.0.2.9]\n", "fa:16:3e:60:32:83", ""},
		"none that is usable": {`{"networks":`, "name: a\n", "", "isn't used"},
		"none":                {"", "name: a\n", "", ""},
	} {
		files := map[string]string{"user_data": c.userData}
		if c.network != "" {
			files["network_data.json"] = c.network
		}
		s, dir := readConfigDrive(configDrive(t, files)), t.TempDir()
		for i := range 2 { // the second time it is what was kept
			d, wrong := configured(dir, func() seed { return s })
			if got := strings.Join(wrong, " "); i == 0 && c.wrong == "" && got != "" || !strings.Contains(got, c.wrong) && i == 0 {
				t.Errorf("%s: %v", name, wrong)
			}
			m := management(context.Background(), dir, d.Management, log)
			if m.Port != c.port || name == "its own resolvers" && (len(m.DNS) != 1 || m.DNS[0] != netip.MustParseAddr("192.0.2.9")) {
				t.Errorf("%s: %+v", name, m)
			}
		}
		must(t, writeSafely(filepath.Join(dir, keptNetwork), []byte("management-port: eth7\n")))
		if m := management(context.Background(), dir, userdata.Management{}, log); m.Port != "eth7" {
			t.Errorf("%s: the rescue console's is eth7, and it is %+v", name, m)
		}
	}
}

func FuzzNetworksOfAConfigDrive(f *testing.F) {
	f.Add([]byte(novaStatic))
	f.Add([]byte(novaDHCP))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := managementOf(text)
		if err == nil && (m.Port == "" || m.Gateway.IsValid() && !m.Address.IsValid() || len(m.DNS) > userdata.MaxServers) {
			t.Errorf("%+v", m)
		}
	})
}
