package appliance

import (
	"net/netip"
	"testing"
	"time"

	"landbridge/internal/group"
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
