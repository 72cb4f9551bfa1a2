package registry

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"landbridge/internal/group"
)

func setAlias(t *testing.T, n *node, name, target string) error {
	t.Helper()
	a := Alias{Name: name, Target: target, By: "anna"}
	if addr, err := netip.ParseAddr(target); err == nil {
		a.Target, a.Addr = "", addr
	}
	_, err := n.reg.SetAlias(short(t, 10*time.Second), a)
	return err
}

// has waits until a member goes by an alias.
func has(t *testing.T, n *node, name, target string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s knows that %s is %s", n.name, name, target), func() bool {
		a, ok := n.registry().Alias(name)
		return ok && a.StandsFor() == target && a.By == "anna" || !ok && target == ""
	})
}

func TestAnAliasSetAnywhereIsKnownEverywhereAndOutlivesKills(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(7) // two of them don't keep the register
	if err := setAlias(t, ns[0], "wiki", "web"); err != nil {
		t.Fatal(err)
	}
	if err := setAlias(t, ns[6], "gate", "192.0.2.7"); err != nil {
		t.Fatal(err)
	}
	for _, n := range ns {
		has(t, n, "wiki", "web")
		has(t, n, "gate", "192.0.2.7")
	}
	for _, n := range ns { // all at once: nothing but what is on disk is left
		if err := n.kill(); err != nil {
			t.Fatal(err)
		}
	}
	ns[2].start() // alone, and still it can tell
	has(t, ns[2], "wiki", "web")
	for i, n := range ns {
		if i != 2 {
			n.start()
		}
	}
	was, err := ns[3].reg.RemoveAlias(short(t, 10*time.Second), "wiki")
	if err != nil || was.Target != "web" {
		t.Fatalf("removed %+v: %v", was, err)
	}
	for _, n := range ns {
		has(t, n, "wiki", "")
	}
}

func TestAMemberThatWasCutOffLearnsTheAliasesThatItMissed(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]struct {
		asks time.Duration
		meet func(t *testing.T, it, other *node)
	}{
		"by asking":              {200 * time.Millisecond, func(*testing.T, *node, *node) {}},
		"by what it asks others": {time.Hour, func(t *testing.T, it, other *node) { meets(t, it, other) }},
		"by what it is asked":    {time.Hour, func(t *testing.T, it, other *node) { meets(t, other, it) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cutOffFromAliases(t, back.asks, back.meet)
		})
	}
}

// meets has a member ask another for something else than aliases.
func meets(t *testing.T, it, other *node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	terms, err := it.reg.terms()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := it.reg.call(ctx, terms, other.id, request{Kind: kindAsk, Key: make([]byte, 32)}); err != nil {
		t.Fatal(err)
	}
}

func cutOffFromAliases(t *testing.T, asks time.Duration, meet func(t *testing.T, it, other *node)) {
	t.Helper()
	l := newLab(t, "10.9.0.0/20", 6)
	l.pace.aliases = asks
	ns := l.members(4)
	l.isolate(ns[3], true)
	if err := setAlias(t, ns[0], "wiki", "web"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err := ns[3].reg.SetAlias(ctx, Alias{Name: "mail", Target: "web"}); err == nil {
		t.Error("a member that reaches no quorum has set an alias")
	}
	if _, ok := ns[3].reg.Alias("wiki"); ok {
		t.Fatal("news have come to a member that is cut off")
	}
	l.isolate(ns[3], false)
	meet(t, ns[3], ns[1])
	has(t, ns[3], "wiki", "web")
}

// In a program from before every message told of them, one kind of message alone does, in a field of its own.
func TestNewsOfAliasesAreHeardFromAnOlderProgramAndByOne(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	l.pace.aliases = time.Hour
	ns := l.members(4)
	l.isolate(ns[3], true)
	old := make(chan uint64, 64)
	l.overhear(func(from group.MemberID, q request) {
		if q.Kind == kindAliases && from == ns[0].id {
			old <- q.Value.Epoch
		}
	})
	if err := setAlias(t, ns[0], "wiki", "web"); err != nil {
		t.Fatal(err)
	}
	select {
	case told := <-old:
		if told != ns[0].reg.aliasEpoch() {
			t.Errorf("an older program is told of epoch %d", told)
		}
	case <-time.After(10 * time.Second):
		t.Error("an older program is told nothing")
	}
	it := ns[3].reg
	learning := func() bool {
		it.aliases.mu.Lock()
		defer it.aliases.mu.Unlock()
		return it.aliases.wanted > 0
	}
	terms, err := it.terms()
	if err != nil {
		t.Fatal(err)
	}
	tell := request{Kind: kindAliases, Group: it.group, Version: terms.version, Mark: ns[0].reg.mark(), Value: Grant{Epoch: 1}}
	if a := it.handle(t.Context(), ns[0].id, tell); a.Status != statusOK || !learning() {
		t.Errorf("told by an older program: status %v, it asks: %t", a.Status, learning())
	}
}

func TestAliasesSetAtOnceByManyMembersAreAllKept(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(5)
	var all sync.WaitGroup
	for i, n := range ns {
		all.Go(func() {
			for j := range 4 {
				if err := setAlias(t, n, fmt.Sprintf("a%d-%d", i, j), "web"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, n := range ns {
		eventually(t, n.name+" has them all", func() bool { return len(n.reg.Aliases()) == 20 })
	}
}

func TestAliasesFollowTheMembersThatKeepThem(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(3)
	if err := setAlias(t, ns[0], "wiki", "web"); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		n := l.admit(fmt.Sprintf("x%d", i))
		n.start()
		eventually(t, "a block for "+n.name, func() bool { return len(n.reg.Blocks()) > 0 })
		ns = append(ns, n)
		has(t, n, "wiki", "web")
	}
	for _, n := range ns { // gossip, as the overlay does it
		if err := n.learn(l.history[l.newest].raw); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the new keepers have the table", func() bool {
		for _, n := range ns {
			if !l.history[l.newest].current(aliasRegister).has(n.id) {
				continue
			}
			if _, g, err := n.reg.storedRecord(aliasRegister); err != nil || g.Epoch != 1 {
				return false
			}
		}
		return true
	})
	if err := setAlias(t, ns[7], "wiki", "other"); err != nil {
		t.Fatal(err)
	}
	for _, n := range ns {
		has(t, n, "wiki", "other")
	}
}

func TestAnAliasThatDoesNotGoWithWhatThereIsIsRefusedAndSaysWhy(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(2)
	get(t, ns[1].reg, client(1)) // host1, at the other member
	eventually(t, "host1 is known", func() bool {
		_, err := ns[0].reg.LookupName(short(t, time.Second), "host1")
		return err == nil
	})
	for _, c := range []struct {
		name, target string
		fault        AliasFault
		field        string
	}{
		{"host1", "web", AliasConflict, "name"},
		{"a", "a", AliasInvalid, "target"},
		{"a.b", "c", AliasInvalid, "name"},
		{"-", "c", AliasInvalid, "name"},
		{"a", "b_c", AliasInvalid, "target"},
		{"a", "127.0.0.1", AliasInvalid, "target"},
		{"a", "224.0.0.9", AliasInvalid, "target"},
	} {
		refused := new(AliasError)
		if err := setAlias(t, ns[0], c.name, c.target); !errors.As(err, &refused) || refused.Fault != c.fault || refused.Field != c.field {
			t.Errorf("%s -> %s: %v (%+v)", c.name, c.target, err, refused)
		}
		if who := "site-" + ns[1].id.Short(); c.name == "host1" && !strings.Contains(refused.Text, " at "+who+":") {
			t.Errorf("%q doesn't name %s", refused.Text, who)
		}
	}
	for _, a := range [][2]string{{"a", "b"}, {"b", "c"}} {
		if err := setAlias(t, ns[0], a[0], a[1]); err != nil {
			t.Fatal(err)
		}
	}
	refused := new(AliasError)
	if err := setAlias(t, ns[1], "c", "a"); !errors.As(err, &refused) || refused.Text != "c would never lead to a host: c → a → b → c" {
		t.Errorf("a loop: %v", err)
	}
	if _, err := ns[1].reg.RemoveAlias(short(t, 10*time.Second), "host1"); !errors.As(err, &refused) || refused.Fault != AliasMissing {
		t.Errorf("a removed host: %v", err)
	}
	has(t, ns[0], "a", "b")
	lease := get(t, ns[0].reg, client(2))
	if err := ns[0].reg.Rename(lease.Addr, "a", "anna"); !errors.As(err, &refused) {
		t.Errorf("a host is called as an alias is: %v", err)
	}
}

func TestATableOfAliasesIsBounded(t *testing.T) {
	all := Grant{}
	var err error
	for i := range MaxAliases {
		if all, err = putAlias(Alias{Name: fmt.Sprintf("n%d", i), Target: "web", By: "anna", At: time.Unix(1e9, 0)})(all); err != nil {
			t.Fatal(err)
		}
	}
	refused := new(AliasError)
	if _, err := putAlias(Alias{Name: "more", Target: "web"})(all); !errors.As(err, &refused) || refused.Fault != AliasConflict {
		t.Errorf("one more: %v", err)
	}
	if next, err := putAlias(Alias{Name: "n7", Target: "other"})(all); err != nil || next.Epoch != MaxAliases+1 {
		t.Errorf("another target where the table is full: %v", err)
	}
	if aliasesOnly(3, Grant{}, all) || aliasesOnly(aliasRegister, Grant{}, Grant{Epoch: 1, Aliases: "b c 1 -\na c 1 -\n"}) || !aliasesOnly(aliasRegister, Grant{}, all) {
		t.Error("a replica takes a table that isn't one, or for a block")
	}
}

func FuzzAliasTable(f *testing.F) {
	f.Add("")
	f.Add("a 10.9.0.7 1000000000 anna\nb a 5 the command line\nc fd00::7 -5 -\n")
	f.Add("a b 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := readAliases(text)
		if err != nil {
			return
		}
		again, err := readAliases(writeAliases(all))
		if err != nil || len(again) != len(all) {
			t.Fatalf("what was read can't be read again: %v", err)
		}
	})
}

func TestAReplicaTakesTablesInTheRegisterOfTheAliasesAlone(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	n := l.members(1)[0]
	eventually(t, "the member is ready", func() bool { return len(n.reg.Blocks()) > 0 })
	terms, err := n.terms()
	if err != nil {
		t.Fatal(err)
	}
	const table = "a b 1 anna\n"
	for i, c := range []struct {
		block BlockID
		value Grant
		want  status
	}{
		{aliasRegister, Grant{Epoch: 1, Aliases: "rubbish"}, statusRefused},
		{aliasRegister, Grant{Holder: n.id, Epoch: 1}, statusRefused},
		{200, Grant{Epoch: 1, Aliases: table}, statusRefused},
		{aliasRegister + 1, Grant{Epoch: 1, Aliases: table}, statusRefused},
		{aliasRegister, Grant{Epoch: 1, Aliases: table}, statusOK},
	} {
		b := Ballot{Conf: terms.current(c.block).first, Counter: 1 << 40, Member: n.id}
		a := n.reg.handle(short(t, time.Second), n.id, request{Kind: kindAccept, Group: n.reg.group, Version: terms.version, Block: c.block, Ballot: b, Value: c.value})
		if a.Status != c.want {
			t.Errorf("%d: register %d, %+v: status %d, want %d", i, c.block, c.value, a.Status, c.want)
		}
	}
}

// The table may have 96 KiB, and a request could have 512 answers.
func TestTheAliasesAreAskedForAlone(t *testing.T) {
	c := must(newCodec())
	for _, k := range []kind{kindGrants, kindTransfer} {
		for _, blocks := range [][]BlockID{{aliasRegister, aliasRegister}, {1, aliasRegister}} {
			if _, err := c.decodeRequest(must(c.encode(request{Kind: k, Group: labGroup(), Blocks: blocks}))); err == nil {
				t.Errorf("kind %d: taken for %v", k, blocks)
			}
		}
		if _, err := c.decodeRequest(must(c.encode(request{Kind: k, Group: labGroup(), Blocks: []BlockID{aliasRegister}}))); err != nil {
			t.Errorf("kind %d: alone: %v", k, err)
		}
	}
	half := Grant{Aliases: strings.Repeat("a", maxAliasText/2+1)}
	for _, a := range []reply{{Grants: []Grant{half, half}}, {States: []transferReply{{Value: half}, {Value: half}}}} {
		if _, err := c.decodeReply(must(c.encode(a))); err == nil {
			t.Errorf("%d grants and %d states are taken with more text than there can be", len(a.Grants), len(a.States))
		}
	}
	if _, err := c.decodeReply(must(c.encode(reply{Grants: []Grant{half}}))); err != nil {
		t.Error(err)
	}
}
