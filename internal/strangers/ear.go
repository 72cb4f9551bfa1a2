package strangers

import "time"

const (
	earInterval = time.Second
	// Frames between other stations that are listened to. Where there are more, nobody who moves
	// is among them soon enough, and reading them costs more than it tells.
	earMost  = 2000 // in an interval
	earPause = 30 * time.Second
)

// ear listens to frames to stations that the bridge doesn't know, by which a host that has moved
// here, and announces nothing, is noticed. On a segment where much is sent to such stations it
// pauses.
type ear struct {
	heard  func() uint64 // how many frames, so far
	listen func(on bool)

	on     bool
	before uint64    // heard, at the last turn
	until  time.Time // of the pause
}

// turn is called every earInterval.
func (e *ear) turn(now time.Time) {
	heard := e.heard()
	many := heard-e.before > earMost
	e.before = heard
	switch {
	case e.on && many:
		e.on, e.until = false, now.Add(earPause)
	case !e.on && !now.Before(e.until):
		e.on = true
	default:
		return
	}
	e.listen(e.on)
}
