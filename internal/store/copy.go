package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"go.etcd.io/bbolt"
)

// copyTx bounds a transaction of a copy, in bytes.
const copyTx = 1 << 20

// Import makes a state file at path of the one at from, which somebody has handed in: all of that is
// checked before it is trusted, and what is at path afterwards this program has written itself. It
// fails with ErrSchema or ErrDamaged; then nothing is at path.
func Import(from, path string) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("copy %s: %w", filepath.Base(from), err), removeIfThere(path))
		}
	}()
	if err := removeIfThere(path); err != nil {
		return err
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := checkIntact(f, info.Size()); err != nil {
		return err
	}
	if err := rewrite(from, path); err != nil {
		return err
	}
	db, err := Open(path) // the schema
	if err != nil {
		return err
	}
	return errors.Join(db.Close(), SyncDir(filepath.Dir(path)))
}

// rewrite copies every bucket into a new file.
func rewrite(from, path string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w (%v)", ErrDamaged, fault)
		}
	}()
	src, err := bbolt.Open(from, fileMode, &bbolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("%w (%v)", ErrDamaged, err)
	}
	dst, err := bbolt.Open(path, fileMode, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return errors.Join(err, src.Close())
	}
	err = bbolt.Compact(dst, src, copyTx)
	if system := new(os.PathError); err != nil && !errors.As(err, &system) && !errors.As(err, new(syscall.Errno)) {
		err = fmt.Errorf("%w (%v)", ErrDamaged, err) // bbolt takes what it finds for impossible
	}
	return errors.Join(err, dst.Close(), src.Close())
}

// Replace puts the state file at from into the place of the one at path, and keeps that as former, if
// there is one: by a hard link, or a copy where the file system has none. A crash at any moment leaves one of
// them whole at path, and from where it was unless it is there.
func Replace(path, from, former string) error { return replace(path, from, former, os.Link) }

func replace(path, from, former string, link func(path, further string) error) error {
	if err := removeIfThere(former); err != nil {
		return err
	}
	err := link(path, former)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		err = duplicate(path, former)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(from, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// duplicate copies a file, whose copy is on the disk when it returns; after an error there is none.
func duplicate(path, further string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(further, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return errors.Join(err, os.Remove(further))
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
