package appliance

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/overlay"
)

const (
	// wanInterval is how often a member elsewhere is asked for a sign of life, while there are
	// other routers on the LAN to take over.
	wanInterval = 100 * time.Millisecond
	// wanPatience is how old the last sign may be, besides what round trips take, while others
	// rely on this router. A host's TCP tries again after some 200, 600 and 1,400 ms: the other
	// router is to have taken over by the second time.
	wanPatience = 300 * time.Millisecond
	// returnPatience is the same while they don't, so that a moment's stall doesn't put off
	// its return.
	returnPatience = 1500 * time.Millisecond
	// wanTimeout bounds one question.
	wanTimeout = 2 * time.Second
	// wanAtOnce bounds the questions without an answer yet.
	wanAtOnce = 24
)

// wanWatch finds out whether this router reaches members elsewhere. It asks only while that
// matters.
type wanWatch struct {
	network *network
	near    func(group.MemberID) bool // is on our segment, so that its answer says nothing
	asking  atomic.Int32
	begun   time.Time
	next    int

	mu    sync.Mutex
	signs signs
}

// ask asks the next of the members that the overlay reaches, and reports whether the WAN side works;
// patience is wanPatience or returnPatience.
func (w *wanWatch) ask(ctx context.Context, patience time.Duration, running func(func())) bool {
	far, some := w.far()
	if !some {
		return true // there is nobody to reach
	}
	w.mu.Lock()
	now := w.signs.pass(time.Since(w.begun))
	w.mu.Unlock()
	if len(far) > 0 && w.asking.Load() < wanAtOnce {
		w.next++
		to := far[w.next%len(far)]
		w.asking.Add(1)
		running(func() { w.question(ctx, to, now) })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.signs.fresh(patience)
}

// begin is called before the first question and after a pause: where there are connections they are taken to
// be good.
func (w *wanWatch) begin() {
	far, _ := w.far()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signs.begin(time.Since(w.begun), len(far) > 0)
}

// far returns the members elsewhere to which there is a connection, not by a router of our segment, and whether the group has any members elsewhere.
func (w *wanWatch) far() (linked []group.MemberID, some bool) {
	links := w.network.node.overlay.Links()
	self := w.network.membership.Self()
	for _, m := range w.network.membership.Descriptor().Current() {
		if m == self || w.near(m) {
			continue
		}
		some = true
		if link, up := links[m]; up && !w.near(link.Via) {
			linked = append(linked, m)
		}
	}
	slices.SortFunc(linked, group.MemberID.Compare)
	return linked, some
}

// question asks one member, at left by the watch's clock. That it refuses is a sign of life too.
func (w *wanWatch) question(ctx context.Context, to group.MemberID, left time.Duration) {
	defer w.asking.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, wanTimeout)
	defer cancel()
	began := time.Now()
	reply, err := w.network.node.gate.call(ctx, w.network, to, protocolSegment, []byte{segmentAlive})
	var away *overlay.UnreachableError
	if ctx.Err() != nil || errors.As(err, &away) || errors.Is(err, overlay.ErrUnreachable) || errors.Is(err, overlay.ErrClosed) {
		return
	}
	if w.near(w.network.tunnel.Via(to)) || w.near(relayTold(reply)) {
		return // what is sent goes by another router's WAN, with which it ends
	}
	trip := time.Since(began)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signs.answered(left, trip)
}

// signs are the answers of members elsewhere. The clock is that of the questions: where this
// process stood still, so that it could neither ask nor hear, it did too.
type signs struct {
	clock  time.Duration
	passed time.Duration // of real time, when the clock was last looked at
	last   time.Duration // by the clock, when the latest question left that was answered
	heard  bool          // last says something
	since  time.Duration // by the clock: answers to what left before say nothing
	// Round trips, as TCP reckons them for its patience (RFC 6298 section 2).
	trip, spread time.Duration
}

// begin starts anew, at now; well says that there is reason to take the WAN side to be good.
func (s *signs) begin(now time.Duration, well bool) {
	s.passed, s.last, s.heard = now, s.clock, well
}

// pass has the clock go on to now, in real time, by two intervals at most.
func (s *signs) pass(now time.Duration) time.Duration {
	s.clock += min(now-s.passed, 2*wanInterval)
	s.passed = now
	return s.clock
}

// answered notes an answer to the question that left then.
func (s *signs) answered(left, trip time.Duration) {
	if s.trip == 0 {
		s.trip, s.spread = trip, trip/2
	} else {
		s.spread += ((s.trip - trip).Abs() - s.spread) / 4
		s.trip += (trip - s.trip) / 8
	}
	if left >= s.since && (!s.heard || left > s.last) {
		s.last, s.heard = left, true
	}
}

// fresh reports whether the last sign isn't older than patience and what round trips take. Once it
// is, only the answer to a later question is a sign: who has more patience later, as nobody relies on
// this router any more, doesn't take the old one for good.
func (s *signs) fresh(patience time.Duration) bool {
	if s.heard && s.clock-s.last >= patience+2*s.trip+4*s.spread {
		s.heard, s.since = false, s.clock
	}
	return s.heard
}
