package vouch

import (
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// routers makes a group of n members.
func routers(t testing.TB, n int) (all []*group.Membership, id group.ID) {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	open := func() *store.DB {
		db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	key := func(i int) ed25519.PrivateKey { return ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%032d", i))) }
	p := group.Params{Name: "lab", Prefix: netip.MustParsePrefix("10.9.0.0/16")}.WithDefaults()
	authority, founder, err := group.CreateGroup(open(), key(0), "founder", p, at)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, founder)
	for i := 1; i < n; i++ {
		token, err := authority.Invite(2*time.Hour, nil, at)
		if err != nil {
			t.Fatal(err)
		}
		inv, err := group.ParseInvitation(token)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := authority.Admit(group.MemberOf(key(i).Public().(ed25519.PublicKey)), group.NewJoinRequest(inv, fmt.Sprint("node", i)), at)
		if err != nil {
			t.Fatal(err)
		}
		m, err := group.SaveJoin(open(), key(i), inv, reply, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all, founder.Group()
}

const (
	lease = group.DefaultLeaseTime
	life  = lease*5/4 + 5*time.Minute
)

func leaseTime() time.Duration { return lease }

func newBook(id group.ID) *Book {
	return NewBook(id, leaseTime, func(group.MemberID) bool { return true })
}

func TestARouterSpeaksAndServesForThoseOnlyThatHaveNamedIt(t *testing.T) {
	all, id := routers(t, 3)
	now := time.Now()
	r1, r2, r3 := all[0].Self(), all[1].Self(), all[2].Self()
	byR1 := Sign(all[0], r2, now)
	b := newBook(id)
	if b.Speaks(r2, r1) || b.Serving(r1) != r1 {
		t.Fatal("an empty book says something")
	}
	b.Take(r2, Tell{Number: 1, Statements: []Statement{byR1}, Serving: []group.MemberID{r3}}, now)
	if !b.Speaks(r2, r1) || b.Speaks(r1, r2) || b.Speaks(r2, r3) || b.Speaks(r3, r1) || b.Serving(r1) != r1 || b.Serving(r3) != r3 {
		t.Errorf("%+v", b.view.Load())
	}
	b.Take(r2, Tell{Number: 2, Statements: []Statement{byR1}, Serving: []group.MemberID{r1}}, now)
	if b.Serving(r1) != r2 {
		t.Error("r2 doesn't serve for r1")
	}
	b.Take(r2, Tell{Number: 1, Statements: []Statement{byR1}}, now) // overtaken on its way
	if b.Serving(r1) != r2 {
		t.Error("an older word counts")
	}
	b.Take(r2, Tell{Number: 3, Statements: []Statement{byR1}}, now)
	if b.Serving(r1) != r1 || !b.Speaks(r2, r1) {
		t.Error("what was given back is still served")
	}
}

func TestStatementsThatDoNotHoldCountForNothing(t *testing.T) {
	all, id := routers(t, 3)
	now := time.Now()
	r1, r2, r3 := all[0].Self(), all[1].Self(), all[2].Self()
	good := Sign(all[0], r2, now)
	change := func(f func(*Statement)) Statement {
		s := good
		s.Signature = append(group.Signature(nil), s.Signature...)
		f(&s)
		return s
	}
	for name, c := range map[string]struct {
		from group.MemberID
		s    Statement
		at   time.Time
	}{
		"shown by another":    {r3, good, now},
		"about another":       {r3, change(func(s *Statement) { s.Neighbour = r3 }), now},
		"of another":          {r2, change(func(s *Statement) { s.Owner = r3 }), now},
		"for longer":          {r2, change(func(s *Statement) { s.Until = s.Until.Add(time.Hour) }), now},
		"a changed signature": {r2, change(func(s *Statement) { s.Signature[5]++ }), now},
		"its own":             {r2, Sign(all[1], r2, now), now},
		"ended":               {r2, good, now.Add(life + clockSkew + time.Second)},
		"of the future":       {r2, good, now.Add(-clockSkew - 2*time.Second)},
		"longer than needed":  {r2, resign(all[0], change(func(s *Statement) { s.Until = s.Until.Add(2 * time.Second) })), now},
	} {
		b := newBook(id)
		b.Take(c.from, Tell{Number: 1, Statements: []Statement{c.s}, Serving: []group.MemberID{c.s.Owner}}, c.at)
		if b.Speaks(c.from, c.s.Owner) || b.Serving(c.s.Owner) != c.s.Owner || b.Serving(r1) != r1 {
			t.Errorf("%s: counts", name)
		}
	}
	if !good.Good(id, lease, now) || good.Good(group.ID{1}, lease, now) {
		t.Error("a statement holds for one group")
	}
	strangers := NewBook(id, leaseTime, func(m group.MemberID) bool { return m != r1 })
	strangers.Take(r2, Tell{Number: 1, Statements: []Statement{good}}, now)
	if strangers.Speaks(r2, r1) {
		t.Error("the word of a node that is no member counts")
	}
}

// resign has a statement signed as it is.
func resign(m *group.Membership, s Statement) Statement {
	s.Signature = m.Sign(domain, s.appendUnsigned(nil))
	return s
}

// A router that dies has granted leases until a moment ago, and signed a statement RenewAfter before at the latest.
func TestAStatementOutlivesEachLease(t *testing.T) {
	for _, lease := range []time.Duration{group.MinLeaseTime, group.DefaultLeaseTime, group.MaxLeaseTime} {
		if left := Life(lease) - RenewAfter(lease); left < lease+time.Minute || left > 2*lease+slack {
			t.Errorf("with leases of %v the last statement holds for %v", lease, left)
		}
	}
}

func TestTheLastToClaimServesAndTheOwnerItselfLastOfAll(t *testing.T) {
	all, id := routers(t, 3)
	now := time.Now()
	r1, r2, r3 := all[0].Self(), all[1].Self(), all[2].Self()
	b := newBook(id)
	two, three := []Statement{Sign(all[0], r2, now)}, []Statement{Sign(all[0], r3, now)}
	b.Take(r2, Tell{Number: 1, Statements: two, Serving: []group.MemberID{r1}}, now)
	b.Take(r3, Tell{Number: 1, Statements: three, Serving: []group.MemberID{r1}}, now)
	if b.Serving(r1) != r3 {
		t.Error("the later claim doesn't count")
	}
	b.Take(r2, Tell{Number: 2, Statements: two, Serving: []group.MemberID{r1}}, now) // says it again: no new claim
	if b.Serving(r1) != r3 {
		t.Error("a claim that was said again counts as new")
	}
	b.Take(r1, Tell{Number: 1, Serving: []group.MemberID{r1}}, now)
	if b.Serving(r1) != r1 {
		t.Error("the owner has claimed itself, and others serve for it")
	}
}

func TestWhatHasEndedIsDropped(t *testing.T) {
	all, id := routers(t, 2)
	now := time.Now()
	r1, r2 := all[0].Self(), all[1].Self()
	b := newBook(id)
	b.Take(r2, Tell{Number: 1, Statements: []Statement{Sign(all[0], r2, now)}, Serving: []group.MemberID{r1}}, now)
	b.Review(now.Add(life))
	if !b.Speaks(r2, r1) {
		t.Error("dropped early")
	}
	b.Review(now.Add(life + clockSkew + time.Second))
	if b.Speaks(r2, r1) || b.Serving(r1) != r1 || len(b.told) != 0 {
		t.Error("still there")
	}
}

func TestReadersAllocateNothing(t *testing.T) {
	all, id := routers(t, 2)
	r1, r2 := all[0].Self(), all[1].Self()
	b := newBook(id)
	b.Take(r2, Tell{Number: 1, Statements: []Statement{Sign(all[0], r2, time.Now())}, Serving: []group.MemberID{r1}}, time.Now())
	if n := testing.AllocsPerRun(100, func() { b.Speaks(r2, r1); b.Serving(r1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheWireFormatStands(t *testing.T) {
	s := Statement{
		Owner: group.MemberID{31: 1}, Neighbour: group.MemberID{31: 2},
		Made: time.Unix(0x0102, 0), Until: time.Unix(0x0304, 0), Signature: make([]byte, 64),
	}
	b := Tell{Number: 0x0506, Statements: []Statement{s}, Serving: []group.MemberID{{31: 1}}}.Marshal()
	if len(b) != 10+145+1+32 || b[0] != 1 || b[8] != 6 || b[9] != 1 || b[10] != 1 || b[10+32] != 1 || b[10+64] != 2 || b[10+72] != 2 || b[10+80] != 4 || b[155] != 1 || b[187] != 1 {
		t.Fatalf("% x", b)
	}
	got, err := ParseTell(b)
	if err != nil || !reflect.DeepEqual(got, Tell{Number: 0x0506, Statements: []Statement{s}, Serving: []group.MemberID{{31: 1}}}) {
		t.Errorf("%+v (%v)", got, err)
	}
}

func FuzzParseTell(f *testing.F) {
	s := Statement{Made: time.Unix(5, 0), Until: time.Unix(6, 0), Signature: make([]byte, 64)}
	f.Add(Tell{}.Marshal())
	f.Add(Tell{Number: 7, Statements: []Statement{s, s}, Serving: []group.MemberID{{1}}}.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		tell, err := ParseTell(b)
		if err != nil {
			return
		}
		again, err := ParseTell(tell.Marshal())
		if err != nil || !reflect.DeepEqual(again, tell) {
			t.Errorf("%v: %+v, then %+v", err, tell, again)
		}
		newBook(group.ID{}).Take(group.MemberID{1}, tell, time.Now())
	})
}
