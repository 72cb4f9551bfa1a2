package registry

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"landbridge/internal/group"
)

// Who watches a block hears of its changes: it doesn't ask about every address.
func TestASweepOfAWatchedBlockCostsAFewMessages(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/20", 6)
	// However slow a busy machine makes the sweep, it is one sweep: what was answered counts
	// until its end, and nobody who answers late is given up.
	l.pace.trust, l.pace.silence, l.pace.push = time.Minute, 5*time.Second, 50*time.Millisecond
	ns := l.members(6)
	lease := get(t, ns[0].reg, client(1))
	ctx := short(t, 30*time.Second)
	if _, err := ns[1].reg.Resolve(ctx, lease.Addr); err != nil {
		t.Fatal(err)
	}
	b, _, _ := ns[1].reg.geo.split(lease.Addr)
	var asked atomic.Int64 // members, about this block, by the one who sweeps
	l.overhear(func(from group.MemberID, q request) {
		if from == ns[1].id && q.Block == b && (q.Kind == kindLookup || q.Kind == kindWatch) {
			asked.Add(1)
		}
	})
	for first := 0; first < 64; first += 8 {
		var eight sync.WaitGroup
		for off := first; off < first+8; off++ {
			addr := ns[1].reg.geo.addr(b, off)
			eight.Go(func() {
				if _, err := ns[1].reg.Resolve(ctx, addr); addr != lease.Addr && !errors.Is(err, ErrAbsent) {
					t.Errorf("%v: %v", addr, err)
				}
			})
		}
		eight.Wait()
	}
	n := 2 * asked.Load() // requests and replies
	t.Logf("%d messages", n)
	if n > 256 { // a round each for the first eight; for all it takes 640
		t.Errorf("%d messages for 64 addresses", n)
	}
}

// The holder says at once what it leases, so those who watch find it at once too.
func TestANewLeaseInAWatchedBlockIsFoundAtOnce(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/20", 6)
	l.delay = func() time.Duration { return time.Millisecond }
	l.pace.push = 600 * time.Millisecond // on a busy machine
	ns := l.members(3)
	ctx := short(t, 30*time.Second)
	for i := range 40 {
		lease := get(t, ns[0].reg, client(i))
		for _, n := range ns[1:] {
			if loc, err := n.reg.Resolve(ctx, lease.Addr); err != nil || loc.Member != ns[0].id {
				t.Fatalf("lease %d, %v: %v, %v", i, lease.Addr, loc, err)
			}
		}
	}
}

// A push may be lost. That hides a new lease for a second, not for longer.
func TestALostPushHidesANewLeaseForAMomentOnly(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	ctx := short(t, 20*time.Second)
	first := get(t, ns[0].reg, client(1))
	r := ns[1].reg
	b, off, _ := r.geo.split(first.Addr)
	absent := r.geo.addr(b, off^1)
	eventually(t, "the block is watched", func() bool {
		_, _ = r.Resolve(ctx, absent)
		return r.awaitPush(absent) > 0
	})
	l.mu.Lock()
	l.cut[[2]group.MemberID{ns[0].id, ns[1].id}] = true // nothing of the holder arrives
	l.mu.Unlock()
	second := get(t, ns[0].reg, client(2))
	began := time.Now()
	eventually(t, "the new lease is found", func() bool {
		_, err := r.Resolve(ctx, second.Addr)
		return err == nil
	})
	if d := time.Since(began); d > 15*time.Second { // a busy machine; without another look it would be pace.watch, of 90 s
		t.Errorf("hidden for %v", d)
	}
}
