package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"landbridge/dhcp"
	"landbridge/dns/forward"
	"landbridge/internal/frame"
	"landbridge/internal/modes"
)

// What the environment of the tests says isn't what they are about.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// writeConfig returns the path of a file with this content.
func writeConfig(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "landbridge.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// faultsOf returns the faults in err as "LINE text" or "--flag text".
func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	var ce *Error
	if !errors.As(err, &ce) {
		t.Fatalf("error %v is no *Error", err)
	}
	var got []string
	for _, f := range ce.Faults {
		where := f.Where
		if f.Line > 0 {
			where = where[strings.LastIndexByte(where, ':')+1:]
		}
		got = append(got, where+" "+f.Text)
	}
	return got
}

func TestDefaultConfigListensOnTheDefaultPortAtEveryAddress(t *testing.T) {
	cfg, err := Load("", map[string][]string{"name": {"site-a"}})
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		State:        DefaultState,
		Name:         "site-a",
		Mode:         modes.Interface,
		DHCP:         DHCP{Serve: dhcp.ServeOpen, Ports: dhcp.Ports{Server: 67, Client: 68}, MTU: MTUOfLAN},
		Listen:       netip.MustParseAddrPort("[::]:4860"),
		Console:      defaultConsole(),
		NameGiven:    true,
		LANDiscovery: true,
		PortMapping:  true,
		LogLevel:     slog.LevelInfo,
		LogFormat:    LogText,
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v\nwant %+v", cfg, want)
	}
	if got := cfg.TCPListen(); got != cfg.Listen {
		t.Errorf("TCP listens at %v, want %v", got, cfg.Listen)
	}
}

func TestEveryKeyOfTheFileIsTaken(t *testing.T) {
	path := writeConfig(t, `# site A
state: /srv/landbridge/
name: Site-A
mode: router
lan-port: eth1
dhcp: vendor-class
dhcp-host: ["52:54:00:00:00:01", "52-54-00-00-00-02", "52:54:00:00:00:01"]
dhcp-vendor-class: [PXEClient, udhcp]
dhcp-ports: 1067/1068
dhcp-mtu: group
dns-forward: [corp.example=10.0.0.53, ".=2001:db8::53,192.0.2.53:5353"]
listen: ":4900"
tcp: 192.0.2.7:443
announce:
  - 203.0.113.5:4860
  - /dns/a.example.com/udp/4860/quic-v1
lan-discovery: false
port-mapping: false
proxy: http://lb:secret@proxy.example:3128
log-level: debug
log-format: json
console-listen: ["192.168.1.5:4861", ":8443"]
console-allow: [192.168.1.0/24, private, "fd00::1"]
console-names: [Console.Example.com]
`)
	cfg, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		State:     "/srv/landbridge",
		Name:      "site-a",
		Mode:      modes.Router,
		LANPort:   "eth1",
		ModeGiven: true, NameGiven: true,
		DHCP: DHCP{
			Serve: dhcp.ServeVendorClass, VendorClasses: []string{"PXEClient", "udhcp"}, Ports: dhcp.Ports{Server: 1067, Client: 1068}, MTU: MTUOfGroup, ServeGiven: true, PortsGiven: true,
			Hosts: []frame.MAC{{0x52, 0x54, 0, 0, 0, 1}, {0x52, 0x54, 0, 0, 0, 2}},
		},
		DNS: DNS{Forward: []forward.Zone{
			{Name: "corp.example.", Servers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.53:53")}},
			{Name: ".", Servers: []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::53]:53"), netip.MustParseAddrPort("192.0.2.53:5353")}},
		}},
		Listen:   netip.MustParseAddrPort("[::]:4900"),
		TCP:      netip.MustParseAddrPort("192.0.2.7:443"),
		Announce: []string{"203.0.113.5:4860", "/dns/a.example.com/udp/4860/quic-v1"},
		Console: Console{
			Listen:       []netip.AddrPort{netip.MustParseAddrPort("192.168.1.5:4861"), netip.MustParseAddrPort("[::]:8443")},
			Allow:        []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fd00::1/128")},
			AllowPrivate: true,
			Names:        []string{"console.example.com"},
		},
		Proxy:     &url.URL{Scheme: "http", User: url.UserPassword("lb", "secret"), Host: "proxy.example:3128"},
		LogLevel:  slog.LevelDebug,
		LogFormat: LogJSON,
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v\nwant %+v", cfg, want)
	}
	if got := cfg.TCPListen(); got != want.TCP {
		t.Errorf("TCP listens at %v, want %v", got, want.TCP)
	}
}

func TestFlagsOverrideTheFile(t *testing.T) {
	path := writeConfig(t, "name: from-file\nmode: interface\nannounce: [203.0.113.5:1]\n")
	cfg, err := Load(path, map[string][]string{
		"name":     {"from-flag"},
		"mode":     {"router"},
		"lan-port": {"eth1"},
		"announce": {"203.0.113.6:2", "[2001:db8::6]:2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Name != "from-flag" || cfg.Mode != modes.Router || cfg.LANPort != "eth1" {
		t.Errorf("got %+v", cfg)
	}
	if want := []string{"203.0.113.6:2", "[2001:db8::6]:2"}; !reflect.DeepEqual(cfg.Announce, want) {
		t.Errorf("announce %q, want %q", cfg.Announce, want)
	}
}

func TestEveryFaultIsListedAtOnceWithItsLine(t *testing.T) {
	path := writeConfig(t, `nmae: site-a
name: -x
mode: bridge

listen: 4860
listen: :4861
announce:
  - 203.0.113.5:http
  - 7
lan-discovery: yes please
log-level: 3
tcp:
`)
	_, err := Load(path, map[string][]string{"log-format": {"xml"}})
	want := []string{
		`1 there is no setting "nmae": did you mean "name"?`,
		`2 name: a hyphen may not be first or last`,
		`3 mode: "bridge" is not one of interface, router and hybrid`,
		`5 listen: want a text: this is a number; put it in quotes: "4860"`,
		`6 listen is set on line 5 already: keep one of the two`,
		`8 announce: "203.0.113.5:http": the port must be a number from 1 to 65535`,
		`9 announce: want a list of texts: this is a number; put it in quotes: "7"`,
		`10 lan-discovery: want true or false, and this is a text`,
		`11 log-level: want a text: this is a number; put it in quotes: "3"`,
		`12 tcp: want a text: this is nothing`,
		`--log-format "xml" is not one of text and json`,
	}
	if got := faultsOf(t, err); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	if !strings.HasPrefix(err.Error(), "the configuration has 11 errors; nothing was started:\n  ") {
		t.Errorf("the error begins %.80q", err.Error())
	}
}

func TestOneFaultIsNamedWithItsLine(t *testing.T) {
	tests := map[string]struct {
		content string
		flags   map[string][]string
		want    string
	}{
		"unknown, far from any": {content: "a: b", want: `1 there is no setting "a": the settings are state, name,`},
		"unknown flag":          {flags: map[string][]string{"colour": {"red"}}, want: `--colour there is no setting "colour"`},
		"router, no port":       {content: "name: a\nmode: router", want: "2 mode: router mode needs lan-port"},
		"port, no router":       {content: "\nlan-port: eth1", want: "2 lan-port: interface mode has no LAN port: set mode: router or mode: hybrid"},
		"hybrid, no port":       {content: "mode: hybrid", want: "1 mode: hybrid mode needs lan-port"},
		"router by flag":        {flags: map[string][]string{"mode": {"router"}}, want: "--mode router mode needs lan-port"},
		"empty value":           {content: `name: ""`, want: "1 name: want 1 to 63 letters"},
		"long name":             {content: "name: " + strings.Repeat("a", 64), want: "1 name: want 1 to 63 letters"},
		"name with a dot":       {content: "name: a.b", want: "1 name: want letters, digits and hyphens only"},
		"whom DHCP serves":      {content: "dhcp: some", want: `1 dhcp: "some" is not one of open, vendor-class and registered`},
		"no MAC":                {content: "dhcp-host: [\"52:54:00:12:34\"]", want: `1 dhcp-host: "52:54:00:12:34" is not a hardware address`},
		"group MAC":             {content: "dhcp-host: [\"01:00:5e:00:00:01\"]", want: "1 dhcp-host: 01:00:5e:00:00:01 is no single host's"},
		"one MAC":               {content: "dhcp-host: \"52:54:00:12:34:56\"", want: `1 dhcp-host: want a list of texts, as ["52:54:00:12:34:56"]`},
		"no vendor class":       {flags: map[string][]string{"dhcp": {"vendor-class"}}, want: "--dhcp vendor-class needs dhcp-vendor-class"},
		"vendor class, open":    {content: "\ndhcp-vendor-class: [udhcp]", want: "2 dhcp-vendor-class: it counts only with dhcp: vendor-class"},
		"empty vendor class":    {content: "dhcp-vendor-class: [\"\"]", want: "1 dhcp-vendor-class: want 1 to 255 bytes"},
		"one DHCP port":         {content: "dhcp-ports: \"1067\"", want: `1 dhcp-ports: "1067" is not two UDP ports`},
		"equal DHCP ports":      {content: "dhcp-ports: 1067/1067", want: "1 dhcp-ports: server and clients can't both have port 1067"},
		"an MTU of nobody":      {content: "dhcp-mtu: jumbo", want: `1 dhcp-mtu: "jumbo" is not one of lan and group`},
		"DHCP at DNS":           {content: "dhcp-ports: 53/1068", want: "1 dhcp-ports: port 53 is the DNS server's"},
		"large DHCP port":       {content: "dhcp-ports: 67/65536", want: `1 dhcp-ports: "67/65536" is not two UDP ports`},
		"no server":             {content: "dns-forward: [corp.example]", want: `1 dns-forward: "corp.example" is no zone with its servers`},
		"a zone twice":          {content: "dns-forward: [corp=10.0.0.1, Corp.=10.0.0.2]", want: "1 dns-forward: corp is there twice"},
		"no group's host":       {content: "group-host: [\"52:54:00:12:34:56\"]", want: `1 group-host: "52:54:00:12:34:56" doesn't say which group: want GROUP=MAC`},
		"a group's no host":     {content: "group-host: [\"lab=eth1\"]", want: `1 group-host: "eth1" is not a hardware address`},
		"a host of two groups":  {content: "group-host: [\"a=52:54:00:12:34:56\", \"b=52:54:00:12:34:56\"]", want: "1 group-host: 52:54:00:12:34:56 is of a and of b: a host is of one group"},
		"no default group":      {content: "default-group: \"\"", want: `1 default-group: "" can't be a group`},
		"a group of two ports":  {content: "group-port: [a=eth1, a=eth2]", want: "1 group-port: a has eth1 and eth2: a group has one LAN port"},
		"no port of a group":    {content: "group-port: [\"a=\"]", want: `1 group-port: "" can't be a network interface`},
		"long LAN port":         {content: "mode: router\nlan-port: abcdefghijklmnop", want: `2 lan-port: "abcdefghijklmnop" can't be`},
		"listen without port":   {content: "listen: 192.0.2.1", want: `1 listen: "192.0.2.1" is not an IP address with a port`},
		"listen at a name":      {content: "listen: localhost:4860", want: `1 listen: "localhost:4860" is not an IP`},
		"listen at multicast":   {content: "listen: 224.0.0.1:4860", want: "1 listen: 224.0.0.1 is a multicast address"},
		"announce is a text":    {content: "announce: 203.0.113.5:1", want: "1 announce: want a list of texts"},
		"announce everything":   {content: "announce: [0.0.0.0:1]", want: `1 announce: "0.0.0.0:1": 0.0.0.0 is no address`},
		"announce too much":     {content: "announce: [" + strings.Repeat("a.b:1, ", 17) + "]", want: "1 announce: 17 addresses are more than 16"},
		"empty state":           {content: `state: ""`, want: "1 state: want a directory"},
		"level in capitals":     {content: "log-level: INFO", want: `1 log-level: "INFO" is not one of debug`},
		"syntax":                {content: "name: a\nmode: [", want: "2 this is not YAML"},
		"tab":                   {content: "name: a\n\tmode: b", want: "2 this is not YAML"},
		"a list":                {content: "- name", want: "1 the file must hold settings as key: value, and this is a list"},
		"a text":                {content: "hello", want: "1 the file must hold settings as key: value, and this is a text"},
		"two documents":         {content: "name: a\n---\nname: b", want: "3 the file may hold one document only"},
		"anchor":                {content: "name: &a b", want: "1 name: want a text: this is an anchor, alias or merge"},
		"alias":                 {content: "name: a\nmode: &m router\nlan-port: *m", want: "2 mode: want a text: this is an anchor, alias or merge"},
		"merge key":             {content: "<<: {name: a}", want: "1 an anchor, alias or merge, none of which has a use here can't be the name"},
		"tag":                   {content: "name: !!str a", want: "1 name: want a text: this is a tag"},
		"nested":                {content: "name: {a: b}", want: "1 name: want a text: this is a mapping"},
		"block text":            {content: "name: |\n  a\n", want: "1 name: want a text: this is a text of several lines"},
		"deep":                  {content: "\nname: " + strings.Repeat("[", 100), want: "2 brackets nest deeper than 8 levels"},
		"large":                 {content: strings.Repeat("# comment\n", 2000), want: "1 the file is larger than 16 KiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := ""
			if tt.content != "" {
				path = writeConfig(t, tt.content)
			}
			cfg, err := Load(path, tt.flags)
			if !reflect.DeepEqual(cfg, Config{}) {
				t.Error("a faulty configuration was returned")
			}
			if got := faultsOf(t, err); !strings.HasPrefix(got[0], tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestTheDocumentationListsEverySettingWithItsDefault(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Settings() {
		row := regexp.MustCompile("(?m)^\\| `" + s.Key + "` \\|.*$").FindString(string(doc))
		if row == "" {
			t.Errorf("docs/configuration.md has no row for %s", s.Key)
		}
		if value := s.Default(Default()); value != "" && s.Key != "name" && !strings.Contains(row, "| `"+value+"` |") {
			t.Errorf("docs/configuration.md doesn't give %s the default %s: %s", s.Key, value, row)
		}
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(doc)
	if example == nil {
		t.Fatal("docs/configuration.md has no example")
	}
	if _, err := Load(writeConfig(t, string(example[1])), nil); err != nil {
		t.Errorf("the example of docs/configuration.md: %v", err)
	}
}

func TestAnEmptyFileIsTheDefaults(t *testing.T) {
	for _, content := range []string{"", "\n", "# nothing yet\n", "---\n", "{}", "null"} {
		cfg, err := Load(writeConfig(t, content), map[string][]string{"name": {"a"}})
		if err != nil || cfg.Listen.Port() != DefaultPort {
			t.Errorf("%q: %+v, %v", content, cfg, err)
		}
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no.yaml")
	_, err := Load(path, nil)
	if err == nil || !strings.Contains(err.Error(), path+": there is no such file") {
		t.Errorf("error %v doesn't name %s", err, path)
	}
}

func TestMultiaddrsOfWhatOperatorsWrite(t *testing.T) {
	tests := map[string][]string{
		"203.0.113.5:4860":                     {"/ip4/203.0.113.5/udp/4860/quic-v1", "/ip4/203.0.113.5/tcp/4860"},
		"[2001:db8::5]:1":                      {"/ip6/2001:db8::5/udp/1/quic-v1", "/ip6/2001:db8::5/tcp/1"},
		"[::ffff:192.0.2.1]:1":                 {"/ip4/192.0.2.1/udp/1/quic-v1", "/ip4/192.0.2.1/tcp/1"},
		"a.example.com.:4860":                  {"/dns/a.example.com/udp/4860/quic-v1", "/dns/a.example.com/tcp/4860"},
		"/ip4/203.0.113.5/udp/4860/quic-v1":    {"/ip4/203.0.113.5/udp/4860/quic-v1"},
		"203.0.113.5":                          {"/ip4/203.0.113.5/udp/4860/quic-v1", "/ip4/203.0.113.5/tcp/4860"},
		"2001:db8::5":                          {"/ip6/2001:db8::5/udp/4860/quic-v1", "/ip6/2001:db8::5/tcp/4860"},
		"[2001:db8::5]":                        {"/ip6/2001:db8::5/udp/4860/quic-v1", "/ip6/2001:db8::5/tcp/4860"},
		"a.example.com":                        {"/dns/a.example.com/udp/4860/quic-v1", "/dns/a.example.com/tcp/4860"},
		"":                                     nil,
		"4860":                                 nil,
		"0.0.0.0":                              nil,
		"[a.example.com]":                      nil,
		"a.example.com:":                       nil,
		"203.0.113.5:0":                        nil,
		"203.0.113.5:65536":                    nil,
		"203.0.113:1":                          nil,
		"0.0.0.0:1":                            nil,
		"[ff02::1]:1":                          nil,
		"[fe80::1%eth0]:1":                     nil,
		":4860":                                nil,
		"a_b.example.com:1":                    nil,
		"/ip4/203.0.113.5/udp":                 nil,
		"/" + strings.Repeat("ip4/1.2.3.4", 3): nil,
	}
	for in, want := range tests {
		got, err := Multiaddrs(in)
		if (err == nil) != (want != nil) || !reflect.DeepEqual(got, want) {
			t.Errorf("Multiaddrs(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

// FuzzConfigFile holds that no file crashes the parser, that each fault has a line of the
// file and a text, and that a file is either taken or faulted.
func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{
		"", "name: a\nmode: router\nlan-port: eth1\n", "announce:\n  - 203.0.113.5:4860\n  - a.example.com:1\n",
		"lan-discovery: false", "{name: a, mode: interface}", "name: &a [*a, *a]", "<<: {a: b}", "? a\n: b",
		"--- a\n--- b\n", "name: !!binary aGk=", "a: |\n b\n c", "\"name\": 'x'", "name: 0x1F", "listen: .inf", "%YAML 1.2\n---\nname: a",
		"name: \"\\ud800\"", "\xef\xbb\xbfname: a", "a:\n - b\n c", "[[[[", "name: a # b\n#c",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		values, faults := parseFile("f.yaml", content, Settings())
		lines := strings.Count(string(content), "\n") + strings.Count(string(content), "\r") + 1
		for _, fault := range faults {
			if fault.Line < 1 || fault.Line > lines+1 || fault.Text == "" {
				t.Errorf("fault %+v of a file of %d lines", fault, lines)
			}
		}
		cfg, err := merge(values, faults, Settings())
		if err != nil && err.Error() == "" {
			t.Error("an error says nothing")
		}
		if err == nil && (cfg.State == "" || !cfg.Listen.IsValid()) {
			t.Errorf("accepted %+v", cfg)
		}
		for _, v := range values {
			for _, text := range v.values {
				if len(text) > len(content)*3 { // "\x85" grows to U+0085, no more
					t.Errorf("%d bytes of value from %d of file", len(text), len(content))
				}
			}
		}
	})
}
