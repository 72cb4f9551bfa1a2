package acme

import "time"

const (
	firstRetry = 15 * time.Minute // a CA allows few failures an hour
	lastRetry  = 12 * time.Hour
)

// Attempts is what was tried since the last certificate.
type Attempts struct {
	Failures int       // orders begun, of which none was fulfilled
	Began    time.Time // the last of them
	Failed   bool      // it is known why; else a kill has interrupted it
	After    time.Time // before which the CA wants to hear nothing
}

// Due returns when a certificate is to be renewed: after two thirds of its life.
func Due(begins, ends time.Time) time.Time { return begins.Add(ends.Sub(begins) * 2 / 3) }

// Next returns when the next order is to begin, for a certificate that is due (now, where there is none). An order
// that was interrupted is tried again at once the first time, any other after a pause that doubles,
// of which jitter, 0 to 1, shortens up to a quarter.
func Next(due time.Time, a Attempts, jitter float64) time.Time {
	if a.Failures <= 0 || a.Failures == 1 && !a.Failed {
		return later(due, a.After)
	}
	pause := lastRetry
	if n := a.Failures - 1; n < 6 {
		pause = min(firstRetry<<n, lastRetry)
	}
	pause -= time.Duration(float64(pause) * jitter / 4)
	return later(due, later(a.Began.Add(pause), a.After))
}

// Overdue reports whether a renewal has failed for so long that somebody should look: half of the time between
// the due renewal and three quarters of the certificate's life.
func Overdue(begins, ends, now time.Time) bool {
	return now.After(begins.Add(ends.Sub(begins) * 3 / 4))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
