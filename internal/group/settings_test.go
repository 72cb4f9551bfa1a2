package group

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"landbridge/internal/store"
	"landbridge/internal/ula"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// testSettings has something of everything.
func testSettings() Settings {
	return Settings{
		LeaseTime: 10 * time.Minute, RenewPart: 40, RebindPart: 80, Domain: "Office.Example.", Search: []string{"lab.internal", "Example.org"},
		DNS: []netip.Addr{addr("192.0.2.53")}, NTP: []netip.Addr{addr("10.9.0.9"), addr("192.0.2.123")},
		Routes:   []Route{{To: netip.MustParsePrefix("192.168.7.0/24"), Via: addr("10.9.0.77")}},
		Excluded: []Range{{addr("10.9.3.0"), addr("10.9.3.255")}, {addr("10.9.0.2"), addr("10.9.0.49")}, {addr("10.9.0.50"), addr("10.9.0.60")}},
		Allowed:  []MAC{{2, 0, 0, 0, 0, 9}, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 9}}, Denied: []MAC{{2, 1}}, OnlyAllowed: true,
		IPv6: testNet(),
	}
}

func testNet() ula.Net {
	n, err := ula.Parse(netip.MustParsePrefix("fd12:3456:789a:1::/64"))
	if err != nil {
		panic(err)
	}
	return n
}

func TestIPv6NeedsRoomAndAPrefixThatIsOne(t *testing.T) {
	p := testParams()
	p.MTU = 1279
	s := Settings{IPv6: testNet()}
	var fault *SettingError
	if err := s.Validate(p); !errors.As(err, &fault) || fault.Field != "ipv6Prefix" {
		t.Errorf("with an MTU of 1279: %v", err)
	}
	for _, wrong := range [][]byte{{0xfd}, make([]byte, 8), {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0}, make([]byte, 9)} {
		if s, err := (wireSettings{Version: 1, IPv6: wrong}).settings(); err == nil {
			t.Errorf("%x is taken for %v", wrong, s.IPv6)
		}
	}
	if n := (*Settings)(nil).IPv6Net(); !n.IsZero() {
		t.Errorf("no settings have %v", n)
	}
}

func (l *lab) configure(s Settings, base uint64) *Settings {
	l.t.Helper()
	made, err := l.authority.Configure(s, base, l.now)
	if err != nil {
		l.t.Fatal(err)
	}
	return made
}

func TestSettingsAreTakenAsTheyWereMadeByMembersAndAfterARestart(t *testing.T) {
	l := newLab(t)
	var told []*Settings
	l.authority.WatchSettings(func(s SignedSettings) {
		if changed, err := l.founder.UpdateSettings(s); !changed || err != nil {
			t.Errorf("the founder's own: %v, %v", changed, err)
		}
	})
	one := l.join(1)
	one.WatchSettings(func(s *Settings) { told = append(told, s) })
	made := l.configure(testSettings(), 0)
	want := testSettings().Normal()
	want.Version, want.Made, want.sum = 1, l.now, made.sum
	if !reflect.DeepEqual(*made, want) {
		t.Fatalf("made\n%+v, want\n%+v", *made, want)
	}
	if want := []Range{{addr("10.9.0.2"), addr("10.9.0.60")}, {addr("10.9.3.0"), addr("10.9.3.255")}}; !reflect.DeepEqual(made.Excluded, want) {
		t.Errorf("excluded %v, want %v", made.Excluded, want)
	}
	if changed, err := one.UpdateSettings(l.founder.SignedSettings()); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if changed, err := one.UpdateSettings(l.founder.SignedSettings()); changed || err != nil {
		t.Fatal("taken twice", changed, err)
	}
	again, err := OpenMembership(one.db, testKey(1), one.id)
	if err != nil || !reflect.DeepEqual(*again.Settings(), want) || len(told) != 1 {
		t.Errorf("after a restart %+v (%v), told %d times", again.Settings(), err, len(told))
	}
	if d := one.Descriptor(); d.Version != l.founder.Descriptor().Version || d.LeaseTime != DefaultLeaseTime {
		t.Errorf("the descriptor is another: %+v", d)
	}
}

func TestNewerSettingsTakeTheOldersPlaceAndNeverTheOtherWay(t *testing.T) {
	l := newLab(t)
	one := l.join(1)
	first, second := l.configure(Settings{LeaseTime: time.Minute}, 0), l.configure(Settings{LeaseTime: 2 * time.Minute}, 1)
	older, newer := l.signSettings(*first), l.signSettings(*second)
	if changed, err := one.UpdateSettings(newer); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if changed, err := one.UpdateSettings(older); changed || err != nil || one.Settings().LeaseTime != 2*time.Minute {
		t.Errorf("went back: %v, %v", changed, err)
	}
	if _, err := l.authority.Configure(Settings{}, 1, l.now); !errors.Is(err, ErrSettingsChanged) {
		t.Errorf("changed what somebody else has changed: %v", err)
	}
}

// An authority whose state was set back makes a version twice.
func TestOfTwoSettingsOfOneVersionAllMembersTakeTheSame(t *testing.T) {
	l := newLab(t)
	at := l.now
	a := l.signSettings(Settings{Version: 3, Made: at, LeaseTime: time.Minute})
	b := l.signSettings(Settings{Version: 3, Made: at.Add(time.Second), LeaseTime: 2 * time.Minute})
	for n, order := range [][]SignedSettings{{a, b}, {b, a}} {
		m := l.join(1 + n)
		for _, s := range order {
			if _, err := m.UpdateSettings(s); err != nil {
				t.Fatal(err)
			}
		}
		if m.Settings().LeaseTime != 2*time.Minute {
			t.Errorf("order %d: %v", n, m.Settings().LeaseTime)
		}
	}
}

func TestSettingsOfAnotherHandAreRefused(t *testing.T) {
	l := newLab(t)
	other, one := newLab(t), l.join(1)
	good := l.signSettings(Settings{Version: 1, Made: l.now, LeaseTime: time.Minute})
	bent := bytes.Clone(good)
	bent[len(bent)/2] ^= 1
	stranger := Settings{Version: 1, Made: l.now}
	foreign, err := stranger.sign(l.authority.id, other.authority.key)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := stranger.sign(other.authority.id, l.authority.key)
	if err != nil {
		t.Fatal(err)
	}
	later, err := wireSettings{Format: 2, Group: l.authority.id, Version: 9}.encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signed SignedSettings
		want   error
	}{
		"bent": {bent, ErrSettings}, "another CA's": {foreign, ErrSignature}, "of another group": {elsewhere, ErrOtherGroup},
		"of a later format": {l.envelope(later), ErrNewerSettings}, "without a body": {SignedSettings{0xa0}, ErrSettings},
		"without a version": {l.signSettings(Settings{Made: l.now}), ErrSettings},
		"too long":          {make(SignedSettings, MaxSettingsSize+1), ErrSettings},
		"out of order":      {l.signSettings(Settings{Version: 1, Made: l.now, Denied: []MAC{{2, 2}, {2, 1}}}), ErrSettings},
	} {
		if changed, err := one.UpdateSettings(c.signed); changed || !errors.Is(err, c.want) || one.Settings() != nil {
			t.Errorf("%s: %v, %v", name, changed, err)
		}
	}
}

// A newer program may allow more than this one, which an image that takes an update back is left with.
func TestSettingsInTheStateThatAreNotForThisProgramKeepNoGroupFromRunning(t *testing.T) {
	l := newLab(t)
	many := Settings{Version: 1, Made: l.now, Denied: make([]MAC, MaxHosts+1)}
	for i := range many.Denied {
		many.Denied[i] = MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}
	}
	more := l.signSettings(many)
	if _, err := l.join(1).UpdateSettings(more); !errors.Is(err, ErrNewerSettings) {
		t.Errorf("more hosts than this program takes: %v", err)
	}
	for n, stored := range []SignedSettings{more, []byte("damaged")} {
		m := l.join(2 + n)
		err := m.db.Update(func(tx *store.Tx) error { return settingsBucket().Put(tx, m.id[:], stored) })
		if err != nil {
			t.Fatal(err)
		}
		again, err := OpenMembership(m.db, m.key, m.id)
		if err != nil {
			t.Fatalf("%.10q: %v", stored, err)
		}
		good := l.signSettings(Settings{Version: 2, Made: l.now, LeaseTime: time.Minute})
		if changed, err := again.UpdateSettings(good); again.Settings() == nil || !changed || err != nil {
			t.Errorf("%.10q: some that it can use: %v, %v", stored, changed, err)
		}
	}
}

func TestWhatANewerProgramHasSetIsKept(t *testing.T) {
	l := newLab(t)
	one := l.join(1)
	body, err := wireSettings{Format: settingsFormat, Group: l.authority.id, Version: 1, Made: 7, LeaseTime: 60}.encode(map[uint64]cbor.RawMessage{40: {0x63, 'n', 'e', 'w'}})
	if err != nil {
		t.Fatal(err)
	}
	signed := l.envelope(body)
	for _, m := range []*Membership{l.founder, one} {
		if _, err := m.UpdateSettings(signed); err != nil || m.Settings().LeaseTime != time.Minute {
			t.Fatal(m.Settings(), err)
		}
	}
	if !bytes.Equal(one.SignedSettings(), signed) {
		t.Error("not passed on as it came")
	}
	next := l.configure(Settings{LeaseTime: 2 * time.Minute}, 1)
	if string(next.unknown[40]) != "\x63new" || next.LeaseTime != 2*time.Minute {
		t.Errorf("the next version: %+v", next)
	}
}

func TestWrongSettingsAreRefusedByTheFieldThatIsWrong(t *testing.T) {
	p := testParams()
	p.HoldTime = time.Hour
	many := make([]Range, MaxRanges+1)
	for i := range many {
		a := address(number(p.Prefix.Addr()) + uint32(4*i+8))
		many[i] = Range{a, a}
	}
	hosts := make([]MAC, MaxHosts+1)
	for i := range hosts {
		hosts[i] = MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}
	}
	long := strings.Repeat("abcdefghi.", 16) + "org"
	for field, all := range map[string][]Settings{
		"leaseSeconds":  {{LeaseTime: time.Second}, {LeaseTime: time.Minute + 1}, {LeaseTime: 31 * time.Minute}, {LeaseTime: 40 * 24 * time.Hour}},
		"renewPercent":  {{RenewPart: 9, RebindPart: 50}, {RenewPart: 87}, {RenewPart: 96}},
		"rebindPercent": {{RenewPart: 50, RebindPart: 50}, {RebindPart: 96}, {RebindPart: 40}, {RenewPart: 90, RebindPart: 20}},
		"domain":        {{Domain: "a..b"}, {Domain: "under_score.org"}, {Domain: "-a.org"}},
		"search":        {{Search: []string{""}}, {Search: []string{"a.org", "a.org"}}, {Search: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}}, {Search: []string{long, long[10:]}}},
		"dnsServers":    {{DNS: []netip.Addr{addr("::1")}}, {DNS: []netip.Addr{addr("127.0.0.1")}}, {DNS: []netip.Addr{addr("1.1.1.1"), addr("1.1.1.1")}}, {DNS: []netip.Addr{addr("1.1.1.1"), addr("1.1.1.2"), addr("1.1.1.3"), addr("1.1.1.4")}}},
		"ntpServers":    {{NTP: []netip.Addr{addr("224.0.1.1")}}, {NTP: []netip.Addr{{}}}},
		"routes": {{Routes: []Route{{To: netip.MustParsePrefix("192.168.7.1/24"), Via: addr("10.9.0.77")}}}, {Routes: []Route{{To: netip.MustParsePrefix("192.168.7.0/24"), Via: addr("10.8.0.77")}}},
			{Routes: []Route{{To: netip.MustParsePrefix("192.168.7.0/24"), Via: addr("10.9.0.1")}}}, {Routes: []Route{{To: netip.MustParsePrefix("10.9.4.0/24"), Via: addr("10.9.0.77")}}}, {Routes: []Route{{}}},
			{Routes: []Route{{To: netip.MustParsePrefix("2001:db8::/32"), Via: addr("10.9.0.77")}}}},
		"excluded": {{Excluded: []Range{{addr("10.8.0.1"), addr("10.9.0.9")}}}, {Excluded: []Range{{addr("10.9.0.9"), addr("10.9.0.8")}}}, {Excluded: []Range{{}}}, {Excluded: many}, {Excluded: []Range{{addr("10.9.0.0"), addr("10.9.254.255")}}}},
		"allowed":  {{Allowed: []MAC{{1, 0, 0x5e}}}, {Allowed: []MAC{{}}}, {Allowed: hosts}},
		"denied":   {{Denied: []MAC{{0xff, 0xff}}}, {Allowed: hosts[:4], Denied: hosts[3:5]}},
	} {
		for _, s := range all {
			s = s.Normal()
			var fault *SettingError
			if err := s.Validate(p); !errors.As(err, &fault) || fault.Field != field {
				t.Errorf("%s: %+v: %v", field, s, err)
			}
		}
	}
	good := testSettings().Normal()
	none := Settings{}
	edge := Settings{LeaseTime: 30 * time.Minute, Routes: []Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: addr("10.9.0.77")}}, Allowed: hosts[1:]}
	for _, s := range []Settings{good, none, edge.Normal()} {
		if err := s.Validate(p); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestTheAppliancesOwnAddressIsRefusedInNewSettingsAndTakenInOlderOnes(t *testing.T) {
	l, own := newLab(t), testParams().ServiceAddr()
	for field, s := range map[string]Settings{
		"dnsServers": {DNS: []netip.Addr{addr("192.0.2.53"), own}}, "excluded": {Excluded: []Range{{own, own}, {addr("10.9.0.9"), addr("10.9.0.9")}}},
	} {
		var fault *SettingError
		if _, err := l.authority.Configure(s, 0, l.now); !errors.As(err, &fault) || fault.Field != field || !strings.Contains(fault.Err.Error(), own.String()) {
			t.Errorf("%s: %v", field, err)
		}
		s.Version, s.Made = 1, l.now
		if _, err := ParseSettings(l.signSettings(s), l.founder.Descriptor()); err != nil {
			t.Errorf("%s, made by an older program: %v", field, err)
		}
	}
	around := Settings{Excluded: []Range{{addr("10.9.0.0"), addr("10.9.0.63")}}}
	if err := around.ValidateNew(testParams()); err != nil {
		t.Errorf("a network that has it within: %v", err)
	}
}

func TestFaultsOfSettingsDontNameTheirFieldTwiceAndSayTimesInWords(t *testing.T) {
	p := testParams()
	p.HoldTime = 25 * time.Hour
	for want, s := range map[string]Settings{
		"leaseSeconds: must be 10 s to 30 days, in whole seconds":                                       {LeaseTime: 5 * time.Second},
		"leaseSeconds: must be 12 h 30 min at most, half of the group's hold time":                      {LeaseTime: 13 * time.Hour},
		`domain: "foo bar" may hold only the letters a to z, digits and hyphens`:                        {Domain: "foo bar"},
		`domain: "a_b.org": "a_b" may hold only the letters a to z, digits and hyphens`:                 {Domain: "a_b.org"},
		`search: "b..example" has a dot at its beginning, or two in a row`:                              {Search: []string{"b..example"}},
		"ntpServers: 10.9.0.9 is given twice":                                                           {NTP: []netip.Addr{addr("10.9.0.9"), addr("10.9.0.9")}},
		"routes: 192.168.7.1/24 has host bits set: write 192.168.7.0/24":                                {Routes: []Route{{netip.MustParsePrefix("192.168.7.1/24"), addr("10.9.0.77")}}},
		"excluded: 10.9.0.9-10.9.0.8: the last is before the first":                                     {Excluded: []Range{{addr("10.9.0.9"), addr("10.9.0.8")}}},
		"renewPercent: must be 10 to 86 % of the lease while T2 is its default, 87.5 %: give that, too": {RenewPart: 90},
	} {
		if err := s.ValidateNew(p); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestSettingsAnswerWhatTheyAreAskedOnEachPath(t *testing.T) {
	s := testSettings().Normal()
	var none *Settings
	p := testParams()
	for a, want := range map[string]bool{"10.9.0.1": false, "10.9.0.2": true, "10.9.0.55": true, "10.9.0.60": true, "10.9.0.61": false, "10.9.3.0": true, "10.9.3.255": true, "10.9.4.0": false, "::1": false} {
		if s.Excludes(addr(a)) != want || none.Excludes(addr(a)) {
			t.Errorf("%s: excluded %v", a, !want)
		}
	}
	if !s.Allows(MAC{2, 0, 0, 0, 0, 9}) || s.Allows(MAC{2, 1}) || !s.Denies(MAC{2, 1}) || none.Allows(MAC{2, 1}) || none.Denies(MAC{2, 1}) {
		t.Error("hosts")
	}
	if s.Lease(p) != 10*time.Minute || none.Lease(p) != DefaultLeaseTime {
		t.Error("lease times")
	}
	if t1, t2 := s.RenewAfter(time.Hour); t1 != 24*time.Minute || t2 != 48*time.Minute {
		t.Error(t1, t2)
	}
	if t1, t2 := none.RenewAfter(time.Hour); t1 != 30*time.Minute || t2 != 52*time.Minute+30*time.Second {
		t.Error(t1, t2)
	}
}

func FuzzParseSettings(f *testing.F) {
	l := newLab(f)
	s := testSettings().Normal()
	s.Version, s.Made = 1, l.now
	signed, err := s.sign(l.authority.id, l.authority.key)
	if err != nil {
		f.Fatal(err)
	}
	var envelope wireEnvelope
	if err := unmarshal(signed, &envelope); err != nil {
		f.Fatal(err)
	}
	f.Add(envelope.Body)
	f.Add([]byte{0xa0})
	d := l.founder.Descriptor()
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = ParseSettings(body, d) // as it is: no signature
		got, err := ParseSettings(l.envelope(body), d)
		if err != nil {
			if !errors.Is(err, ErrSettings) {
				t.Errorf("an error without a name: %v", err)
			}
			return
		}
		again, err := got.sign(l.authority.id, l.authority.key)
		if err != nil {
			t.Fatalf("%+v can't be written: %v", got, err)
		}
		same, err := ParseSettings(again, d)
		if err != nil {
			t.Fatalf("%+v is refused as it is written: %v", got, err)
		}
		if got.sum = same.sum; !reflect.DeepEqual(same, got) { // the fuzzer's encoding needn't be ours
			t.Errorf("read %+v, written and read again %+v", got, same)
		}
	})
}

// signSettings signs settings as a faulty authority would.
func (l *lab) signSettings(s Settings) SignedSettings {
	l.t.Helper()
	signed, err := s.sign(l.authority.id, l.authority.key)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

// envelope signs a body.
func (l *lab) envelope(body []byte) SignedSettings {
	signed, err := marshal(wireEnvelope{Body: body, Signature: ed25519.Sign(l.authority.key, settingsMessage(body))})
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}
