package pid1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"landbridge/image/userdata"
)

// Pauses before what was asked for is tried again.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// first is what is done once, at an appliance's first start.
type first struct {
	told    userdata.Data
	program appliance
	say     func(string)                         // for people; empty: nothing is amiss
	pause   func(context.Context, time.Duration) // waits
}

// once does it unless a file notes that it is done, and notes that it is. Where nothing is asked for, nothing
// is noted: what is told at a later start counts.
func (f first) once(ctx context.Context, note string) error {
	if _, err := os.Stat(note); err == nil || f.told.Administrator == "" && f.told.Create.Name == "" && f.told.Invitation == "" {
		return nil
	}
	if !f.do(ctx) {
		return nil
	}
	return writeSafely(note, nil)
}

// do has the program set up the administrator, then create or join the group: each until it
// succeeds or ctx is done. It reports whether all is done.
func (f first) do(ctx context.Context) bool {
	steps := []struct {
		wanted bool
		what   string
		do     func(context.Context) error
	}{
		{f.told.Administrator != "", "The administrator of user-data isn't set up", f.administrator},
		{f.told.Create.Name != "", "The group of user-data isn't created", f.create},
		{f.told.Invitation != "", "The invitation of user-data hasn't led into its group yet", f.join},
	}
	for _, s := range steps {
		if s.wanted && !f.until(ctx, s.what, s.do) {
			return false
		}
	}
	return true
}

func (f first) until(ctx context.Context, what string, do func(context.Context) error) bool {
	for wait := firstRetry; ctx.Err() == nil; wait = min(2*wait, lastRetry) {
		err := do(ctx)
		if err == nil {
			f.say("")
			return true
		}
		if !errors.Is(err, errProgramAway) {
			f.say(fmt.Sprintf("%s, and is tried again: %v.", what, err))
		}
		f.pause(ctx, wait)
	}
	return false
}

// errProgramAway is returned while the program starts.
var errProgramAway = errors.New("the program isn't there yet")

func (f first) administrator(ctx context.Context) error {
	c, err := f.program.Console(ctx)
	if err != nil {
		return errors.Join(errProgramAway, err)
	}
	if c.SetUp {
		return nil
	}
	return f.program.SetUp(ctx, f.told.Administrator, f.told.PasswordHash)
}

func (f first) create(ctx context.Context) error {
	return f.unlessMember(ctx, func() error { return f.program.Create(ctx, f.told.Create) })
}

func (f first) join(ctx context.Context) error {
	return f.unlessMember(ctx, func() error { return f.program.Join(ctx, f.told.Invitation) })
}

// unlessMember does what leads into a group where the appliance is in none: it may have been
// killed between doing that and noting it.
func (f first) unlessMember(ctx context.Context, do func() error) error {
	n, err := f.program.Groups(ctx)
	if err != nil {
		return errors.Join(errProgramAway, err)
	}
	if n > 0 {
		return nil
	}
	return do()
}
