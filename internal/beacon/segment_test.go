package beacon

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/store"
)

// members makes a group of n whose memberships all know the newest roster.
func members(t testing.TB, n int) []*group.Membership {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	p := group.Params{Name: "lab", Prefix: netip.MustParsePrefix("10.9.0.0/16")}.WithDefaults()
	authority, founder, err := group.CreateGroup(openDB(t), key(0), "founder", p, at)
	if err != nil {
		t.Fatal(err)
	}
	authority.Subscribe(func(d group.SignedDescriptor) {
		if _, err := founder.Update(d); err != nil {
			t.Error(err)
		}
	})
	all := []*group.Membership{founder}
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
		m, err := group.SaveJoin(openDB(t), key(i), inv, reply, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	for _, m := range all {
		if _, err := m.Update(founder.Signed()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func key(n int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%032d", n)))
}

func openDB(t testing.TB) *store.DB {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func macOf(n int) frame.MAC { return frame.MAC{2, 0, 0, 0, 0, byte(n)} }

// segment is a wire on which each frame is heard by all others, unless they are cut off.
type segment struct {
	t   *testing.T
	mu  sync.Mutex
	all []*station
	log [][]byte // every frame
}

type station struct {
	*Beacon
	segment    *segment
	mac        frame.MAC
	membership *group.Membership

	mu      sync.Mutex
	cut     bool
	loop    bool // its own frames come back to it
	says    Says
	changes int
}

// onSegment runs a test with a member for each says, in a bubble.
func onSegment(t *testing.T, says []Says, run func(t *testing.T, s *segment)) {
	t.Helper()
	memberships := members(t, len(says))
	synctest.Test(t, func(t *testing.T) {
		s := &segment{t: t}
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		for i, m := range memberships {
			s.join(ctx, m, macOf(i), says[i])
		}
		run(t, s)
	})
}

func (s *segment) join(ctx context.Context, m *group.Membership, mac frame.MAC, says Says) *station {
	st := &station{segment: s, mac: mac, membership: m, says: says}
	b, err := New(Config{
		Membership: m, MAC: mac, Send: st.send,
		Self:    func() Says { st.mu.Lock(); defer st.mu.Unlock(); return st.says },
		Changed: func() { st.mu.Lock(); defer st.mu.Unlock(); st.changes++ },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	st.Beacon = b
	s.mu.Lock()
	s.all = append(s.all, st)
	s.mu.Unlock()
	go b.Run(ctx)
	return st
}

func (st *station) set(change func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	change()
}

func (st *station) send(f []byte) error {
	f = slices.Clone(f)
	s := st.segment
	s.mu.Lock()
	s.log = append(s.log, f)
	all := slices.Clone(s.all)
	s.mu.Unlock()
	st.mu.Lock()
	cut, loop := st.cut, st.loop
	st.mu.Unlock()
	if cut {
		return fmt.Errorf("network is down")
	}
	if loop {
		st.Receive(f, time.Now())
	}
	dst := frame.Ethernet(f).Dst()
	for _, to := range all {
		if to == st || dst != frame.Broadcast() && dst != to.mac {
			continue
		}
		to.hear(f)
	}
	return nil
}

func (st *station) hear(f []byte) {
	st.mu.Lock()
	cut := st.cut
	st.mu.Unlock()
	if !cut {
		st.Receive(f, time.Now())
	}
}

// frames returns what was sent so far.
func (s *segment) frames() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// pass lets time pass and everything happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
