package neighbourhood

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/store"
	"landbridge/internal/vouch"
)

func TestWhoRelaysIsToldWithTheAnswerToHowAMemberIs(t *testing.T) {
	via := group.MemberID{7}
	for want, reply := range map[group.MemberID][]byte{via: append([]byte{1}, via[:]...), {}: {1}} {
		if got := RelayTold(reply); got != want {
			t.Errorf("% x: relayed by %v, want %v", reply, got, want)
		}
	}
	if got := RelayTold(nil); !got.IsZero() {
		t.Errorf("no reply: relayed by %v", got)
	}
}

// peers are members that nobody reaches.
type peers struct{ via group.MemberID }

func (p peers) Call(context.Context, group.MemberID, []byte) ([]byte, error) {
	return nil, errors.New("nobody is there")
}
func (p peers) Reached() []group.MemberID           { return nil }
func (p peers) Via(m group.MemberID) group.MemberID { return p.via }

// thisRouter is a Here.
type thisRouter struct {
	well     bool
	appeared []frame.MAC
}

func (r *thisRouter) Well() bool { return r.well }
func (r *thisRouter) About(group.MemberID, time.Time) (st vouch.Statement, is bool) {
	return st, false
}
func (r *thisRouter) Appear(mac frame.MAC, _ beacon.Nonce) { r.appeared = append(r.appeared, mac) }
func (r *thisRouter) Blocks() []byte                       { return []byte{10, 9, 0, 32} }

func TestARouterAnswersHowItIsAndKeepsItsAppointment(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "landbridge.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	_, m, err := group.CreateGroup(db, ed25519.NewKeyFromSeed(make([]byte, 32)), "a", group.Params{Name: "lab", Prefix: netip.MustParsePrefix("10.9.0.0/16")}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	from, via, mac := group.MemberID{2}, group.MemberID{3}, frame.MAC{2, 7}
	for name, c := range map[string]struct {
		here thisRouter
		via  group.MemberID
		req  []byte
		want []byte // nil: refused
		kept int
	}{
		"well":             {thisRouter{well: true}, group.MemberID{}, []byte{AskAlive}, []byte{1}, 0},
		"not well":         {thisRouter{}, group.MemberID{}, []byte{AskAlive}, []byte{0}, 0},
		"well, relayed":    {thisRouter{well: true}, via, []byte{AskAlive}, append([]byte{1}, via[:]...), 0},
		"an appointment":   {thisRouter{well: true}, group.MemberID{}, Appoint(mac, beacon.Nonce{1}), []byte{1}, 1},
		"half of one":      {thisRouter{well: true}, group.MemberID{}, Appoint(mac, beacon.Nonce{1})[:9], []byte{1}, 0},
		"blocks":           {thisRouter{}, group.MemberID{}, []byte{AskBlocks}, []byte{10, 9, 0, 32}, 0},
		"no request":       {thisRouter{}, group.MemberID{}, nil, nil, 0},
		"unknown":          {thisRouter{}, group.MemberID{}, []byte{99}, nil, 0},
		"broken statement": {thisRouter{}, group.MemberID{}, []byte{AskVouch, 1, 2}, nil, 0},
		"broken tell":      {thisRouter{}, group.MemberID{}, []byte{askTell, 1}, nil, 0},
	} {
		s := NewStandins(StandinsConfig{Membership: m, Peers: peers{c.via}, Here: &c.here, Run: func(func(context.Context)) {}, Log: slog.New(slog.DiscardHandler)})
		reply, err := s.Answer(from, c.req)
		if !bytes.Equal(reply, c.want) || (err == nil) != (c.want != nil) || len(c.here.appeared) != c.kept || c.kept > 0 && c.here.appeared[0] != mac {
			t.Errorf("%s: % x, %v, appeared to %v; want % x", name, reply, err, c.here.appeared, c.want)
		}
	}
}
