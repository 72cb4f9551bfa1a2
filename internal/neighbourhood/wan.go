package neighbourhood

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/overlay"
	"landbridge/internal/sorting"
)

const (
	// WANInterval is how often a member elsewhere is asked for a sign of life, while there are
	// other routers on the LAN to take over.
	WANInterval = 100 * time.Millisecond
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

// Elsewhere is how members at other sites are reached.
type Elsewhere interface {
	// Others returns the other members of the group.
	Others() []group.MemberID
	// Links returns those to which there is a connection.
	Links() map[group.MemberID]overlay.Link
	// Near reports whether a member is on our segment, so that its answer says nothing.
	Near(m group.MemberID) bool
	// Ask asks a member for a sign of life, and returns those who relay what goes there and what
	// comes back; zero: nobody does.
	Ask(ctx context.Context, m group.MemberID) (there, back group.MemberID, err error)
}

// WANWatch finds out whether this router reaches members elsewhere. It asks only while that
// matters.
type WANWatch struct {
	elsewhere Elsewhere
	asking    atomic.Int32
	begun     time.Time
	next      int

	mu    sync.Mutex
	signs signs
}

// NewWANWatch returns a watch that has seen nothing yet.
func NewWANWatch(e Elsewhere) *WANWatch { return &WANWatch{elsewhere: e, begun: time.Now()} }

// Ask asks the next of the members that the overlay reaches, and reports whether the WAN side works. Where
// relied, others rely on this router, and it is told sooner that it doesn't. run runs the question.
func (w *WANWatch) Ask(ctx context.Context, relied bool, run func(func())) bool {
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
		run(func() { w.question(ctx, to, now) })
	}
	patience := returnPatience
	if relied {
		patience = wanPatience
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.signs.fresh(patience)
}

// Begin is called before the first question and after a pause: where there are connections they are taken to
// be good.
func (w *WANWatch) Begin() {
	far, _ := w.far()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signs.begin(time.Since(w.begun), len(far) > 0)
}

// far returns the members elsewhere to which there is a connection, not by a router of our segment, and whether the group has any members elsewhere.
func (w *WANWatch) far() (linked []group.MemberID, some bool) {
	links := w.elsewhere.Links()
	for _, m := range w.elsewhere.Others() {
		if w.elsewhere.Near(m) {
			continue
		}
		some = true
		if link, up := links[m]; up && !w.elsewhere.Near(link.Via) {
			linked = append(linked, m)
		}
	}
	sorting.By(linked, group.MemberID.Compare)
	return linked, some
}

// question asks one member, at left by the watch's clock. That it refuses is a sign of life too.
func (w *WANWatch) question(ctx context.Context, to group.MemberID, left time.Duration) {
	defer w.asking.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, wanTimeout)
	defer cancel()
	began := time.Now()
	there, back, err := w.elsewhere.Ask(ctx, to)
	var away *overlay.UnreachableError
	if ctx.Err() != nil || errors.As(err, &away) || errors.Is(err, overlay.ErrUnreachable) || errors.Is(err, overlay.ErrClosed) {
		return
	}
	if w.elsewhere.Near(there) || w.elsewhere.Near(back) {
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
	s.clock += min(now-s.passed, 2*WANInterval)
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
