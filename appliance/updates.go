package appliance

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/image/bundle"
	"landbridge/image/updating"
	"landbridge/internal/health"
	"landbridge/internal/store"
)

// An update of the image is made in two steps: it is handed in and checked whole (waitingUpdate); a
// person looks at what it is and says yes. The rest is the first process's (package pid1), which
// believes no more of it than this did.
const (
	comingUpdate  = "update.upload"
	waitingUpdate = "update.bundle"
)

// roomKept is what an update leaves free of the state partition, in bytes: the appliance can't lease without.
const roomKept = 8 << 20

var (
	errNoImage     = errors.New("this appliance isn't the image but a program on a host: the host's package manager updates Landbridge (landbridge restart then runs the new version)")
	errNoUpdate    = errors.New("no update waits: hand one in first")
	errOtherUpdate = errors.New("another update was handed in meanwhile: look at what that one is")
	errUpdateBusy  = errors.New("an update is being checked just now: wait a moment")
	errOrdered     = errors.New("an update was ordered a moment ago: wait until it is made")
	errNoRoom      = errors.New("the state partition has no room for the update: nothing is changed; give the machine a larger disk, and restart it")
	errNotNewer    = errors.New("it isn't newer than what runs: say that an older one will do, if that is what is wanted")
)

// updates is how the image is updated.
type updates struct {
	desk    updating.Desk
	keys    string // the file of the keys by which updates are taken
	dir     string // of the state, where one waits
	running bundle.Running
	free    func(dir string) (uint64, error) // bytes, of a file system
	busy    sync.Mutex
}

func (u *updates) path(name string) string { return filepath.Join(u.dir, name) }

// status says how it stands.
func (u *updates) status() (api.Update, error) {
	s := api.Update{Version: u.running.Version, Stage: api.UpdateStageIdle}
	r, err := u.report()
	if errors.Is(err, errNoImage) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s = api.Update{
		Image: true, Version: r.Version, Slot: r.Slot, OtherVersion: r.Other, Stage: api.UpdateStage(r.Stage), Target: r.Target,
		DoneBytes: r.Done, TotalBytes: r.Total, Until: r.Until,
	}
	if keys, err := u.readKeys(); err == nil {
		for _, k := range keys {
			s.DevelopmentKey = s.DevelopmentKey || k.Development
		}
	}
	if r.Last != nil {
		s.Last = api.UpdateOutcome{Result: api.UpdateResult(r.Last.Result), Version: r.Last.Version, Text: tellOutcome(*r.Last, r.Version), At: r.Last.At}
	}
	if offer, err := u.waiting(); err == nil && r.Stage == updating.Idle {
		s.Waiting = offer
	}
	return s, nil
}

// tellOutcome says how an update ended, where another version runs or the same.
func tellOutcome(o updating.Outcome, running string) string {
	switch o.Result {
	case updating.Kept:
		return fmt.Sprintf("Version %s was found well, and is kept.", o.Version)
	case updating.TakenBack:
		return fmt.Sprintf("The update to %s was taken back: %s. Version %s runs, as before.", o.Version, o.Why, running)
	case updating.Left:
		return fmt.Sprintf("Version %s was left: %s. Version %s runs in its place.", o.Version, o.Why, running)
	}
	return fmt.Sprintf("The update to %s wasn't made: %s.", o.Version, o.Why)
}

// report reads what the first process tells.
func (u *updates) report() (updating.Report, error) {
	if !u.desk.There() {
		return updating.Report{}, console.Conflict(errNoImage)
	}
	return u.desk.Report()
}

// idle returns the report where nothing is being done, or about to be.
func (u *updates) idle() (updating.Report, error) {
	r, err := u.report()
	switch {
	case err != nil:
		return r, err
	case r.Stage != updating.Idle:
		return r, console.Conflict(fmt.Errorf("version %s is being written, started or tried just now: wait until that has ended", r.Target))
	case u.desk.Ordered():
		return r, console.Conflict(errOrdered)
	}
	return r, nil
}

func (u *updates) readKeys() ([]bundle.Key, error) {
	text, err := os.ReadFile(u.keys)
	if err != nil {
		return nil, err
	}
	return bundle.ParseKeys(text)
}

// check takes in an update and checks it whole.
func (u *updates) check(body io.Reader) (api.UpdateOffer, error) {
	if !u.busy.TryLock() {
		return api.UpdateOffer{}, console.Conflict(errUpdateBusy)
	}
	defer u.busy.Unlock()
	if _, err := u.idle(); err != nil {
		return api.UpdateOffer{}, err
	}
	keys, err := u.readKeys()
	if err != nil {
		return api.UpdateOffer{}, fmt.Errorf("the keys by which updates are taken: %w", err)
	}
	upload := u.path(comingUpdate)
	defer os.Remove(upload)
	if err := u.takeIn(upload, body, keys); err != nil {
		return api.UpdateOffer{}, err
	}
	if err := os.Rename(upload, u.path(waitingUpdate)); err != nil {
		return api.UpdateOffer{}, fmt.Errorf("keep the update: %w", err)
	}
	return u.waiting()
}

// takeIn writes an update to a file as it is checked. An update that waited gives way to one that is
// signed: the state partition may not have room for both.
func (u *updates) takeIn(file string, body io.Reader, keys []bundle.Key) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("make room for the update: %w", err)
	}
	b, err := bundle.Open(io.TeeReader(body, f), keys)
	if err == nil {
		err = b.Manifest().Fits(u.running)
	}
	if err == nil {
		_ = os.Remove(u.path(waitingUpdate))
		err = u.makeRoom(b.Manifest().Size())
	}
	if err == nil {
		err = b.Copy(func(bundle.File) io.Writer { return nil })
	}
	var system *fs.PathError
	switch {
	case err == nil:
	case errors.Is(err, syscall.ENOSPC):
		err = console.Conflict(errNoRoom)
	case !errors.As(err, &system):
		err = console.Invalid(fmt.Errorf("%w; nothing is changed", err))
	}
	return errors.Join(err, f.Close())
}

// makeRoom fails where so many bytes leave too little for leases.
func (u *updates) makeRoom(bytes int64) error {
	free, err := u.free(u.dir)
	if err == nil && free < uint64(bytes)+roomKept {
		err = &fs.PathError{Op: "write", Path: u.dir, Err: syscall.ENOSPC}
	}
	return err
}

// waiting says what the update that waits is.
func (u *updates) waiting() (api.UpdateOffer, error) {
	f, err := os.Open(u.path(waitingUpdate))
	if errors.Is(err, fs.ErrNotExist) {
		return api.UpdateOffer{}, console.NotFound(errNoUpdate)
	}
	if err != nil {
		return api.UpdateOffer{}, err
	}
	defer f.Close()
	keys, err := u.readKeys()
	if err != nil {
		return api.UpdateOffer{}, err
	}
	b, err := bundle.Open(f, keys)
	if err != nil {
		return api.UpdateOffer{}, console.Invalid(err)
	}
	m, r := b.Manifest(), u.now()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %x", m.Version, m.Built.Unix(), m.Slot().SHA256))
	o := api.UpdateOffer{
		ID: hex.EncodeToString(sum[:8]), Version: m.Version, Built: m.Built, Bytes: m.Slot().Size, Changes: m.Changes, Newer: m.Newer(r), DevelopmentKey: b.Key().Development,
	}
	o.Effects = append(o.Effects,
		"It is written to the slot that doesn't run, read back and compared, while everything goes on.",
		"Then the machine restarts with it. Until it has started, half a minute as a rule, nothing goes between the sites and this one; hosts keep their addresses.",
		fmt.Sprintf("It is on trial at first: unless its console answers within five minutes, and other sites are reached if they are now, version %s comes back by itself.", r.Version),
	)
	if !o.Newer {
		o.Effects = append(o.Effects, fmt.Sprintf("It isn't newer than version %s, which runs.", r.Version))
	}
	return o, nil
}

// now returns what runs: its time is that of the image, which the first process knows.
func (u *updates) now() bundle.Running {
	now := u.running
	if r, err := u.desk.Report(); err == nil {
		now.Version, now.Built = r.Version, r.Built
	}
	return now
}

// apply has the update that has this ID be made.
func (u *updates) apply(order api.UpdateOrder, reached bool) error {
	if !u.busy.TryLock() {
		return console.Conflict(errUpdateBusy)
	}
	defer u.busy.Unlock()
	if _, err := u.idle(); err != nil {
		return err
	}
	offer, err := u.waiting()
	switch {
	case err != nil:
		return err
	case offer.ID != order.ID:
		return console.Conflict(errOtherUpdate)
	case !offer.Newer && !order.Older:
		return console.Conflict(errNotNewer)
	}
	return u.desk.Place(updating.Order{Do: updating.Install, Bundle: u.path(waitingUpdate), Older: order.Older, Reached: reached})
}

// rollback has the other version be started.
func (u *updates) rollback(reached bool) error {
	r, err := u.idle()
	if err == nil && r.Other == "" {
		err = console.Conflict(errors.New("there is no other version on this appliance: its other slot is empty"))
	}
	if err != nil {
		return err
	}
	return u.desk.Place(updating.Order{Do: updating.Rollback, Reached: reached})
}

// forget removes the update that waits, and what is known of the last.
func (u *updates) forget() error {
	if !u.busy.TryLock() {
		return console.Conflict(errUpdateBusy)
	}
	defer u.busy.Unlock()
	r, err := u.idle()
	if err != nil {
		return err
	}
	err = os.Remove(u.path(waitingUpdate))
	if r.Last != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return errors.Join(err, u.desk.Place(updating.Order{Do: updating.Dismiss}))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return console.NotFound(errNoUpdate)
	}
	return err
}

// tell has health say that the last update isn't what runs.
func (u *updates) tell(book *health.Book) {
	r, err := u.desk.Report()
	if err != nil || r.Last == nil || r.Last.Result == updating.Kept {
		book.Clear("update", "outcome")
		return
	}
	book.Report(health.Trouble{Level: health.Warning, Component: "update", Key: "outcome", Finding: health.Finding{
		Text:   tellOutcome(*r.Last, r.Version),
		Remedy: "See why in the log, and make the update again or another one; or forget it on the page of updates.",
	}}, time.Now())
}

// tellMachine has health say what the first process finds isn't well with the machine.
func (u *updates) tellMachine(book *health.Book) {
	warnings, err := u.desk.Warnings()
	if err != nil {
		return // it is being told anew at each change
	}
	for _, i := range book.Items() {
		if _, still := warnings[i.Key]; i.Component == updating.Component && !still {
			book.Clear(i.Component, i.Key)
		}
	}
	now := time.Now()
	for matter, lines := range warnings {
		book.Report(health.Trouble{Level: health.Warning, Component: updating.Component, Key: matter, Finding: health.Finding{
			Text:   strings.Join(lines, "\n"),
			Remedy: "Where that doesn't say what to do: the menu of the machine's screen has its log, its network, and the restart after which its user-data is read again.",
		}}, now)
	}
}

// newUpdates returns how this machine is updated, where it is the image. What a kill has left of an
// update that was being handed in it removes.
func newUpdates(dir, version string) *updates {
	u := &updates{
		desk: updating.Desk{Dir: updating.Dir}, keys: updating.KeysFile, dir: dir,
		running: bundle.Running{Version: version, Arch: runtime.GOARCH, Schema: store.Schema}, free: freeIn,
	}
	_ = os.Remove(u.path(comingUpdate)) // where it can't be, it takes room, and nothing else
	return u
}
