package group

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func testInvitation() Invitation {
	authority := testMember(0)
	return Invitation{
		Group: IDOf(publicKey(testKey(50))), Authority: authority,
		Expires: time.Unix(1_800_000_000, 0), Secret: Secret{1, 2, 3, 15: 16}, Prefix: netip.MustParsePrefix("10.9.0.0/16"),
		Addrs: []string{
			"/ip4/192.0.2.1/udp/4242/quic-v1/p2p/" + authority.String(),
			"/ip6/2001:db8::1/tcp/4242/p2p/" + testMember(1).String(),
			"/dns4/lb.example.org/udp/4242/quic-v1/p2p/" + authority.String(),
			"/ip4/192.0.2.9/tcp/4242/p2p/" + testMember(1).String() + "/p2p-circuit/p2p/" + authority.String(),
		},
	}
}

func mustToken(t testing.TB, inv Invitation) string {
	t.Helper()
	token, err := inv.Token()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAnInvitationComesBackAsItWasWritten(t *testing.T) {
	inv := testInvitation()
	for n := range len(inv.Addrs) + 1 {
		want := inv
		want.Addrs = slices.Clip(inv.Addrs[:n:n])
		if n == 0 {
			want.Addrs = nil
		}
		got, err := ParseInvitation(mustToken(t, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d addresses: got %+v (%v), want %+v", n, got, err, want)
		}
	}
	inv.Addrs = inv.Addrs[:1]
	older := inv
	older.Prefix = netip.Prefix{}
	if got, err := ParseInvitation(mustToken(t, older)); err != nil || !reflect.DeepEqual(got, older) {
		t.Errorf("of a time when no prefix was in it: got %+v (%v)", got, err)
	}
	if n := len(mustToken(t, inv)); n > 180 {
		t.Errorf("a token with one address has %d characters", n)
	}
}

func TestATokenSurvivesHowPeopleCopyIt(t *testing.T) {
	inv := testInvitation()
	token := mustToken(t, inv)
	for name, copied := range map[string]string{
		"capitals": strings.ToUpper(token),
		"spaces":   "  " + token + " \n",
		"wrapped":  token[:76] + "\r\n  " + token[76:],
	} {
		if got, err := ParseInvitation(copied); err != nil || !reflect.DeepEqual(got, inv) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATornTokenIsToldApart(t *testing.T) {
	token := mustToken(t, testInvitation())
	for i := len(tokenPrefix); i < len(token); i++ {
		if _, err := ParseInvitation(token[:i]); !errors.Is(err, ErrTornToken) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		if _, err := ParseInvitation(token[:i] + token[i+1:]); !errors.Is(err, ErrTornToken) {
			t.Fatalf("character %d missing: %v", i, err)
		}
		for _, other := range "abcdefghijklmnopqrstuvwxyz234567" { // of the last one, not all bits are needed
			if _, err := ParseInvitation(token[:i] + string(other) + token[i+1:]); byte(other) != token[i] && !errors.Is(err, ErrTornToken) {
				t.Fatalf("character %d changed to %c: %v", i, other, err)
			}
		}
	}
	for text, want := range map[string]error{
		"": ErrNotInvitation, "hello": ErrNotInvitation, token[1:]: ErrNotInvitation, "lb": ErrNotInvitation, "lbx": ErrNotInvitation,
		"lb2" + token[3:]: ErrNewerInvitation, "lb1": ErrTornToken, token + "0": ErrTornToken, token + token: ErrTornToken,
		strings.Repeat("a", 1<<20): ErrNotInvitation, "lb1" + strings.Repeat("a", MaxTokenLength): ErrTornToken,
	} {
		if _, err := ParseInvitation(text); !errors.Is(err, want) {
			t.Errorf("%.20q…: got %v, want %v", text, err, want)
		}
	}
}

func TestATokenThatIsMadeWrongIsTorn(t *testing.T) {
	head := bytes.Repeat([]byte{1}, invitationHead)
	for name, addrs := range map[string][]byte{
		"address longer than the rest": {5, 1, 2},
		"empty address":                {0, 0},
		"not a multiaddr":              {2, 0xff, 0xff},
		"half a prefix":                {255, 10, 9, 0, 0},
		"a prefix that is none":        {255, 10, 9, 0, 0, 33},
		"two prefixes":                 {255, 10, 9, 0, 0, 16, 255, 10, 9, 0, 0, 16},
		"nine addresses":               bytes.Repeat([]byte{5, 4, 1, 2, 3, 4}, 9),
	} {
		b := append(bytes.Clone(head), addrs...)
		token := tokenPrefix + tokenEncoding().EncodeToString(append(b, checksum(b)...))
		if _, err := ParseInvitation(token); !errors.Is(err, ErrTornToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInvitationsThatCannotBeWrittenSayWhy(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Invitation)
		want   string
	}{
		"no member in the address": {func(i *Invitation) { i.Addrs = []string{"/ip4/192.0.2.1/udp/1/quic-v1"} }, "must end in /p2p/"},
		"only a member":            {func(i *Invitation) { i.Addrs = []string{"/p2p/" + i.Authority.String()} }, "must end in /p2p/"},
		"no multiaddr":             {func(i *Invitation) { i.Addrs = []string{"192.0.2.1:4242"} }, "192.0.2.1:4242"},
		"too many":                 {func(i *Invitation) { i.Addrs = slices.Repeat(i.Addrs, 3) }, "at most 8"},
		"too long": {func(i *Invitation) {
			i.Addrs = []string{"/dns4/" + strings.Repeat("a", 200) + "/tcp/1/p2p/" + i.Authority.String()}
		}, "too long"},
		"end out of range": {func(i *Invitation) { i.Expires = time.Time{} }, "out of range"},
	} {
		inv := testInvitation()
		test.change(&inv)
		if _, err := inv.Token(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSecretIsNotPrinted(t *testing.T) {
	inv := testInvitation()
	inv.Secret = Secret([]byte("ABCDEFGHIJKLMNOP"))
	req := NewJoinRequest(inv, "x")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "inv", inv, "req", req)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "inv", inv, "req", req)
	all := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		all += fmt.Sprintf(verb, inv) + fmt.Sprintf(verb, req) + fmt.Sprintf(verb, &req)
	}
	for _, form := range []string{"ABCDEFGHIJKLMNOP", "4142434445", "65 66 67", "65,66,67", "0x41, 0x42", "QUJDREVG"} {
		if strings.Contains(all, form) {
			t.Errorf("printed as %s in %s", form, all)
		}
	}
}
