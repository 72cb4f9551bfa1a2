package appliance

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/config"
	"landbridge/internal/group"
	"landbridge/internal/health"
)

// openOffline returns the state of an appliance that doesn't run.
func openOffline(t *testing.T) *Offline {
	t.Helper()
	o, err := OpenOffline(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func TestWhoCreatedAGroupLeavesItOnlyWhenItSaysSo(t *testing.T) {
	o := openOffline(t)
	create := api.GroupCreate{Name: "office", Prefix: "100.80.0.0/20"}
	if _, err := o.CreateGroup(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Leave(t.Context(), "office", false); err == nil || !strings.Contains(err.Error(), "CA key") || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("unasked: %v", err)
	}
	if g, err := o.Groups(t.Context()); err != nil || len(g) != 1 {
		t.Fatalf("afterwards in %d groups, %v", len(g), err)
	}
	d, err := o.Leave(t.Context(), "office", true)
	if err != nil || !d.Authority || d.InRoster || d.GroupName != "office" {
		t.Errorf("asked: %+v, %v", d, err)
	}
	if g, err := o.Groups(t.Context()); err != nil || len(g) != 0 {
		t.Errorf("afterwards in %d groups, %v", len(g), err)
	}
	if _, err := o.CreateGroup(t.Context(), create); err != nil {
		t.Errorf("anew: %v", err)
	}
}

func TestTheAuthorityIsToldOfWhoLeaves(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	founder.authority = g.authority
	founder.serveJoins()
	told, untold := newMember(t, g.join), newMember(t, g.join)
	for _, m := range []*member{told, untold} {
		m.node.base = t.Context()
		m.node.overlay.Add(founder.node.overlay.Addrs())
		m.health().Report(health.Trouble{Level: health.Error, Component: "group", Key: "x", Finding: health.Finding{Text: "of the group", Remedy: "wait"}}, time.Now())
	}
	d, err := told.node.Leave(t.Context(), "lab", false)
	if err != nil || d.InRoster || d.Authority || d.Name != "newcomer" {
		t.Errorf("%+v, %v", d, err)
	}
	if err := founder.membership.Descriptor().Check(told.membership.Self()); !errors.Is(err, group.ErrRemoved) {
		t.Errorf("the founder's roster: %v", err)
	}

	_ = founder.node.overlay.Close()
	untold.node.overlay.Close() // so that it doesn't look for long
	d, err = untold.node.Leave(t.Context(), "lab", false)
	if err != nil || !d.InRoster {
		t.Errorf("the authority is away: %+v, %v", d, err)
	}
	for _, m := range []*member{told, untold} {
		if groups, err := m.node.Groups(t.Context()); err != nil || len(groups) != 0 || len(m.node.health.Items()) != 0 {
			t.Errorf("afterwards: in %d groups, %d troubles, %v", len(groups), len(m.node.health.Items()), err)
		}
		if _, err := m.node.Leave(t.Context(), "lab", false); err == nil || !strings.Contains(err.Error(), "in no group") {
			t.Errorf("again: %v", err)
		}
	}
}

func TestAGoodMemberThatJoinsAgainIsToldSoAndNothingIsAsked(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	second := newMember(t, g.join) // nobody serves joins
	o := &Offline{cfg: config.Default(), state: second.node.state, log: second.log}
	token, err := g.authority.Invite(time.Second, nil, anHourAgo()) // nor would it be good
	if err != nil {
		t.Fatal(err)
	}
	for name, join := range map[string]func(context.Context, api.JoinRequest) (api.Joined, error){
		"offline": o.Join, "the daemon": second.node.Join, "the authority": founder.node.Join,
	} {
		j, err := join(t.Context(), api.JoinRequest{Token: token})
		if err != nil || !j.Already || j.Group.Name != "lab" || j.Group.Authority != (name == "the authority") {
			t.Errorf("%s: %+v, %v", name, j, err)
		}
	}
	if _, err := g.authority.Remove(second.membership.Self()); err != nil {
		t.Fatal(err)
	}
	if _, err := second.membership.Update(founder.membership.Signed()); err != nil {
		t.Fatal(err)
	}
	if _, already, err := o.state.alreadyIn(second.id); already || err != nil {
		t.Errorf("one that was removed: %v, %v", already, err)
	}
}

func TestWhoGetsAnotherNameIsTold(t *testing.T) {
	g := &testGroup{t: t}
	newMember(t, g.create)
	first, second := newMember(t, g.join), newMember(t, g.join)
	for m, want := range map[*member]string{first: "", second: "newcomer"} {
		if g := describeJoined(m.membership, "Newcomer.example.com"); g.NameTaken != want {
			t.Errorf("of %+v: %q, want %q", g.Members, g.NameTaken, want)
		}
	}
}

func TestPublicPrefixesAreTakenOnlyWhenAllowed(t *testing.T) {
	for prefix, private := range map[string]bool{
		"10.0.0.0/8": true, "10.9.0.0/16": true, "172.16.0.0/12": true, "172.31.0.0/16": true, "192.168.7.0/24": true, "100.64.0.0/10": true, "100.127.0.0/24": true,
		"8.8.0.0/16": false, "172.32.0.0/16": false, "172.0.0.0/8": false, "192.0.0.0/8": false, "100.128.0.0/16": false, "11.0.0.0/8": false, "192.0.2.0/24": false,
	} {
		_, err := groupParams(api.GroupCreate{Name: "a", Prefix: prefix})
		if (err == nil) != private {
			t.Errorf("%s: %v", prefix, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "public addresses") || !strings.Contains(err.Error(), "--allow-public-prefix")) {
			t.Errorf("%s: it says %v", prefix, err)
		}
		if _, err := groupParams(api.GroupCreate{Name: "a", Prefix: prefix, AllowPublicPrefix: true}); err != nil {
			t.Errorf("%s, allowed: %v", prefix, err)
		}
	}
}
