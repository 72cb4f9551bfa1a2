package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

var errNotRegular = errors.New("not a regular file")

// openBolt opens the file with bbolt. A damaged file can make bbolt panic, or fault
// on its memory map where the file is shorter than it claims; both become ErrDamaged
// here, and the file, with its lock, is let go.
func openBolt(path string) (db *bbolt.DB, err error) {
	var file *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			db, err = nil, fmt.Errorf("%w (%v)", ErrDamaged, fault)
			if file != nil {
				// The leaked memory map would keep the lock beyond Close.
				err = errors.Join(err, syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
			}
		}
	}()
	db, err = bbolt.Open(path, fileMode, &bbolt.Options{
		Timeout:      lockWait,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(path string, flag int, mode fs.FileMode) (*os.File, error) {
			var err error
			file, err = openPrivate(path, flag, mode)
			return file, err
		},
	})
	var system *fs.PathError
	var errno syscall.Errno
	switch {
	case err == nil:
		if err := errors.Join(checkName(path, file), checkLength(db, file)); err != nil {
			return nil, errors.Join(err, db.Close())
		}
		return db, nil
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, ErrInUse
	case errors.As(err, &system), errors.As(err, &errno), errors.Is(err, errNotRegular):
		return nil, err
	default:
		return nil, fmt.Errorf("%w (%v)", ErrDamaged, err)
	}
}

// openPrivate opens the file, and takes it away from other users where it was
// readable to them (restored by a careless copy).
func openPrivate(path string, flag int, mode fs.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&^fileMode != 0 {
		err = file.Chmod(fileMode)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// checkLength refuses a file that was cut off: reading the missing pages later would
// end the whole process.
func checkLength(db *bbolt.DB, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var want int64
	err = db.View(func(tx *bbolt.Tx) error { want = tx.Size(); return nil })
	if err == nil && info.Size() < want {
		err = fmt.Errorf("%d bytes long, %d missing: %w", info.Size(), want-info.Size(), ErrDamaged)
	}
	return err
}

// checkName refuses a file that was removed while its lock was waited for: what is
// written to it would be lost.
func checkName(path string, file *os.File) error {
	named, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrInUse
	}
	if err != nil {
		return err
	}
	locked, err := file.Stat()
	if err == nil && !os.SameFile(named, locked) {
		err = ErrInUse
	}
	return err
}
