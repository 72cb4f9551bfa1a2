package appliance

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/overlay"
)

const (
	// wanInterval is how often a member elsewhere is asked for a sign of life, while there are
	// other routers on the LAN to take over.
	wanInterval = 150 * time.Millisecond
	// wanPatience is how old the last sign may be, besides two usual round trips, while others
	// rely on this router.
	wanPatience = 500 * time.Millisecond
	// returnPatience is the same while they don't, so that a moment's stall doesn't put off
	// its return.
	returnPatience = 1500 * time.Millisecond
	// wanTimeout bounds one question.
	wanTimeout = 2 * time.Second
	// wanAtOnce bounds the questions without an answer yet.
	wanAtOnce = 16
)

// wanWatch finds out whether this router reaches members elsewhere. It asks only while that
// matters.
type wanWatch struct {
	network *network
	near    func(group.MemberID) bool // is on our segment, so that its answer says nothing
	asking  atomic.Int32
	lastOK  atomic.Int64 // when the last question left that was answered: nanoseconds since begun
	trip    atomic.Int64 // usual round trip, in nanoseconds
	begun   time.Time
	next    int
}

// ask asks the next of the members that the overlay reaches, and reports whether the WAN side works;
// patience is wanPatience or returnPatience.
func (w *wanWatch) ask(ctx context.Context, patience time.Duration, running func(func())) bool {
	far, some := w.far()
	if !some {
		return true // there is nobody to reach
	}
	if len(far) > 0 && w.asking.Load() < wanAtOnce {
		w.next++
		to := far[w.next%len(far)]
		w.asking.Add(1)
		running(func() { w.question(ctx, to) })
	}
	last := w.lastOK.Load()
	return last != 0 && time.Since(w.begun)-time.Duration(last) < patience+2*time.Duration(w.trip.Load())
}

// begin is called before the first question and after a pause: where there are connections they are taken to
// be good.
func (w *wanWatch) begin() {
	w.lastOK.Store(0)
	if far, _ := w.far(); len(far) > 0 {
		w.lastOK.Store(int64(time.Since(w.begun)))
	}
}

// far returns the members elsewhere to which there is a connection, and whether the group has any members elsewhere.
func (w *wanWatch) far() (linked []group.MemberID, some bool) {
	links := w.network.node.overlay.Links()
	self := w.network.membership.Self()
	for _, m := range w.network.membership.Descriptor().Current() {
		if m == self || w.near(m) {
			continue
		}
		some = true
		if _, up := links[m]; up {
			linked = append(linked, m)
		}
	}
	slices.SortFunc(linked, group.MemberID.Compare)
	return linked, some
}

// question asks one member. That it refuses is a sign of life too.
func (w *wanWatch) question(ctx context.Context, to group.MemberID) {
	defer w.asking.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, wanTimeout)
	defer cancel()
	began := time.Since(w.begun)
	_, err := w.network.node.gate.call(ctx, w.network, to, protocolSegment, []byte{segmentAlive})
	var away *overlay.UnreachableError
	if ctx.Err() != nil || errors.As(err, &away) || errors.Is(err, overlay.ErrUnreachable) || errors.Is(err, overlay.ErrClosed) {
		return
	}
	trip := time.Since(w.begun) - began
	if usual := time.Duration(w.trip.Load()); usual != 0 {
		trip = usual + (trip-usual)/8
	}
	w.trip.Store(int64(trip))
	for {
		last := w.lastOK.Load()
		if int64(began) <= last || w.lastOK.CompareAndSwap(last, int64(began)) {
			return
		}
	}
}
