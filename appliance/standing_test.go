package appliance

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/health"
)

// keep runs what the daemon runs for a member's roster, until the test ends.
func (m *member) keep(t *testing.T) {
	t.Helper()
	m.descriptorChanged = make(chan struct{}, 1)
	told := m.membership.Descriptor().Version
	cancelSubscription := m.membership.Subscribe(func(*group.Descriptor) {
		select {
		case m.descriptorChanged <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	m.background(func() { m.keepRoster(ctx, told) })
	t.Cleanup(func() { cancelSubscription(); cancel(); m.running.Wait() })
}

// removedText waits until the member's health says that it was removed.
func (m *member) removedText(t *testing.T) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, item := range m.node.health.Items() {
			if item.Component == "group" && item.Level == health.Error {
				return item.String()
			}
		}
	}
	t.Error("the removed appliance's health doesn't say so")
	return ""
}

func TestARemovedMemberIsToldWhereItAsks(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	second, third := newMember(t, g.join), newMember(t, g.join)
	for _, m := range []*member{second, third} {
		if _, err := m.call(t, founder); err != nil {
			t.Fatal(err)
		}
		if _, err := g.authority.Remove(m.membership.Self()); err != nil {
			t.Fatal(err)
		}
	}
	third.gate.met = make(map[acquaintance]bool) // after a restart
	for name, m := range map[string]*member{"who was met before": second, "who says hello": third} {
		if _, err := m.call(t, founder); !errors.Is(err, group.ErrRemoved) {
			t.Errorf("%s: %v, want ErrRemoved", name, err)
		}
		if err := m.standing(); !errors.Is(err, group.ErrRemoved) {
			t.Errorf("%s: its own descriptor doesn't say that it was removed: %v", name, err)
		}
	}
	_ = founder.node.overlay.Close()
	for _, m := range []*member{second, third} {
		if _, err := m.call(t, founder); !errors.Is(err, group.ErrRemoved) {
			t.Errorf("once it knows it still asks: %v", err)
		}
	}
}

func TestADismissalCannotBeForged(t *testing.T) {
	g, other := &testGroup{t: t}, &testGroup{t: t}
	founder := newMember(t, g.create)
	second := newMember(t, g.join)
	stranger := newMember(t, other.create)
	for name, descriptor := range map[string][]byte{
		"no descriptor":         nil,
		"garbage":               []byte("removed"),
		"another group's":       stranger.membership.Signed(),
		"one that has the node": founder.membership.Signed(),
	} {
		if err := second.dismissed(founder.membership.Self(), descriptor); err == nil || errors.Is(err, group.ErrRemoved) {
			t.Errorf("%s: %v, want an error that isn't ErrRemoved", name, err)
		}
	}
	if err := second.standing(); err != nil {
		t.Error(err)
	}
}

func TestARemovalReachesTheRemovedMemberAtOnce(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	second := newMember(t, g.join)
	if _, err := second.call(t, founder); err != nil { // connects them
		t.Fatal(err)
	}
	founder.keep(t)
	second.keep(t)
	if _, err := g.authority.Remove(second.membership.Self()); err != nil {
		t.Fatal(err)
	}
	text := second.removedText(t) // it has asked nobody
	for _, part := range []string{"was removed from the group lab", "landbridge group invite", "landbridge join"} {
		if !strings.Contains(text, part) {
			t.Errorf("the text %q doesn't say %q", text, part)
		}
	}
}

func TestARemovedMemberStopsRenewing(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	founder.authority = g.authority
	founder.serveJoins()
	second := newMember(t, g.join)
	second.node.overlay.Add(founder.node.overlay.Addrs())
	if _, err := g.authority.Remove(second.membership.Self()); err != nil {
		t.Fatal(err)
	}
	// The authority's refusal is followed by the proof.
	if err := second.renew(t.Context(), time.Now()); !errors.Is(err, group.ErrRemoved) {
		t.Errorf("renew: %v", err)
	}
	if err := second.standing(); !errors.Is(err, group.ErrRemoved) {
		t.Errorf("after the refusal its descriptor still has it: %v", err)
	}
	var lines strings.Builder
	second.log = slog.New(slog.NewTextHandler(&lines, nil))
	_ = founder.node.overlay.Close()
	nearTheEnd := second.membership.Expires().Add(-time.Hour)
	second.health().Report(health.Trouble{Component: "group", Key: "renewal", Finding: health.Finding{Text: "It couldn't be renewed.", Remedy: "wait"}}, nearTheEnd)
	second.renewCertificate(t.Context(), nearTheEnd)
	if items := second.node.health.Items(); len(items) != 0 || lines.Len() != 0 {
		t.Errorf("it goes on about its renewal: %+v\n%s", items, lines.String())
	}
}

// An authority that is away for days gives a line a day, and a word in the health.
func TestAnAuthorityThatIsAwayIsWarnedOfDaily(t *testing.T) {
	g := &testGroup{t: t}
	newMember(t, g.create)
	second := newMember(t, g.join)
	var lines strings.Builder
	second.log = slog.New(slog.NewTextHandler(&lines, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nobody answers
	due := second.membership.Expires().Add(-20 * 24 * time.Hour)
	for minute := range 25 * 60 {
		second.renewCertificate(ctx, due.Add(time.Duration(minute)*time.Minute))
	}
	if n := strings.Count(lines.String(), "certificate not renewed"); n != 2 {
		t.Errorf("%d lines in 25 hours, want 2", n)
	}
	if items := second.node.health.Items(); len(items) != 1 || items[0].Count != 25*60 {
		t.Errorf("health %+v", items)
	}
}

func TestAnotherTroubleIsToldOnce(t *testing.T) {
	var r reminder
	now := time.Now()
	var told []bool
	for _, kind := range []string{"no answer", "no answer", "refused", "refused", "no answer"} {
		told = append(told, r.due(kind, now))
	}
	if want := []bool{true, false, true, false, true}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestOfflineRemovesAMemberByName(t *testing.T) {
	o, err := OpenOffline(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	p := group.Params{Name: "lab", Prefix: netip.MustParsePrefix("10.9.0.0/16")}.WithDefaults()
	a, m, err := group.CreateGroup(o.state.db, o.state.key, "founder", p, anHourAgo())
	if err != nil {
		t.Fatal(err)
	}
	second := newMember(t, (&testGroup{t: t, authority: a}).join)

	r, err := o.Remove(t.Context(), "lab", "newcomer", "its site has closed")
	if err != nil || r.MemberID != second.membership.Self().String() || r.DescriptorVersion != 3 || r.GroupName != "lab" {
		t.Errorf("%+v, %v", r, err)
	}
	groups, err := o.Groups(t.Context())
	if err != nil || len(groups[0].Members) != 1 || len(groups[0].Removed) != 1 || groups[0].Removed[0].Reason != "its site has closed" {
		t.Errorf("afterwards: %+v, %v", groups, err)
	}
	if _, err := o.Remove(t.Context(), "lab", "newcomer", ""); err == nil || !strings.Contains(err.Error(), "no member") {
		t.Errorf("twice: %v", err)
	}
	if _, err := o.Remove(t.Context(), "lab", "founder", ""); !errors.Is(err, group.ErrLastAuthority) {
		t.Errorf("the authority: %v", err)
	}
	if _, err := remove(nil, m, "founder", ""); !errors.Is(err, group.ErrNotAuthority) || !strings.Contains(err.Error(), "that is founder (") {
		t.Errorf("without the CA key: %v", err)
	}
}

func TestTheDaemonRemovesAMemberAndKnowsAtOnce(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	second := newMember(t, g.join)
	founder.authority = g.authority
	founder.node.networks = map[group.ID]*network{founder.id: founder.network}
	if _, err := founder.node.Remove(t.Context(), "lab", second.membership.Self().String(), ""); err != nil {
		t.Fatal(err)
	}
	if err := founder.membership.Authorized(second.membership.Self(), time.Now()); !errors.Is(err, group.ErrRemoved) {
		t.Errorf("the removed member's standing: %v", err)
	}
}
