package registry

import (
	"time"

	"landbridge/internal/group"
)

// Instant is one reading of both clocks of a machine.
//
// Mono never steps and counts sleep (CLOCK_BOOTTIME); it means something only
// together with Boot, which names the boot of the kernel. Wall may step. Nothing
// that safety rests on compares readings of two machines.
type Instant struct {
	Boot string
	Mono time.Duration
	Wall time.Time
}

// since returns the most time that may have passed since then. Within one boot the monotonic clock says exactly; the wall clock can only
// raise the most. Over a reboot there is only the wall clock, which may have been
// set back: known is false where it shows that it was.
func (now Instant) since(then Instant) (most time.Duration, known bool) {
	wall := now.Wall.Sub(then.Wall)
	if now.Boot == then.Boot && now.Mono >= then.Mono {
		return max(now.Mono-then.Mono, wall), true
	}
	return wall, wall >= 0
}

// hold is this node's side of a grant: it holds the block at Epoch for the hold
// time from Renewed, a moment before the last successful round was sent.
type hold struct {
	Block   BlockID       `cbor:"1,keyasint"`
	Epoch   uint64        `cbor:"2,keyasint"`
	Boot    string        `cbor:"3,keyasint"`
	Mono    time.Duration `cbor:"4,keyasint"`
	Wall    int64         `cbor:"5,keyasint"` // Unix nanoseconds
	SeqCeil uint64        `cbor:"6,keyasint"` // records up to this sequence number may have been published
}

func (h hold) renewed() Instant {
	return Instant{Boot: h.Boot, Mono: h.Mono, Wall: time.Unix(0, h.Wall)}
}

func (h *hold) setRenewed(at Instant) {
	h.Boot, h.Mono, h.Wall = at.Boot, at.Mono, at.Wall.UnixNano()
}

// valid reports whether new addresses may be leased out of the block. It errs on
// the side of no.
func (h hold) valid(now Instant, holdTime time.Duration) bool {
	most, known := now.since(h.renewed())
	return known && most < holdTime
}

// end is until when the hold is valid unless it is renewed, by the wall clock of now; zero
// where it has run out.
func (h hold) end(now Instant, holdTime time.Duration) time.Time {
	if !h.valid(now, holdTime) {
		return time.Time{}
	}
	most, _ := now.since(h.renewed())
	return now.Wall.Add(holdTime - most)
}

// due reports whether the hold should be renewed: at a third of its time.
func (h hold) due(now Instant, holdTime time.Duration) bool {
	most, known := now.since(h.renewed())
	return !known || most >= holdTime/3
}

// rebase carries a hold of an earlier boot over to this one, once, at start: from
// then on the monotonic clock counts. Without any idea of the time that has passed the
// hold has run out.
func (h *hold) rebase(now Instant) {
	if now.Boot == h.Boot {
		return
	}
	passed := now.Wall.Sub(h.renewed().Wall)
	if passed < 0 {
		passed = 1 << 60
	}
	h.Boot, h.Mono = now.Boot, now.Mono-passed
}

// reanchor follows a wall clock that was set back while we ran, so that after a
// reboot, when only the wall clock is left, the hold isn't taken for younger than it
// is. It reports whether the hold changed. A clock set back while the machine is off
// can't be seen by anybody.
func (h *hold) reanchor(now Instant) bool {
	if now.Boot != h.Boot || now.Mono < h.Mono {
		return false
	}
	wall := now.Wall.Add(h.Mono - now.Mono).UnixNano()
	if h.Wall-wall < int64(time.Second) {
		return false
	}
	h.Wall = wall
	return true
}

// LapseTime is after how long without a word from a block's holder others may take the
// block over, in a group with these times.
func LapseTime(holdTime, leaseTime time.Duration) time.Duration {
	return lapseAfter(holdTime, leaseTime)
}

// lapseAfter is how long a replica that has not heard from a holder waits before
// it lets another inherit: the hold, the last lease given in it, and 2 % of both
// for clocks that drift by 1 % each.
func lapseAfter(holdTime, leaseTime time.Duration) time.Duration {
	t := holdTime + leaseTime
	return t + t/50
}

// lapseTimer is a replica's memory, on its monotonic clock, of when it last
// accepted from the holder of one grant. It is on disk with the register, so that
// restarts of the daemon don't prolong the wait for a dead holder; after a reboot
// the whole time starts again, which is safe.
type lapseTimer struct {
	grant Grant
	since time.Duration
}

// observe notes that the replica now holds value, accepted from member from (zero
// when it came by transfer or from disk).
func (t lapseTimer) observe(from group.MemberID, value Grant, now time.Duration) lapseTimer {
	if t.grant != value || from == value.Holder {
		return lapseTimer{grant: value, since: now}
	}
	return t
}

// lapsed reports whether value's holder has been silent for after.
func (t lapseTimer) lapsed(value Grant, now, after time.Duration) bool {
	return t.grant == value && now-t.since >= after
}
