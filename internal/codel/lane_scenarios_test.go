package codel

import (
	"fmt"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestTheQueueStaysShortAndTheLinkBusy(t *testing.T) {
	for _, c := range []struct {
		rate  float64
		trip  time.Duration
		flows int
		most  time.Duration // of the queue, 99th percentile
		least float64       // of the rate, what the law dropped left off
	}{
		{10e6, 20 * ms, 4, 45 * ms, 0.97},
		{100e6, 20 * ms, 1, 10 * ms, 0.97},
		{100e6, 20 * ms, 4, 12 * ms, 0.99},
		{100e6, 20 * ms, 16, 14 * ms, 0.98},
		{100e6, 60 * ms, 1, 20 * ms, 0.97},
		{100e6, 120 * ms, 4, 45 * ms, 0.97},
	} {
		t.Run(fmt.Sprintf("%.0f Mbit/s, %v, %d flows", c.rate/1e6, c.trip, c.flows), func(t *testing.T) {
			bare := newLane(c.rate, c.trip/2)
			bare.off = true
			bare.start(c.flows)
			bare.run(8 * time.Second)
			if _, p99 := bare.share(t, 4*time.Second, 8*time.Second, 99); p99 < 90*ms {
				t.Errorf("without the law the queue is only %v long: is the simulation right?", p99)
			}
			l := newLane(c.rate, c.trip/2)
			l.start(c.flows)
			l.run(15 * time.Second)
			carried, p99 := l.share(t, 4*time.Second, 15*time.Second, 99)
			if carried < c.least || p99 > c.most {
				t.Errorf("%.3f of the rate, a queue of %v", carried, p99)
			}
		})
	}
}

// A transfer that keeps the queue from running empty must not make the base forget what
// the path is like without one.
func TestALongTransferDoesNotRaiseItsOwnBase(t *testing.T) {
	l := newLane(100e6, 10*ms)
	l.start(4)
	l.run(2 * time.Minute)
	if carried, p99 := l.share(t, 100*time.Second, 2*time.Minute, 99); carried < 0.98 || p99 > 12*ms {
		t.Errorf("%.3f of the rate, a queue of %v", carried, p99)
	}
}

func TestFlowsBesideTrafficThatDoesNotYieldAreNotStarved(t *testing.T) {
	for _, rate := range []float64{50e6, 90e6} {
		var carried [2]float64
		for i, off := range []bool{true, false} {
			l := newLane(100e6, 10*ms)
			l.off = off
			l.start(4)
			l.flood(rate, 5*time.Second, 20*time.Second)
			l.run(20 * time.Second)
			carried[i], _ = l.share(t, 6*time.Second, 20*time.Second, 50)
		}
		if carried[1] < 0.5*carried[0] {
			t.Errorf("beside %.0f Mbit/s: %.3f of the rate instead of %.3f", rate/1e6, carried[1], carried[0])
		}
	}
}

func TestALongerRouteIsSoonTheNewBase(t *testing.T) {
	l := newLane(100e6, 10*ms)
	l.start(4)
	l.after(10*time.Second, func() { l.delay = 40 * ms })
	l.run(30 * time.Second)
	if carried, _ := l.share(t, 10*time.Second, 20*time.Second, 99); carried < 0.45 { // cubic itself needs its time
		t.Errorf("%.3f of the rate while the base was wrong", carried)
	}
	if carried, p99 := l.share(t, 20*time.Second, 30*time.Second, 99); carried < 0.95 || p99 > 40*ms {
		t.Errorf("%.3f of the rate, a queue of %v afterwards", carried, p99)
	}
}

func TestClocksThatDriftApartCostLittle(t *testing.T) {
	for ppm, least := range map[int]float64{-100: 0.9, -20: 0.97, 20: 0.97, 100: 0.97} {
		l := newLane(100e6, 10*ms)
		l.clock = func(t time.Duration) time.Duration { return 5*time.Hour + t + t/1e6*time.Duration(ppm) }
		l.start(4)
		l.run(80 * time.Second)
		if carried, p99 := l.share(t, 30*time.Second, 80*time.Second, 99); carried < least || p99 > 20*ms {
			t.Errorf("%d ppm: %.3f of the rate, a queue of %v", ppm, carried, p99)
		}
	}
}

func TestAClockThatStoodStillCostsAMoment(t *testing.T) {
	for _, pause := range []time.Duration{30 * ms, 500 * ms, time.Minute} { // the sender's clock goes on later
		l := newLane(100e6, 10*ms)
		l.clock = func(t time.Duration) time.Duration {
			if t > 8*time.Second {
				return time.Hour + t - pause
			}
			return time.Hour + t
		}
		l.start(4)
		l.run(20 * time.Second)
		if carried, p99 := l.share(t, 8*time.Second, 20*time.Second, 99); carried < 0.8 {
			t.Errorf("%v: %.3f of the rate, a queue of %v", pause, carried, p99)
		}
	}
}
