package ula

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"strings"
	"testing"
)

func TestAnAddressSaysTheOther(t *testing.T) {
	t.Parallel()
	n, err := Parse(netip.MustParsePrefix("fd12:3456:789a:1::/64"))
	if err != nil {
		t.Fatal(err)
	}
	host, six := netip.MustParseAddr("10.77.0.5"), netip.MustParseAddr("fd12:3456:789a:1::a4d:5")
	if got := n.Of(host); got != six {
		t.Errorf("%v has %v, want %v", host, got, six)
	}
	if got, ok := n.Host(six); !ok || got != host {
		t.Errorf("%v is %v %t, want %v", six, got, ok, host)
	}
	for _, foreign := range []string{"fd12:3456:789a:1:0:1:a4d:5", "fd12:3456:789a:2::a4d:5", "fe80::a4d:5", "10.77.0.5", "::ffff:10.77.0.5", "fd12:3456:789a:1::a4d:5%lb0"} {
		if got, ok := n.Host(netip.MustParseAddr(foreign)); ok {
			t.Errorf("%s is taken for %v's", foreign, got)
		}
	}
	if got := n.Of(netip.Addr{}); got.IsValid() {
		t.Errorf("no address has %v", got)
	}
}

func TestNoNetHasNoAddresses(t *testing.T) {
	t.Parallel()
	if a := (Net{}).Of(netip.MustParseAddr("10.77.0.5")); a.IsValid() {
		t.Errorf("got %v", a)
	}
	if a, ok := (Net{}).Host(netip.MustParseAddr("::a4d:5")); ok {
		t.Errorf("got %v", a)
	}
}

func TestPrefixesThatCanBeAGroups(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"fd12:3456:789a::/48": "fd12:3456:789a::/64", "fd12:3456:789a:7::/64": "fd12:3456:789a:7::/64",
		"fd12:3456:789a:7::1/64": "host bits", "2001:db8::/64": "unique local", "fc00::/64": "unique local",
		"fd12::/56": "unique local", "10.0.0.0/8": "unique local", "fd12:3456:789a:7::/128": "unique local",
	} {
		n, err := Parse(netip.MustParsePrefix(text))
		switch {
		case err == nil && n.String() != want:
			t.Errorf("%s is %v, want %s", text, n, want)
		case err != nil && !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestARandomPrefixIsOneThatCanBeGiven(t *testing.T) {
	t.Parallel()
	a, err := Random(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Random(rand.Reader)
	if again, err := Parse(a.Prefix()); err != nil || again != a || a == b {
		t.Errorf("%v and %v: %v", a, b, err)
	}
	if _, err := Random(bytes.NewReader(nil)); err == nil {
		t.Error("no randomness, and no error")
	}
}
