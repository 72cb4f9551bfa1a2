package group

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreValidForEveryPrefixLength(t *testing.T) {
	for bits := MinPrefixBits; bits <= MaxPrefixBits; bits++ {
		p := Params{Name: "Lab", Prefix: netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), bits)}.WithDefaults()
		if err := p.Validate(); err != nil {
			t.Errorf("/%d: %v", bits, err)
		}
		if n := p.Blocks(); n < 8 || n > MaxBlocks {
			t.Errorf("/%d: %d blocks of %d addresses", bits, n, p.BlockSize())
		}
		if p.BlockBits != DefaultBlockBits && bits > 10 && bits < 24 {
			t.Errorf("/%d: block bits %d, want %d", bits, p.BlockBits, DefaultBlockBits)
		}
	}
	p := Params{Name: "Lab", Prefix: netip.MustParsePrefix("10.0.0.0/8")}.WithDefaults()
	if p.BlockBits != 8 || p.Name != "lab" || p.Zone != "lab.internal" || p.MTU != 1376 || p.LeaseTime != time.Hour || p.HoldTime != 7*24*time.Hour {
		t.Errorf("got %+v", p)
	}
}

func TestEachFaultOfParamsIsSaidInWords(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Params)
		want   string
	}{
		{"no prefix", func(p *Params) { p.Prefix = netip.Prefix{} }, "prefix: missing"},
		{"IPv6", func(p *Params) { p.Prefix = netip.MustParsePrefix("fd00::/64") }, "must be IPv4"},
		{"IPv4 in IPv6", func(p *Params) { p.Prefix = netip.MustParsePrefix("::ffff:10.0.0.0/112") }, "must be IPv4"},
		{"too large", func(p *Params) { p.Prefix = netip.MustParsePrefix("10.0.0.0/7") }, "/8 to a /28"},
		{"too small", func(p *Params) { p.Prefix = netip.MustParsePrefix("10.0.0.0/29") }, "/8 to a /28"},
		{"host bits", func(p *Params) { p.Prefix = netip.MustParsePrefix("10.9.1.0/16") }, "write 10.9.0.0/16"},
		{"loopback", func(p *Params) { p.Prefix = netip.MustParsePrefix("127.9.0.0/16") }, "loopback"},
		{"multicast", func(p *Params) { p.Prefix = netip.MustParsePrefix("239.0.0.0/8") }, "multicast"},
		{"no name", func(p *Params) { p.Name = "" }, "group name: missing"},
		{"name with space", func(p *Params) { p.Name = "my lab" }, "letters a to z"},
		{"name too long", func(p *Params) { p.Name = strings.Repeat("a", 64) }, "at most 63"},
		{"no zone", func(p *Params) { p.Zone = "" }, "zone: missing"},
		{"zone of mDNS", func(p *Params) { p.Zone = "lab.local" }, "multicast DNS"},
		{"reverse zone", func(p *Params) { p.Zone = "10.in-addr.arpa" }, "reverse names"},
		{"dots in zone", func(p *Params) { p.Zone = "lab..internal" }, "two dots"},
		{"dot at the end", func(p *Params) { p.Zone = "lab.internal." }, "two dots"},
		{"capitals in zone", func(p *Params) { p.Zone = "Lab.internal" }, "letters a to z"},
		{"zone label", func(p *Params) { p.Zone = "-lab.internal" }, "hyphen"},
		{"zone too long", func(p *Params) { p.Zone = strings.Repeat("abcdefg.", 30) + "x" }, "leave room"},
		{"short lease", func(p *Params) { p.LeaseTime = time.Second }, "lease time 1s: must be 10s"},
		{"long lease", func(p *Params) { p.LeaseTime = 31 * 24 * time.Hour; p.HoldTime = 2 * p.LeaseTime }, "lease time"},
		{"odd lease", func(p *Params) { p.LeaseTime = time.Hour + 1 }, "whole seconds"},
		{"hold under two leases", func(p *Params) { p.HoldTime = time.Hour }, "hold time 1h0m0s: must be 2h0m0s"},
		{"hold too long", func(p *Params) { p.HoldTime = 366 * 24 * time.Hour }, "hold time"},
		{"MTU", func(p *Params) { p.MTU = 575 }, "MTU 575"},
		{"large MTU", func(p *Params) { p.MTU = 9001 }, "MTU 9001"},
		{"no block bits", func(p *Params) { p.BlockBits = 0 }, "block bits 0: must be 1 to 10"},
		{"one block", func(p *Params) { p.Prefix = netip.MustParsePrefix("10.9.0.0/26") }, "block bits 6: must be 1 to 5"},
		{"too many blocks", func(p *Params) { p.Prefix = netip.MustParsePrefix("10.0.0.0/8") }, "block bits 6: must be 8 to 10"},
	} {
		p := testParams()
		test.change(&p)
		err := p.Validate()
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one fault with %q", test.name, err, test.want)
		}
	}
}

func TestAllFaultsAreSaidAtOnce(t *testing.T) {
	p := Params{Prefix: netip.MustParsePrefix("10.0.0.1/16"), MTU: 1, LeaseTime: 1, HoldTime: 1}
	err := p.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	for _, word := range []string{"name", "prefix", "zone", "lease time", "hold time", "MTU"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("nothing about %s in:\n%v", word, err)
		}
	}
}

func TestNodeNameMakesALabelOfAnyHostName(t *testing.T) {
	for host, want := range map[string]string{
		"Debian.example.com": "debian", "my_host": "my-host", "": "node", ".x": "node", "--": "node",
		"ünï": "n", "a\x00b": "a-b", strings.Repeat("ab-", 40): strings.Repeat("ab-", 20) + "ab",
	} {
		got := NodeName(host)
		if got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
		if err := validateLabel("node name", got); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestBlocksCoverThePrefixOnceEach(t *testing.T) {
	for _, prefix := range []string{"10.9.0.0/16", "192.168.77.0/28", "192.168.77.16/28", "10.9.4.0/22"} {
		p := Params{Name: "x", Prefix: netip.MustParsePrefix(prefix)}.WithDefaults()
		addr := p.Prefix.Addr()
		for index := range p.Blocks() {
			block := p.BlockPrefix(uint32(index))
			if block.Addr() != addr || block != block.Masked() {
				t.Fatalf("%v: block %d is %v, want it to begin at %v", prefix, index, block, addr)
			}
			for range p.BlockSize() {
				if got, ok := p.BlockOf(addr); !ok || got != uint32(index) || !block.Contains(addr) {
					t.Fatalf("%v: %v is in block %d (%v), want %d", prefix, addr, got, ok, index)
				}
				addr = addr.Next()
			}
		}
		if p.Prefix.Contains(addr) {
			t.Errorf("%v: the blocks end before %v", prefix, addr)
		}
		for _, outside := range []netip.Addr{addr, p.Prefix.Addr().Prev(), {}, netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:10.9.0.1")} {
			if index, ok := p.BlockOf(outside); ok {
				t.Errorf("%v: %v is in block %d", prefix, outside, index)
			}
		}
		if got := p.BlockPrefix(uint32(p.Blocks())); got.IsValid() {
			t.Errorf("%v: a block behind the last: %v", prefix, got)
		}
		if got := p.BlockPrefix(1<<32 - 1); got.IsValid() {
			t.Errorf("%v: a block far behind the last: %v", prefix, got)
		}
	}
}

func TestThreeAddressesAreReserved(t *testing.T) {
	p := testParams()
	if got := p.ServiceAddr().String(); got != "10.9.0.1" {
		t.Errorf("service address %s", got)
	}
	n := 0
	for addr := p.Prefix.Addr(); p.Prefix.Contains(addr); addr = addr.Next() {
		if p.Reserved(addr) {
			n++
		}
	}
	if n != 3 || !p.Reserved(netip.MustParseAddr("10.9.255.255")) || !p.Reserved(netip.MustParseAddr("10.9.0.0")) || p.Reserved(netip.Addr{}) {
		t.Errorf("%d reserved", n)
	}
}
