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
	st, err := os.Stat(Program)
	if err != nil || !time.Now().Before(st.ModTime()) {
		return ""
	}
	was := time.Now()
	if err := setClock(st.ModTime()); err != nil {
		return fmt.Sprintf("The clock says %s, and can't be set: %v.", was.Format(time.DateOnly), err)
	}
	return fmt.Sprintf("The clock said %s, and was set to the time when this image was made: name a time server (ntp), or set the machine's clock.", was.Format(time.DateOnly))
}

func setClock(t time.Time) error {
	tv := unix.NsecToTimeval(t.UnixNano())
	return unix.Settimeofday(&tv)
}

// keepTime has the clock follow time servers (SNTP, RFC 4330), until ctx is done.
func keepTime(ctx context.Context, servers func() []string, log *slog.Logger) {
	wait := time.Second // DHCP first
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
