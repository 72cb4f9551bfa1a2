package main

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAgesHaveTheirTwoLargestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", -time.Second: "0s", 1400 * time.Millisecond: "1s", 59 * time.Second: "59s", time.Minute: "1m",
		61 * time.Second: "1m 1s", time.Hour: "1h", 3661 * time.Second: "1h 1m", 76 * time.Hour: "3d 4h", 7 * 24 * time.Hour: "7d",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestSizesHaveThreeDigits(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 999: "999 B", 1000: "1.00 kB", 9994: "9.99 kB", 9996: "10.0 kB", 31_200_000: "31.2 MB", 999_499: "999 kB", 999_500: "1.00 MB",
		123_456_789_012: "123 GB", 1<<64 - 1: "18.4 EB",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestRoundTripTimesAreMilliseconds(t *testing.T) {
	for us, want := range map[int64]string{0: "", 87: "0.09 ms", 1234: "1.23 ms", 12_345: "12.3 ms", 234_567: "234 ms"} {
		if got := rtt(us); got != want {
			t.Errorf("rtt(%d) = %q, want %q", us, got, want)
		}
	}
}

func TestThousandsHaveCommas(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTablesAreAlignedAndLeaveEmptyColumnsOut(t *testing.T) {
	table := &table{columns: []column{{title: "NAME"}, {title: "N", right: true}, {title: "EMPTY"}, {title: "KEPT", keep: true}, {title: "LAST"}}}
	table.add("a", "1", "", "", "x")
	table.add("ümlaut", "1000", "", "", "")
	var b bytes.Buffer
	if err := table.write(&b); err != nil {
		t.Fatal(err)
	}
	want := "NAME       N  KEPT  LAST\n" +
		"a          1        x\n" +
		"ümlaut  1000\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestWhatOthersNameCannotSteerTheTerminal(t *testing.T) {
	peers := []api.Peer{{Name: "evil\x1b[2J\nroot", Session: api.SessionStateNone, MemberID: "12D3KooWabcdefgh"}}
	var b bytes.Buffer
	if err := peerTable(peers, time.Now()).write(&b); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b") || strings.Count(b.String(), "\n") != 2 {
		t.Errorf("got %q", b.String())
	}
}

func TestLongLinesAreCutOnTerminalsOnly(t *testing.T) {
	if got := cut("0123456789", 5); got != "0123…" {
		t.Errorf("got %q", got)
	}
	if got := cut("0123456789", 0); got != "0123456789" {
		t.Errorf("got %q", got)
	}
}

func TestPeersReadAsEngineersExpect(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	peers := []api.Peer{
		{Name: "site-b", MemberID: "12D3KooWbbbbbbbb", Connected: true, Session: api.SessionStateEstablished, Path: api.PathKindDirect,
			Address: netip.MustParseAddrPort("198.51.100.7:4860"), RttMicroseconds: 12345, LastReceived: now.Add(-2 * time.Second), TxBytes: 104_857_600, RxBytes: 2_000_000, Cipher: "AES-256-GCM"},
		{Name: "site-c", MemberID: "12D3KooWcccccccc", Connected: true, Session: api.SessionStateEstablished, Path: api.PathKindRelay,
			Address: netip.MustParseAddrPort("203.0.113.9:4860"), ViaName: "hub", Via: "12D3KooWdddddddd", RttMicroseconds: 40_000, LastReceived: now, Why: "both NATs are symmetric", Cipher: "ChaCha20-Poly1305"},
		{Name: "hub", MemberID: "12D3KooWdddddddd", Session: api.SessionStateConnecting},
		{Name: "desk", MemberID: "12D3KooWffffffff", Connected: true, Native: true, Session: api.SessionStateNone, Path: api.PathKindNone},
		{Name: "old", MemberID: "12D3KooWeeeeeeee", Session: api.SessionStateNone, Path: api.PathKindNone},
	}
	var b bytes.Buffer
	if err := peerTable(peers, now).write(&b); err != nil {
		t.Fatal(err)
	}
	want := `NAME    PATH        ADDRESS                       RTT  HEARD    SENT  RECEIVED  CIPHER             OVERLAY    MEMBER    WHY
site-b  direct      198.51.100.7:4860         12.3 ms     2s  105 MB   2.00 MB  AES-256-GCM        connected  bbbbbbbb
site-c  relay       via hub 203.0.113.9:4860  40.0 ms     0s     0 B       0 B  ChaCha20-Poly1305  connected  cccccccc  both NATs are symmetric
hub     connecting                                                                                 away       dddddddd
desk    native                                                                                     connected  ffffffff
old     -                                                                                          away       eeeeeeee
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestStatusSaysWhatIsWrongInWords(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	st := api.Status{
		Name: "site-a", MemberID: "12D3KooWsitea", Version: "v0.1.0", Mode: api.ModeRouter, UptimeSeconds: 3661,
		Listen: []string{"udp [::]:4860", "tcp [::]:4860"}, Observed: []netip.AddrPort{netip.MustParseAddrPort("203.0.113.5:4860")},
		Attachment: api.Attachment{LanPort: "eth1", Bridge: "lbbr0", Tap: "lb0", GatewayMAC: "02:01:02:03:04:05", MTU: 1376},
		Memory:     api.Memory{ResidentBytes: 31_200_000, HeapBytes: 9_000_000, Goroutines: 41},
		Groups: []api.GroupStatus{{
			ID: strings.Repeat("1a2b3c4d", 8), Name: "office", Prefix: netip.MustParsePrefix("10.9.0.0/16"), Zone: "office.internal",
			ServiceAddress: netip.MustParseAddr("10.9.0.1"), DescriptorVersion: 4, Authority: true, MembersKnown: 4, MembersConnected: 3,
			LeasesServed: 1234, BlocksHeld: 2, BlocksSpare: 1, CertificateExpires: now.Add(90 * 24 * time.Hour),
		}},
		Health: []api.HealthItem{{Level: api.HealthLevelWarning, Component: "tunnel", Text: "site-c is relayed: both NATs are symmetric", Remedy: "Forward a port.", Since: now.Add(-3 * time.Minute), Count: 2}},
	}
	var b bytes.Buffer
	if err := writeStatus(&b, st, now); err != nil {
		t.Fatal(err)
	}
	want := `Appliance      site-a
Member ID      12D3KooWsitea
Version        v0.1.0, up 1h 1m
Mode           router, LAN port eth1, bridge lbbr0, TAP lb0, gateway MAC 02:01:02:03:04:05, MTU 1376
Listens        udp [::]:4860
               tcp [::]:4860
Seen as        203.0.113.5:4860
Memory         31.2 MB resident, 9.00 MB heap, 41 goroutines

Group          office, this appliance keeps the CA key
  ID           1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d
  Prefix       10.9.0.0/16
  Zone         office.internal
  Services     10.9.0.1 (DHCP, DNS)
  Members      3 of 4 reachable, descriptor version 4
  Leases       1,234 served here
  Blocks       2 held, 1 of them spare
  Certificate  expires 2027-02-20 03:00 UTC (in 90d)

Health         1 thing to look at
  warning      tunnel: site-c is relayed: both NATs are symmetric (for 3m, 2 times)
               -> Forward a port.
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
