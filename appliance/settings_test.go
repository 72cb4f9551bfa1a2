package appliance

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/store"
)

// configure has the authority change the settings.
func (g *testGroup) configure(s group.Settings) *group.Settings {
	g.t.Helper()
	made, err := g.authority.Configure(s, 0, time.Now())
	if err != nil {
		g.t.Fatal(err)
	}
	return made
}

func TestSettingsComeToAMemberWithTheFirstHelloOfAnyWhoHasThem(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	t.Cleanup(g.authority.WatchSettings(func(s group.SignedSettings) {
		if _, err := founder.membership.UpdateSettings(s); err != nil {
			t.Error(err)
		}
	}))
	second, third := newMember(t, g.join), newMember(t, g.join)
	if _, err := second.call(t, founder); err != nil { // they know each other when the settings change
		t.Fatal(err)
	}
	g.configure(group.Settings{LeaseTime: time.Minute, Search: []string{"office.example"}})
	if err := founder.gate.introduce(t.Context(), founder.network, second.membership.Self()); err != nil {
		t.Fatal(err)
	}
	if s := second.membership.Settings(); s == nil || s.LeaseTime != time.Minute {
		t.Fatalf("told by the authority: %+v", s)
	}
	if _, err := third.call(t, second); err != nil { // it was away, and asks one that isn't the authority
		t.Fatal(err)
	}
	if s := third.membership.Settings(); s == nil || s.Version != 1 {
		t.Fatalf("asked another member: %+v", s)
	}
	if behind := second.behind([]group.MemberID{founder.membership.Self()}, 1, second.membership.Settings()); len(behind) != 0 {
		t.Errorf("who has the settings would be told again: %v", behind)
	}
	o := third.hostOptions()
	if o.LeaseTime != time.Minute || o.Renew != 30*time.Second || o.Domain != "lab.internal" || len(o.Search) != 1 || third.leaseTime() != time.Minute {
		t.Errorf("hosts are told %+v", o)
	}
}

func TestOfTwoSettingsOfOneVersionTheLaterComesToAllWhoeverSaysHello(t *testing.T) {
	for who, hello := range map[string]func(founder, second *member) error{
		"the authority": func(founder, second *member) error {
			return founder.gate.introduce(t.Context(), founder.network, second.membership.Self())
		},
		"the member": func(founder, second *member) error {
			return second.gate.introduce(t.Context(), second.network, founder.membership.Self())
		},
	} {
		g := &testGroup{t: t}
		founder := newMember(t, g.create)
		second := newMember(t, g.join)
		g.configure(group.Settings{LeaseTime: time.Minute})
		founder.reopen(t)
		if _, err := second.call(t, founder); err != nil || second.membership.Settings().LeaseTime != time.Minute {
			t.Fatal(err)
		}
		err := founder.node.state.db.Update(func(tx *store.Tx) error { // the state is set back to a copy from before
			return store.NewBucket[[]byte]("group", "settings").Delete(tx, founder.id[:])
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.authority.Configure(group.Settings{LeaseTime: 2 * time.Minute}, 0, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		founder.reopen(t)
		if behind := founder.behind([]group.MemberID{second.membership.Self()}, 0, founder.membership.Settings()); len(behind) != 1 {
			t.Errorf("%s: who has others isn't told", who)
		}
		if err := hello(founder, second); err != nil {
			t.Fatal(err)
		}
		for name, m := range map[string]*member{"authority": founder, "member": second} {
			if s := m.membership.Settings(); s.Version != 1 || s.LeaseTime != 2*time.Minute {
				t.Errorf("%s says hello: the %s has %+v", who, name, s)
			}
		}
		if behind := founder.behind([]group.MemberID{second.membership.Self()}, 0, founder.membership.Settings()); who == "the authority" && len(behind) != 0 {
			t.Error("who has them would be told again and again")
		}
	}
}

// reopen has a member go by what is in its state.
func (m *member) reopen(t *testing.T) {
	t.Helper()
	again, err := group.OpenMembership(m.node.state.db, m.node.state.key, m.id)
	if err != nil {
		t.Fatal(err)
	}
	m.membership = again
}

func TestAProgramThatKnowsNoSettingsIsToldNone(t *testing.T) {
	g := &testGroup{t: t}
	newMember(t, g.create)
	made := g.configure(group.Settings{LeaseTime: time.Minute})
	old := hello{Version: 1}
	if old.has().lacks(made) || (extent{}).lacks(made) {
		t.Error("it would be told again and again")
	}
	none := uint64(0)
	if new := (hello{Version: 1, SettingsVersion: &none}); !new.has().lacks(made) || new.has().lacks(nil) {
		t.Error("one that has none yet")
	}
	if silent := (hello{Version: 1, SettingsVersion: &made.Version}); silent.has().lacks(made) {
		t.Error("one that has this version, and doesn't say which settings those are")
	}
}

func TestSettingsThatTheAuthorityDidntSignAreNotTaken(t *testing.T) {
	g, other := &testGroup{t: t}, &testGroup{t: t}
	founder, stranger := newMember(t, g.create), newMember(t, other.create)
	other.configure(group.Settings{Excluded: []group.Range{{First: netip.MustParseAddr("10.9.0.9"), Last: netip.MustParseAddr("10.9.0.9")}}})
	again, err := group.OpenMembership(stranger.node.state.db, stranger.node.state.key, stranger.id)
	if err != nil || again.Settings() == nil {
		t.Fatal(err)
	}
	founder.takeSettings(stranger.membership.Self(), again.SignedSettings())
	if founder.membership.Settings() != nil {
		t.Error("taken")
	}
}

func TestSettingsAreReadAsTheyAreShownAndEachFaultNamesItsField(t *testing.T) {
	g := &testGroup{t: t}
	m := newMember(t, g.create)
	req := api.GroupSettingsChange{
		LeaseSeconds: 600, RenewPercent: 40, RebindPercent: 80, Domain: "office.example", Search: []string{"a.example", "b.example"},
		DNSServers: []string{"192.0.2.53"}, NtpServers: []string{"10.9.0.9"}, Routes: []string{"192.168.7.0/24 via 10.9.0.77"},
		Excluded: []string{"10.9.0.2-10.9.0.9", "10.9.1.0/28", "10.9.2.7"}, Allowed: []string{"52:54:00:00:00:01"}, Denied: []string{"52-54-00-00-00-02"}, OnlyAllowed: true,
		Ipv6Prefix: " fd12:3456:789a::/48",
	}
	if err := setSettings(g.authority, m.membership, req); err != nil {
		t.Fatal(err)
	}
	again, err := group.OpenMembership(m.node.state.db, m.node.state.key, m.id)
	if err != nil {
		t.Fatal(err)
	}
	s := describeSettings(again, true)
	if got := strings.Join(slices.Concat(s.Search, s.DNSServers, s.NtpServers, s.Routes, s.Excluded, s.Allowed, s.Denied), ", "); got != "a.example, b.example, 192.0.2.53, 10.9.0.9, "+
		"192.168.7.0/24 via 10.9.0.77, 10.9.0.2-10.9.0.9, 10.9.1.0-10.9.1.15, 10.9.2.7, 52:54:00:00:00:01, 52:54:00:00:00:02" {
		t.Errorf("shown %s", got)
	}
	if s.Version != 1 || s.InForce.LeaseSeconds != 600 || s.InForce.CreatedLeaseSeconds != seconds(group.DefaultLeaseTime) || s.InForce.RenewSeconds != 240 || s.InForce.RebindSeconds != 480 || s.NoticeSeconds != 240 || !s.OnlyAllowed || s.InForce.Domain != "office.example" || s.Ipv6Prefix != "fd12:3456:789a::/64" {
		t.Errorf("shown %+v", s)
	}
	for field, wrong := range map[string]api.GroupSettingsChange{
		"leaseSeconds": {LeaseSeconds: 5}, "dnsServers": {DNSServers: []string{"nobody"}}, "ntpServers": {NtpServers: []string{"::1"}}, "routes": {Routes: []string{"10.0.0.0/8 10.9.0.7"}},
		"excluded": {Excluded: []string{"10.9.0.9-10.9.0.2"}}, "allowed": {Allowed: []string{"ff:ff:ff:ff:ff:ff"}}, "denied": {Denied: []string{"52:54"}}, "search": {Search: []string{"a..b"}}, "domain": {Domain: "a b"},
		"ipv6Prefix": {Ipv6Prefix: "2001:db8::/64"},
	} {
		wrong.Version = 1
		var refused *console.Error
		if err := setSettings(g.authority, m.membership, wrong); !errors.As(err, &refused) || len(refused.Fields()) != 1 || refused.Fields()[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
		if err := checkSettings(again, wrong); !errors.As(err, &refused) || len(refused.Fields()) != 1 || refused.Fields()[0].Field != field {
			t.Errorf("%s, only checked: %v", field, err)
		}
	}
	if err := checkSettings(again, api.GroupSettingsChange{}); !strings.Contains(fmt.Sprint(err), "meanwhile") {
		t.Errorf("of an older version, only checked: %v", err)
	}
	if req.Version = 1; checkSettings(again, req) != nil {
		t.Errorf("nothing is wrong, and the check says %v", checkSettings(again, req))
	}
	if err := setSettings(g.authority, m.membership, api.GroupSettingsChange{}); !strings.Contains(fmt.Sprint(err), "meanwhile") {
		t.Errorf("of an older version: %v", err)
	}
	if err := setSettings(nil, m.membership, req); err == nil {
		t.Error("changed by a plain member")
	}
}

func TestAnIPv6PrefixIsMadeOnceWhereNoneIsNamed(t *testing.T) {
	g := &testGroup{t: t}
	m := newMember(t, g.create)
	t.Cleanup(g.authority.WatchSettings(func(s group.SignedSettings) {
		if _, err := m.membership.UpdateSettings(s); err != nil {
			t.Error(err)
		}
	}))
	var prefixes []string
	for version := range uint64(3) {
		if err := setSettings(g.authority, m.membership, api.GroupSettingsChange{Version: version, Ipv6Prefix: []string{"auto", "auto", ""}[version]}); err != nil {
			t.Fatal(err)
		}
		prefixes = append(prefixes, describeSettings(m.membership, true).Ipv6Prefix)
	}
	if prefixes[0] == "" || prefixes[1] != prefixes[0] || prefixes[2] != "" || !m.ipv6Net().IsZero() {
		t.Errorf("the prefixes are %q: one, the same again, none", prefixes)
	}
}

func TestAllThatIsWrongWithSettingsIsSaidAtOnce(t *testing.T) {
	g := &testGroup{t: t}
	m := newMember(t, g.create)
	req := api.GroupSettingsChange{
		LeaseSeconds: 5, RenewPercent: 90, RebindPercent: 20, Domain: "foo bar", Search: []string{"b..example"}, DNSServers: []string{"nobody", "10.9.0.1"}, NtpServers: []string{"::g"},
		Routes: []string{"192.168.7.1/24 via 10.9.0.77"}, Excluded: []string{"10.9.0.9-10.9.0.2"}, Allowed: []string{"x"}, Denied: []string{"52:54"},
	}
	for how, err := range map[string]error{"set": setSettings(g.authority, m.membership, req), "checked": checkSettings(m.membership, req)} {
		var refused *console.Error
		if !errors.As(err, &refused) {
			t.Fatalf("%s: %v", how, err)
		}
		said := make(map[string]int)
		for _, f := range refused.Fields() {
			said[f.Field]++
			if !strings.Contains(err.Error(), f.Field+": "+f.Detail) || strings.HasPrefix(f.Detail, f.Field) {
				t.Errorf("%s: %s: %q isn't in %q, or twice", how, f.Field, f.Detail, err)
			}
		}
		for _, field := range []string{"leaseSeconds", "rebindPercent", "domain", "search", "dnsServers", "ntpServers", "routes", "excluded", "allowed", "denied"} {
			if want := map[bool]int{true: 2, false: 1}[field == "dnsServers"]; said[field] != want {
				t.Errorf("%s: %s is said to be wrong %d times, want %d", how, field, said[field], want)
			}
		}
	}
	req = api.GroupSettingsChange{LeaseSeconds: 1 << 62, RenewPercent: 90}
	if err := setSettings(g.authority, m.membership, req); err == nil || !strings.HasPrefix(err.Error(), "leaseSeconds: must be 10 s to 30 days, in whole seconds; renewPercent: ") {
		t.Errorf("a lease of ages: %v", err)
	}
}

func TestWhoIsntTheAuthorityIsToldWhereSettingsAreChanged(t *testing.T) {
	g := &testGroup{t: t}
	m := newMember(t, g.create)
	err := setSettings(nil, m.membership, api.GroupSettingsChange{})
	if said := fmt.Sprint(err); !strings.Contains(said, "can't change the group's settings: founder (") || strings.Contains(said, "invite") {
		t.Errorf("told %q", said)
	}
}
