package pid1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/beevik/ntp"
	"golang.org/x/sys/unix"
)

// Times between questions to a time server, and what is done about a clock that is wrong.
const (
	nextTime    = 15 * time.Minute
	nextAttempt = 20 * time.Second
	slewBelow   = 400 * time.Millisecond // adjtime(3) takes up to half a second
	goodEnough  = 2 * time.Millisecond
)

// What is believed of time servers: their answers aren't signed, and whoever answers DHCP names them.
const (
	mostAhead = 10 * 365 * 24 * time.Hour // of the time when the image was made
	mostLater = 5 * time.Minute           // after the first answer since the start
)

// believe judges the offset of an answer to a clock that says now, where the image was made at built;
// the first answer since the start may set a clock that is far off. The error is for people.
func believe(now, built time.Time, offset time.Duration, first bool) error {
	said := now.Add(offset)
	switch {
	case !built.IsZero() && (said.Before(built) || said.After(built.Add(mostAhead))):
		return fmt.Errorf("it says %s, which can't be for an image of %s", said.Format(time.DateOnly), built.Format(time.DateOnly))
	case !first && offset.Abs() > mostLater:
		return fmt.Errorf("it differs by %v from what time servers said before: if this machine was paused, or its clock is wrong, restart it", offset.Round(time.Second))
	}
	return nil
}

// built returns when the image was made.
func built() time.Time {
	st, err := os.Stat(Program)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

// correction is what is done about a clock.
type correction int

const (
	leave correction = iota
	slew
	step
)

// correct decides by how much the clock is wrong.
func correct(offset time.Duration) correction {
	switch offset = offset.Abs(); {
	case offset < goodEnough:
		return leave
	case offset < slewBelow:
		return slew
	}
	return step
}

// mendClock sets a clock that is before the program was made, as one without a battery is, to that
// time: certificates would not be valid yet. It returns what people are to know.
func mendClock() string {
	was, made := time.Now(), built()
	if !was.Before(made) {
		return ""
	}
	if err := setClock(made); err != nil {
		return fmt.Sprintf("The clock says %s, and can't be set: %v.", was.Format(time.DateOnly), err)
	}
	return fmt.Sprintf("The clock said %s, and was set to the time when this image was made: name a time server (ntp), or set the machine's clock.", was.Format(time.DateOnly))
}

func setClock(t time.Time) error {
	tv := unix.NsecToTimeval(t.UnixNano())
	return unix.Settimeofday(&tv)
}

// keepTime has the clock follow time servers (SNTP, RFC 4330), until ctx is done. What isn't believed
// is warned of.
func keepTime(ctx context.Context, servers func() []string, warn func(...string), log *slog.Logger) {
	wait, first := time.Second, true // DHCP first
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if wait = nextAttempt; len(servers()) == 0 {
			continue
		}
		offset, server, err := askTime(servers())
		if err == nil {
			if doubt := believe(time.Now(), built(), offset, first); doubt != nil {
				warn(fmt.Sprintf("The time server %s isn't believed: %v.", server, doubt))
				log.Warn("a time server isn't believed", "from", server, "err", doubt)
				wait = nextTime
				continue
			}
			warn()
			first = false
			err = applyOffset(offset)
		}
		if err != nil {
			log.Warn("the time wasn't got", "err", err)
			continue
		}
		if correct(offset) == step {
			log.Info("the clock was set", "from", server, "took", offset)
		}
		wait = nextTime
	}
}

func askTime(servers []string) (offset time.Duration, server string, err error) {
	var all []error
	for _, s := range servers {
		r, err := ntp.QueryWithOptions(s, ntp.QueryOptions{Timeout: 3 * time.Second})
		if err == nil {
			err = r.Validate()
		}
		if err == nil {
			return r.ClockOffset, s, nil
		}
		all = append(all, fmt.Errorf("%s: %w", s, err))
	}
	return 0, "", errors.Join(all...)
}

func applyOffset(offset time.Duration) error {
	switch correct(offset) {
	case slew:
		const singleShot = 0x8001 // ADJ_OFFSET_SINGLESHOT, linux/timex.h
		_, err := unix.Adjtimex(&unix.Timex{Modes: singleShot, Offset: offset.Microseconds()})
		return err
	case step:
		return setClock(time.Now().Add(offset))
	}
	return nil
}
