package neighbourhood

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/overlay"
)

// sites is an Elsewhere with the member 1 on our segment, and 2 and 3 at other sites.
type sites struct {
	links       map[group.MemberID]overlay.Link
	there, back group.MemberID
	err         error
	alone       bool
	asked       []group.MemberID
}

func (s *sites) Others() []group.MemberID {
	if s.alone {
		return []group.MemberID{{1}}
	}
	return []group.MemberID{{1}, {2}, {3}}
}

func (s *sites) Links() map[group.MemberID]overlay.Link { return s.links }
func (s *sites) Near(m group.MemberID) bool             { return m == group.MemberID{1} }

func (s *sites) Ask(_ context.Context, m group.MemberID) (there, back group.MemberID, err error) {
	s.asked = append(s.asked, m)
	return s.there, s.back, s.err
}

func TestTheWANSideIsJudgedByMembersElsewhereAlone(t *testing.T) {
	direct := map[group.MemberID]overlay.Link{{1}: {Direct: true}, {2}: {Direct: true}, {3}: {Via: group.MemberID{1}}}
	far := []group.MemberID{{2}}
	for name, c := range map[string]struct {
		sites sites
		well  bool
		asked []group.MemberID
	}{
		"it answers":                         {sites{links: direct}, true, far},
		"it refuses":                         {sites{links: direct, err: errors.New("refused")}, true, far},
		"it can't be reached":                {sites{links: direct, err: overlay.ErrUnreachable}, false, far},
		"another router relays to it":        {sites{links: direct, there: group.MemberID{1}}, false, far},
		"another router relays its answer":   {sites{links: direct, back: group.MemberID{1}}, false, far},
		"somebody elsewhere relays":          {sites{links: direct, there: group.MemberID{3}}, true, far},
		"there is no connection":             {sites{}, false, nil},
		"nobody of the group is elsewhere":   {sites{alone: true}, true, nil},
		"there is one by our neighbour only": {sites{links: map[group.MemberID]overlay.Link{{3}: {Via: group.MemberID{1}}}}, false, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := NewWANWatch(&c.sites)
			w.Begin()
			well := false
			for range int(2 * time.Second / WANInterval) {
				time.Sleep(WANInterval)
				well = w.Ask(t.Context(), true, func(ask func()) { ask() })
			}
			asked := slices.Compact(c.sites.asked)
			if well != c.well || !slices.Equal(asked, c.asked) {
				t.Errorf("%s: well %t, asked %v; want %t, %v", name, well, asked, c.well, c.asked)
			}
		})
	}
}

func TestWhoIsReliedOnSaysSoonerThatItsWANSideIsGone(t *testing.T) {
	lost := func(relied bool) (after time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			s := &sites{links: map[group.MemberID]overlay.Link{{2}: {Direct: true}}, err: overlay.ErrUnreachable}
			w := NewWANWatch(s)
			w.Begin()
			for after = 0; w.Ask(t.Context(), relied, func(ask func()) { ask() }); after += WANInterval {
				time.Sleep(WANInterval)
			}
		})
		return after
	}
	if quick, slow := lost(true), lost(false); quick != wanPatience || slow != returnPatience {
		t.Errorf("after %v where others rely on it, else after %v; want %v and %v", quick, slow, wanPatience, returnPatience)
	}
}
