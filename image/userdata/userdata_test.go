package userdata

import (
	"errors"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"landbridge/internal/config"
)

const (
	hash  = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	whole = `#cloud-config
name: Site-A
mode: router
lan-port: eth1
announce: ["192.0.2.1:4860"]
lan-discovery: false
management-port: eth0
management-address: 192.168.1.5/24
management-gateway: 192.168.1.1
dns: ["192.168.1.1", "2001:db8::53"]
ntp: [time.example.com, "192.168.1.1"]
administrator: alice
password-hash: "` + hash + `"
create-group: office
create-prefix: 10.20.0.0/16
`
)

func TestUserDataIsReadAsAWhole(t *testing.T) {
	got, err := Parse("user-data", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := Data{
		Name: "site-a",
		Settings: map[string][]string{
			"name": {"Site-A"}, "mode": {"router"}, "lan-port": {"eth1"}, "announce": {"192.0.2.1:4860"}, "lan-discovery": {"false"},
		},
		Management: Management{
			Told: true, Port: "eth0", Address: netip.MustParsePrefix("192.168.1.5/24"), Gateway: netip.MustParseAddr("192.168.1.1"),
			DNS: []netip.Addr{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("2001:db8::53")},
		},
		NTP: []string{"time.example.com", "192.168.1.1"}, Administrator: "alice", PasswordHash: hash,
		Create: Group{Name: "office", Prefix: netip.MustParsePrefix("10.20.0.0/16")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestAPortIsNamedByItsHardwareAddressToo(t *testing.T) {
	for text, want := range map[string]Management{
		"management-port: 52:54:00:AB:cd:01\n": {Told: true, Port: "52:54:00:ab:cd:01"}, "management-address: dhcp\n": {Told: true}, "dns: [192.0.2.53]\n": {},
	} {
		d, err := Parse("user-data", []byte(text))
		if err != nil || d.Management.Told != want.Told || d.Management.Port != want.Port {
			t.Errorf("%q: %+v, %v", text, d.Management, err)
		}
	}
}

func TestEmptyUserDataDecidesNothing(t *testing.T) {
	for _, text := range []string{"", "#cloud-config\n", "---\n", "{}\n"} {
		d, err := Parse("user-data", []byte(text))
		if err != nil || d.Name != "" || len(d.Settings) > 0 || d.Create.Name != "" {
			t.Errorf("%q: %+v, %v", text, d, err)
		}
	}
}

// faults returns what is wrong, as "LINE key: text".
func faults(t *testing.T, text string) string {
	t.Helper()
	d, err := Parse("user-data", []byte(text))
	var faulty *config.Error
	if !errors.As(err, &faulty) {
		t.Fatalf("%q is taken: %+v, %v", text, d, err)
	}
	if diff := cmp.Diff(Data{}, d, cmp.Comparer(func(a, b Data) bool { return a.Name == b.Name && len(a.Settings) == len(b.Settings) })); diff != "" {
		t.Errorf("part of it is given: %s", diff)
	}
	var b strings.Builder
	for _, f := range faulty.Faults {
		b.WriteString(strings.TrimPrefix(f.Where, "user-data:") + " " + f.Text + "\n")
	}
	return b.String()
}

func TestEachErrorHasItsLine(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a key of cloud-init":     {"hostname: a\npackages: [vim]\n", `1 there is no setting "hostname"`},
		"and another":             {"hostname: a\npackages: [vim]\n", `2 there is no setting "packages"`},
		"a key of others":         {"name: a\nstate: /tmp\n", `2 there is no setting "state"`},
		"the console's door":      {"console-listen: []\n", `1 there is no setting "console-listen"`},
		"a slip":                  {"\ninvitaton: lb1x\n", `2 there is no setting "invitaton": did you mean "invitation"?`},
		"no address":              {"management-address: 192.168.1.5\n", "1 management-address: "},
		"a network as address":    {"management-address: 192.168.1.0/24\n", "192.168.1.1/24"},
		"a gateway elsewhere":     {"management-address: 192.168.1.5/24\nmanagement-gateway: 10.0.0.1\n", "2 management-gateway: 10.0.0.1 is no other station"},
		"a gateway without":       {"management-gateway: 10.0.0.1\n", "1 management-gateway: by DHCP"},
		"the same port twice":     {"mode: router\nlan-port: eth0\nmanagement-port: eth0\n", "3 management-port: eth0 is the LAN port"},
		"a router without port":   {"name: a\nmode: router\n", "2 mode: router mode needs lan-port"},
		"a password in the clear": {"administrator: alice\npassword-hash: secret\n", "2 password-hash: is no hash of a password"},
		"nobody's password":       {"password-hash: \"" + hash + "\"\n", "1 password-hash: needs administrator"},
		"no password":             {"administrator: alice\n", "1 administrator: needs password-hash"},
		"a bad user":              {"administrator: a b\npassword-hash: \"" + hash + "\"\n", "1 administrator: want letters"},
		"a torn invitation":       {"invitation: lb1abc\n", "1 invitation: "},
		"public addresses":        {"create-group: a\ncreate-prefix: 8.8.0.0/16\n", "2 create-prefix: 8.8.0.0/16 are public"},
		"host bits":               {"create-group: a\ncreate-prefix: 10.1.2.3/16\n", "1 create-group: "},
		"no group":                {"create-prefix: 10.1.0.0/16\n", "1 create-prefix: needs create-group"},
		"the network outside":     {"create-group: a\nmanagement-address: 10.9.0.5/24\n", "10.9.0.0/16 is in use at the management port"},
		"too many servers":        {"ntp: [a, b, c, d, e, f, g, h, i]\n", "1 ntp: more than 8"},
		"no list":                 {"dns: 192.0.2.1\n", "1 dns: want a list of texts"},
		"no server":               {"ntp: [\"a b\"]\n", "1 ntp: \"a b\" is neither"},
		"an anchor":               {"name: &a x\n", "1 name: want a text"},
		"no YAML":                 {"name: [\n", "this is not YAML"},
		"a list":                  {"- name\n", "1 the file must hold settings"},
		"too large":               {"# " + strings.Repeat("x", 17<<10), "larger than 16 KiB"},
		"another's configuration": {"<?xml version=\"1.0\"?>\n", "1 "},
		"a shell script":          {"#!/bin/sh\necho hello\n", "2 the file must hold settings"},
		"twice":                   {"name: a\nname: b\n", "2 name is set on line 1 already"},
	} {
		if got := faults(t, c.text); !strings.Contains(got, c.want) {
			t.Errorf("%s: want %q, got\n%s", name, c.want, got)
		}
	}
}

func TestAllErrorsAreToldAtOnce(t *testing.T) {
	got := faults(t, "name: \"a b\"\nmode: bridge\nntp: [\"?\"]\nnonsense: 1\n")
	for _, want := range []string{"1 name:", "2 mode:", "3 ntp:", "4 there is no setting"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestTheDocumentListsEachKeyAndItsExampleIsRight(t *testing.T) {
	doc, err := os.ReadFile("../../docs/image.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range Keys() {
		if !strings.Contains(string(doc), "| `"+key+"` |") {
			t.Errorf("docs/image.md says nothing of %s", key)
		}
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(doc)
	if example == nil {
		t.Fatal("docs/image.md has no example")
	}
	if _, err := Parse("example", example[1]); err != nil {
		t.Error(err)
	}
}

func FuzzUserDataIsTakenOrRefused(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("invitation: lb1abc\ncreate-group: a\n"))
	f.Add([]byte("dns: [\"::\", 1]\nmanagement-address: dhcp\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := Parse("f", content)
		if err == nil {
			for _, key := range Without() {
				if _, ok := d.Settings[key]; ok {
					t.Errorf("%s is let in", key)
				}
			}
			return
		}
		var faulty *config.Error
		if !errors.As(err, &faulty) || len(faulty.Faults) == 0 || faulty.Faults[0].Text == "" {
			t.Errorf("refused without a reason: %v", err)
		}
	})
}
