package codel

import (
	"math/rand/v2"
	"testing"
	"time"
)

// hold has bulk arrive every gap over a time, each delayed by as much, and returns how many
// signals there were.
func hold(q *Queue, now *time.Duration, over, gap, delay time.Duration) (signals int) {
	for end := *now + over; *now < end; *now += gap {
		if q.Arrived(At(*now-delay), *now, mss, 0) {
			signals++
			q.Signalled(*now)
		}
	}
	return signals
}

func TestAStandingDelayIsSignalled(t *testing.T) {
	for _, offset := range []time.Duration{0, time.Hour, (1 << stampBits) * Tick} {
		var q Queue
		now := offset + time.Minute
		if n := hold(&q, &now, time.Second, ms, 10*ms); n > 0 {
			t.Errorf("%d signals without a queue", n)
		}
		if n := hold(&q, &now, 90*ms, ms, 30*ms); n > 0 {
			t.Errorf("%d signals for a burst", n)
		}
		if n := hold(&q, &now, time.Second, ms, 11*ms); n > 0 {
			t.Errorf("%d signals for a delay below the goal", n)
		}
		few := hold(&q, &now, 300*ms, ms, 30*ms)
		if few < 2 || few > 4 {
			t.Errorf("%d signals in 300 ms", few)
		}
		if n := hold(&q, &now, time.Second, ms, 30*ms); n < 2*few {
			t.Errorf("%d signals in another second, after %d in 300 ms", n, few)
		}
		if n := hold(&q, &now, time.Second, ms, 10*ms); n > 0 {
			t.Errorf("%d signals after the queue was gone", n)
		}
	}
}

func TestADelayThatStaysIsTakenForTheBase(t *testing.T) {
	var q Queue
	now := time.Minute
	hold(&q, &now, time.Second, ms, 10*ms)
	first := hold(&q, &now, patience+time.Second, ms, 40*ms)
	if first == 0 || first > int((patience+time.Second)/ms)/leastBetween {
		t.Errorf("%d signals until the law gave up", first)
	}
	if n := hold(&q, &now, 2*time.Minute, ms, 40*ms); n > 0 {
		t.Errorf("%d signals afterwards", n)
	}
	if n := hold(&q, &now, time.Second, ms, 60*ms); n == 0 {
		t.Error("no signal for what is over the new base")
	}
}

func TestLittleTrafficIsLeftAlone(t *testing.T) {
	for _, gap := range []time.Duration{5 * ms, 50 * ms, time.Second} {
		var q Queue
		now := time.Minute
		hold(&q, &now, time.Second, ms, 10*ms)
		if n := hold(&q, &now, 10*time.Second, gap, 10*ms+gap*leastQueue*3/4); n > 0 {
			t.Errorf("a datagram every %v: %d signals", gap, n)
		}
	}
	var q Queue // small ones, ever so many, and nothing large that could be dropped
	for now := time.Minute; now < 2*time.Minute; now += ms {
		delay := 10 * ms
		if now > 70*time.Second {
			delay = 50 * ms
		}
		if q.Arrived(At(now-delay), now, 100, 0) {
			t.Fatal("a signal among small datagrams")
		}
	}
}

func TestNoMoreThanOneInThirtyTwoIsSignalled(t *testing.T) {
	var q Queue
	now := time.Minute
	for delay := 10 * ms; delay < 3*time.Second; delay += 6 * ms { // it only gets worse
		if n := hold(&q, &now, 320*ms, ms, delay); n > 10 {
			t.Fatalf("%d of 320", n)
		}
	}
}

// A signal that could not be given, for the datagram is none that may be dropped, is asked
// for again with the next.
func TestASignalStaysDueUntilItIsGiven(t *testing.T) {
	var q Queue
	now, due := time.Minute, 0
	hold(&q, &now, time.Second, ms, 10*ms)
	for end := now + time.Second; now < end; now += ms {
		if q.Arrived(At(now-30*ms), now, mss, 0) {
			due++
		}
	}
	if due < 800 {
		t.Errorf("due with %d of 1000", due)
	}
}

func TestALongRoundTripMayHaveALongerQueue(t *testing.T) {
	for trip, want := range map[time.Duration]bool{20 * ms: true, 200 * ms: false} {
		var q Queue
		got := false
		for now := time.Minute; now < 65*time.Second; now += ms {
			delay := 100 * ms
			if now > 61*time.Second {
				delay += 40 * ms
			}
			if q.Arrived(At(now-delay), now, mss, trip) {
				got = true
				q.Signalled(now)
			}
		}
		if got != want {
			t.Errorf("round trip %v, 40 ms of queue: signalled %v", trip, got)
		}
	}
}

func TestTheBaseIsForgotten(t *testing.T) {
	var b base
	b.over(100, time.Minute)
	for i, c := range []struct {
		transit Stamp
		at      time.Duration
		want    int32
	}{
		{150, 61 * time.Second, 50},
		{150, 79 * time.Second, 50},
		{150, 95 * time.Second, 0},
		{90, 96 * time.Second, 0},
		{stampMask - 9, 97 * time.Second, 0}, // ten ticks below zero
		{0, 98 * time.Second, 10},
		{stampMask - 9, 10 * time.Minute, 0},
		{Stamp(implausible), 10*time.Minute + 1, 0}, // a clock that jumped
		{Stamp(implausible) + 1, 10*time.Minute + 2, 1},
	} {
		if got := b.over(c.transit, c.at); got != c.want {
			t.Errorf("%d: %d over the base", i, got)
		}
	}
}

// Whatever stamps come, what is signalled is bounded, and honest ones work afterwards.
func TestStampsOfAnEnemy(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var q Queue
		now, signals := time.Duration(random.Int64N(1<<50)), 0
		for range 5000 {
			now += time.Duration(random.Int64N(int64(2 * ms)))
			sent := Stamp(random.Uint32())
			if random.IntN(2) == 0 {
				sent = At(now - time.Duration(random.Int64N(int64(100*ms))))
			}
			if q.Arrived(sent, now, random.IntN(1500), time.Duration(random.Int64N(int64(time.Second)))) {
				signals++
				q.Signalled(now)
			}
		}
		if signals > 5000/leastBetween {
			t.Errorf("seed %d: %d signals", seed, signals)
		}
		now += time.Minute
		if n := hold(&q, &now, time.Second, ms, 10*ms); n > 0 {
			t.Errorf("seed %d: %d signals without a queue", seed, n)
		}
		if n := hold(&q, &now, time.Second, ms, 30*ms); n == 0 {
			t.Errorf("seed %d: no signal for a queue", seed)
		}
	}
}

func TestArrivedAllocatesNothing(t *testing.T) {
	var q Queue
	now := time.Minute
	if n := testing.AllocsPerRun(10, func() {
		hold(&q, &now, time.Second, ms, 10*ms)
		hold(&q, &now, time.Second, ms, 30*ms)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkArrived(b *testing.B) {
	for name, delay := range map[string]time.Duration{"no queue": 0, "a queue": 30 * ms} {
		for run, length := range map[string]int{"alone": 1, "in runs": 40} {
			b.Run(name+", "+run, func(b *testing.B) {
				var q Queue
				now, sent := time.Minute, At(time.Minute)
				for i := 0; b.Loop(); i++ {
					if i%length == 0 {
						now += 10 * time.Microsecond
						sent = At(now - delay)
					}
					if q.Arrived(sent, now, mss, 20*ms) {
						q.Signalled(now)
					}
				}
			})
		}
	}
}

func TestADelayOfOurOwnIsNotSignalled(t *testing.T) {
	var q Queue
	now := time.Minute
	hold(&q, &now, time.Second, ms, 10*ms)
	for range 40 {
		if n := hold(&q, &now, leastInterval/2, ms, 40*ms); n > 0 {
			t.Fatalf("%d signals", n)
		}
		q.Late()
	}
	if n := hold(&q, &now, time.Second, ms, 40*ms); n == 0 {
		t.Error("no signal once it is on the way")
	}
}
