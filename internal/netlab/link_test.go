package netlab

import (
	"math/rand/v2"
	"testing"
	"time"
)

func newShaper() *shaper { return &shaper{rng: rand.New(rand.NewPCG(1, 2))} }

func TestALinkDelaysEachFrame(t *testing.T) {
	s := newShaper()
	link := Link{Delay: 10 * time.Millisecond}
	for _, now := range []time.Duration{0, time.Millisecond, time.Hour} {
		if due, f := s.admit(now, link, 1000); f != carried || due != now+10*time.Millisecond {
			t.Errorf("a frame at %v is %v, due %v", now, f, due)
		}
	}
}

func TestALinkSendsOneFrameAfterTheOtherAtItsRate(t *testing.T) {
	s := newShaper()
	link := Link{Rate: 8e6, Delay: time.Second, Queue: 3000} // a byte takes a microsecond
	for i, want := range []struct {
		now, due time.Duration
		fate     fate
	}{
		{0, time.Second + 1000*time.Microsecond, carried},
		{0, time.Second + 2000*time.Microsecond, carried},
		{0, time.Second + 3000*time.Microsecond, carried},
		{0, 0, dropped}, // 3000 bytes wait
		{500 * time.Microsecond, 0, dropped},
		{1000 * time.Microsecond, time.Second + 4000*time.Microsecond, carried},
		{time.Minute, time.Minute + time.Second + 1000*time.Microsecond, carried},
	} {
		if due, f := s.admit(want.now, link, 1000); f != want.fate || due != want.due {
			t.Errorf("frame %d is %v, due %v, want %v, due %v", i, f, due, want.fate, want.due)
		}
	}
}

func TestALinkLosesItsShare(t *testing.T) {
	for _, share := range []float64{0, 0.01, 0.3, 1} {
		s := newShaper()
		n := 0
		for range 100_000 {
			if _, f := s.admit(0, Link{Loss: share}, 100); f == lost {
				n++
			}
		}
		if got := float64(n) / 100_000; got < share*0.9 || got > share*1.1 {
			t.Errorf("lost %v of the frames, want %v", got, share)
		}
	}
}

func TestJitterSpreadsTheDelayAndKeepsTheOrder(t *testing.T) {
	s := newShaper()
	link := Link{Delay: 10 * time.Millisecond, Jitter: 4 * time.Millisecond}
	var before, least, most time.Duration = 0, time.Hour, 0
	for i := range 10_000 {
		now := time.Duration(i) * 10 * time.Millisecond
		due, _ := s.admit(now, link, 100)
		if due < before {
			t.Fatalf("frame %d overtakes", i)
		}
		before, least, most = due, min(least, due-now), max(most, due-now)
	}
	if least < 6*time.Millisecond || least > 7*time.Millisecond || most > 14*time.Millisecond || most < 13*time.Millisecond {
		t.Errorf("delays lie between %v and %v", least, most)
	}
}

func TestALinkHoldsBackItsShareAndTheRestKeepTheirOrder(t *testing.T) {
	const frames = 100_000
	link := Link{Delay: 10 * time.Millisecond, Reorder: 0.03, Hold: 4 * time.Millisecond}
	s := newShaper()
	late := 0
	var before time.Duration
	for i := range frames {
		now := time.Duration(i) * time.Millisecond
		switch due, f := s.admit(now, link, 100); f {
		case held:
			late++
			if due != now+14*time.Millisecond {
				t.Fatalf("frame %d, held back, is due after %v", i, due-now)
			}
		case carried:
			if due != now+10*time.Millisecond || due < before {
				t.Fatalf("frame %d, not held back, is due after %v, %v after the one before", i, due-now, due-before)
			}
			before = due
		default:
			t.Fatalf("frame %d is %v", i, f)
		}
	}
	if share := float64(late) / frames; share < 0.027 || share > 0.033 {
		t.Errorf("held back %v of the frames, want 0.03", share)
	}
}

func TestTheSameSeedHoldsBackTheSameFrames(t *testing.T) {
	link := Link{Loss: 0.1, Reorder: 0.3, Hold: time.Millisecond, Jitter: time.Millisecond}
	a, b := newShaper(), newShaper()
	for i := range 1000 {
		dueA, fateA := a.admit(time.Duration(i), link, 100)
		if dueB, fateB := b.admit(time.Duration(i), link, 100); dueA != dueB || fateA != fateB {
			t.Fatalf("frame %d: %v, %v and %v, %v", i, dueA, fateA, dueB, fateB)
		}
	}
}

func TestFramesLeaveInOrderAndInTime(t *testing.T) {
	s := newShaper()
	for i, due := range []time.Duration{5, 3, 9, 3, 1} {
		s.push(due, []byte{byte(i)})
	}
	if _, ok := s.pop(0); ok {
		t.Error("a frame left before its time")
	}
	var order []byte
	for frame, ok := s.pop(8); ok; frame, ok = s.pop(8) {
		order = append(order, frame[0])
	}
	if string(order) != string([]byte{4, 1, 3, 0}) {
		t.Errorf("frames left in the order %v", order)
	}
	if due, ok := s.next(); !ok || due != 9 || s.inFlight != 1 {
		t.Errorf("next is due at %v (%v), %d bytes in flight", due, ok, s.inFlight)
	}
}

func TestALinkHoldsABoundedNumberOfBytes(t *testing.T) {
	s := newShaper()
	for range 2 * maxInFlight / 1500 {
		if due, f := s.admit(0, Link{Delay: time.Hour}, 1500); f == carried {
			s.push(due, make([]byte, 1500))
		}
	}
	if s.inFlight > maxInFlight || s.inFlight < maxInFlight-1500 {
		t.Errorf("%d bytes in flight, at most %d are allowed", s.inFlight, maxInFlight)
	}
}

func TestAWrongLinkIsRefused(t *testing.T) {
	nan := 0.0
	nan /= nan
	for _, link := range []Link{{Delay: -1}, {Loss: 1.1}, {Loss: -0.1}, {Loss: nan}, {Rate: -1}, {MTU: 100}, {MTU: 65536}, {Queue: -1}, {Jitter: -1},
		{Reorder: 1.1, Hold: 1}, {Reorder: nan, Hold: 1}, {Reorder: 0.1}, {Hold: 1}, {Reorder: 0.1, Hold: -1}} {
		if link.validate() == nil {
			t.Errorf("%+v was accepted", link)
		}
	}
	if err := (Link{Delay: time.Second, Loss: 1, Reorder: 1, Hold: 1, MTU: 9000}).validate(); err != nil {
		t.Error(err)
	}
}
