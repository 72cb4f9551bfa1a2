package appliance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/console"
	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/internal/store"
)

// A copy of the state is restored in three steps: it is handed in (uploadFile), checked whole and written anew
// (importedFile, and when it is whole checkedFile); a person looks at what it would change and says yes, which is one rename
// (confirmedFile); and the next start puts it into the place of the database, which is another. So a
// kill at any moment leaves the old state or the new one, and nobody's yes is forgotten.
const (
	uploadFile    = "restore.upload"
	importedFile  = "restore.imported.db"
	checkedFile   = "restore.checked.db"
	confirmedFile = "restore.confirmed.db"
	formerFile    = "landbridge.before-restore.db" // what was there before the last restore
	unfitFile     = "landbridge.unfit-restore.db"  // the last copy with which no start was possible here

	maxRestore = 256 << 20 // bytes of a copy
)

var (
	errNoRestore   = errors.New("no copy of a state waits to be restored: upload one first")
	errOtherCopy   = errors.New("another copy of a state was uploaded meanwhile: look at what that one would change")
	errRestoreBusy = errors.New("a copy of a state is being checked just now: wait a moment")
)

// restores is the copy of a state that waits to be restored in a state directory, if there is one.
type restores struct {
	state *state
	busy  sync.Mutex
	free  func(dir string) (uint64, error) // bytes, of a file system
}

func (r *restores) path(name string) string { return filepath.Join(r.state.dir, name) }

// check takes in a copy, checks it whole, and says what it would change.
func (r *restores) check(body io.Reader) (api.Restore, error) {
	if !r.busy.TryLock() {
		return api.Restore{}, console.Conflict(errRestoreBusy)
	}
	defer r.busy.Unlock()
	if err := os.Remove(r.path(checkedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return api.Restore{}, err
	}
	most, err := r.room()
	if err != nil {
		return api.Restore{}, err
	}
	defer forgetUpload(r.state.dir)
	if err := takeIn(r.path(uploadFile), body, most); err != nil {
		return api.Restore{}, err
	}
	err = store.Import(r.path(uploadFile), r.path(importedFile))
	switch {
	case errors.Is(err, store.ErrSchema):
		return api.Restore{}, console.Invalid(errors.New("the copy was written by a newer landbridge: update this program first"))
	case errors.Is(err, store.ErrDamaged):
		return api.Restore{}, console.Invalid(errors.New("this is no whole copy of a landbridge state, as landbridge backup makes them: nothing is changed"))
	case err != nil:
		return api.Restore{}, err
	}
	if err := os.Rename(r.path(importedFile), r.path(checkedFile)); err != nil {
		return api.Restore{}, err
	}
	described, err := r.describe()
	if err != nil {
		return api.Restore{}, errors.Join(console.Invalid(fmt.Errorf("the copy can't be used: %w; nothing is changed", err)), os.Remove(r.path(checkedFile)))
	}
	return described, nil
}

// room returns how many bytes a copy may have: it lies there twice as it is checked, and a third of what is
// free is left to the appliance, which can't lease without.
func (r *restores) room() (int64, error) {
	free, err := r.free(r.state.dir)
	if err != nil {
		return 0, fmt.Errorf("find out how much room there is for the copy: %w", err)
	}
	return int64(min(free/3, maxRestore)), nil
}

// freeIn returns how much is free in the file system of a directory, in bytes.
func freeIn(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// forgetUpload removes what is left of a copy that was handed in and isn't checked yet, as after a kill.
// Where it can't be removed it takes room, and nothing else.
func forgetUpload(dir string) {
	for _, name := range []string{uploadFile, importedFile} {
		_ = os.Remove(filepath.Join(dir, name))
	}
}

// takeIn writes what is handed in to a file, at most so many bytes.
func takeIn(path string, body io.Reader, most int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make room for the copy: %w", err)
	}
	n, err := io.Copy(f, io.LimitReader(body, most+1))
	var system *fs.PathError
	switch {
	case n > most && most == maxRestore:
		err = console.Invalid(fmt.Errorf("the copy is larger than %d MiB", maxRestore>>20))
	case n > most:
		err = console.Conflict(fmt.Errorf("the copy is larger than a third of what is free for the state (%.1f MiB): make room, or restore it on a machine with a larger disk", 3*float64(most)/(1<<20)))
	case err != nil && !errors.As(err, &system):
		err = console.Invalid(fmt.Errorf("the copy broke off after %d bytes (%w): hand it in again", n, err))
	}
	return errors.Join(err, f.Close())
}

// waiting says what the copy that waits would change.
func (r *restores) waiting() (api.Restore, error) {
	if !r.busy.TryLock() {
		return api.Restore{}, console.Conflict(errRestoreBusy)
	}
	defer r.busy.Unlock()
	return r.describe()
}

// forget removes the copy that waits.
func (r *restores) forget() error {
	if !r.busy.TryLock() {
		return console.Conflict(errRestoreBusy)
	}
	defer r.busy.Unlock()
	err := os.Remove(r.path(checkedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return console.NotFound(errNoRestore)
	}
	return err
}

// confirm has the next start restore the copy that has this ID, and keeps in its audit log who has
// said so.
func (r *restores) confirm(ctx context.Context, id string) error {
	if !r.busy.TryLock() {
		return console.Conflict(errRestoreBusy)
	}
	defer r.busy.Unlock()
	now, err := r.describe()
	if err != nil {
		return err
	}
	if now.ID != id {
		return console.Conflict(errOtherCopy)
	}
	copied, err := r.open()
	if err != nil {
		return err
	}
	users, err := access.Open(copied.db, access.Options{})
	if err == nil {
		err = copied.forgetAdmissions()
		users.Record(ctx, api.Operation{ID: "applyRestore"}, id, nil)
	}
	if err := errors.Join(err, copied.db.Close()); err != nil {
		return fmt.Errorf("make the copy ready: %w", err)
	}
	r.state.keep()
	if err := os.Rename(r.path(checkedFile), r.path(confirmedFile)); err != nil {
		return fmt.Errorf("confirm the copy: %w", err)
	}
	return store.SyncDir(r.state.dir)
}

// forgetAdmissions has nobody be let in by what an older copy of a state says: neither into the console by its
// sessions, nor into a group by its invitations, of which some may have been used or revoked since.
func (s *state) forgetAdmissions() error {
	memberships, err := s.memberships()
	if err != nil {
		return err
	}
	for _, m := range memberships {
		a, err := authorityOf(s.db, m.Group())
		if err == nil && a != nil {
			err = a.RevokeAll(time.Now())
		}
		if err != nil {
			return err
		}
	}
	return access.ForgetSessions(s.db)
}

// open opens the copy that waits.
func (r *restores) open() (*state, error) {
	path := r.path(checkedFile)
	if missing(path) {
		return nil, console.NotFound(errNoRestore)
	}
	db, err := store.Open(path)
	if err != nil {
		return nil, err
	}
	if known, err := hasNodeKey(db); err != nil || !known {
		return nil, errors.Join(errors.New("it has no node key, so it is the state of no appliance"), err, db.Close())
	}
	s := &state{dir: r.state.dir, db: db}
	if s.key, err = nodeKey(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// describe holds the copy that waits against the state.
func (r *restores) describe() (api.Restore, error) {
	copied, err := r.open()
	if err != nil {
		return api.Restore{}, err
	}
	then, err := summarize(copied)
	if err := errors.Join(err, copied.db.Close()); err != nil {
		return api.Restore{}, err
	}
	now, err := summarize(r.state)
	if err != nil {
		return api.Restore{}, err
	}
	described := compare(now, then)
	info, err := os.Stat(r.path(checkedFile))
	if err != nil {
		return api.Restore{}, err
	}
	described.Bytes, described.Checked = info.Size(), info.ModTime().UTC()
	described.ID, err = fingerprintOf(r.path(checkedFile))
	return described, err
}

// fingerprintOf names the contents of a file.
func fingerprintOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// adoptRestore puts a copy that was confirmed into the place of the database, before that is opened.
// It holds the database's lock, so that it is nobody's meanwhile. It says whether it did.
func adoptRestore(dir string) (done bool, err error) {
	confirmed, path := filepath.Join(dir, confirmedFile), filepath.Join(dir, databaseFile)
	if missing(confirmed) {
		return false, nil
	}
	if !missing(path) {
		db, err := store.Open(path)
		if err == nil {
			defer db.Close()
		} else if !errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrSchema) { // which a restore mends
			return false, err
		}
	}
	if err := store.Replace(path, confirmed, filepath.Join(dir, formerFile)); err != nil {
		return false, fmt.Errorf("restore the copy of the state: %w", err)
	}
	return true, nil
}

// undoRestore puts back what was before, where the copy that openState has just restored can't be
// started with here, as its mode's LAN port or a group's prefix may be another host's: where nobody has
// a shell that would be the end. The state is still open, so it is nobody's meanwhile.
func undoRestore(s *state, why error) error {
	former := filepath.Join(s.dir, formerFile)
	if why == nil || !s.restored || missing(former) {
		return why
	}
	if err := store.Replace(s.file(), former, filepath.Join(s.dir, unfitFile)); err != nil {
		return errors.Join(why, fmt.Errorf("put back what was before the restore: %w", err))
	}
	return fmt.Errorf("this host can't start with the copy that was restored (%w): the state from before it is back for the next start, and the copy is kept as %s", why, unfitFile)
}

// backupRecord is kept in the state as a copy of it is made, so that the copy says when that was.
type backupRecord struct {
	At      time.Time `cbor:"1,keyasint"`
	Version string    `cbor:"2,keyasint"`
}

func backupBucket() store.Bucket[backupRecord] { return store.NewBucket[backupRecord]("backup") }

// noteBackup keeps that a copy is made now.
func noteBackup(db *store.DB, version string, now time.Time) error {
	return db.Update(func(tx *store.Tx) error {
		return backupBucket().Put(tx, []byte("made"), backupRecord{At: now.UTC(), Version: version})
	})
}
