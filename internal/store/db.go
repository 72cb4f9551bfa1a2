package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Schema is the version of the file's layout that this program writes.
const Schema = 1

// lockWait is how long Open waits for another process to let go of the file: long
// enough for one that is closing it, short for a person who waits for an answer.
const lockWait = 200 * time.Millisecond

// fileMode lets only the owner read the private keys inside.
const fileMode fs.FileMode = 0o600

var (
	// ErrInUse: another process, or another DB of this one, has the file open.
	ErrInUse = errors.New("already in use by another landbridge process: stop that one first, or choose another state directory with --state")
	// ErrSchema: a newer program wrote the file.
	ErrSchema = errors.New("written by a newer landbridge: update this program")
	// ErrDamaged: the file is no state file, or is cut off or overwritten.
	ErrDamaged = errors.New("not a landbridge state file, or damaged")
	// ErrClosed: the DB was closed.
	ErrClosed = errors.New("the state file is closed")
	// ErrReadOnly: Put, Delete or Clear inside View.
	ErrReadOnly = errors.New("write inside a read-only transaction")
)

// DB is an open state file. All methods may be called from any goroutine.
//
// Transactions must not be nested: an Update or Batch inside the function of another
// transaction on the same goroutine waits for itself.
type DB struct {
	bolt    *bbolt.DB
	path    string
	codec   codec
	queue   queue
	commits atomic.Uint64
	calls   atomic.Uint64
}

// Open opens the state file, or makes a new one with mode 0600 in a directory that
// must exist. It fails with ErrInUse, ErrSchema or ErrDamaged, and then leaves the
// file as it was.
func Open(path string) (*DB, error) {
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	bolt, err := openBolt(path)
	if err != nil {
		return nil, fmt.Errorf("state file %s: %w", path, err)
	}
	db := &DB{bolt: bolt, path: path, codec: codec}
	if err := db.checkSchema(); err != nil {
		return nil, errors.Join(fmt.Errorf("state file %s: %w", path, err), bolt.Close())
	}
	return db, nil
}

func (db *DB) checkSchema() error {
	own := NewBucket[uint64]("store")
	key := []byte("schema")
	found := false
	err := db.View(func(tx *Tx) error {
		v, ok, err := own.Get(tx, key)
		switch {
		case err != nil:
			return errors.Join(ErrDamaged, err)
		case ok && v > Schema:
			return fmt.Errorf("schema %d, this program knows %d: %w", v, Schema, ErrSchema)
		case !ok && !tx.empty():
			return ErrDamaged // a bbolt file, but of another program
		}
		found = ok
		return nil
	})
	if err != nil || found {
		return err
	}
	if err := db.Update(func(tx *Tx) error { return own.Put(tx, key, Schema) }); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(db.path))
}

// SyncDir makes the names of files in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close ends the use of the file. It waits for running transactions.
func (db *DB) Close() error { return db.bolt.Close() }

// Path returns the file's path as given to Open.
func (db *DB) Path() string { return db.path }

// Stats tells what the file has been asked since Open.
type Stats struct {
	Commits    uint64 // transactions written to disk
	BatchCalls uint64 // calls of Batch, which share some of the commits
	Size       int64  // the file's size in bytes
}

// Stats returns the counters of this moment.
func (db *DB) Stats() Stats {
	s := Stats{Commits: db.commits.Load(), BatchCalls: db.calls.Load()}
	if info, err := os.Stat(db.path); err == nil {
		s.Size = info.Size()
	}
	return s
}

// View runs fn in a read-only transaction: fn sees one state, whatever is written
// meanwhile. A long View makes the file grow; don't wait for a network inside.
func (db *DB) View(fn func(*Tx) error) error {
	tx, err := db.begin(false)
	if err != nil {
		return err
	}
	defer tx.rollback()
	return fn(tx)
}

// Update runs fn in the one writing transaction and returns after it is on disk. If
// fn fails, nothing is written and its error returned.
func (db *DB) Update(fn func(*Tx) error) error {
	tx, err := db.begin(true)
	if err != nil {
		return err
	}
	defer tx.rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.commit()
}

// Backup writes a consistent copy of the file, as of now, to w, while the DB stays
// in use. The copy holds private keys, too.
func (db *DB) Backup(w io.Writer) error {
	kept := &errorKeeper{w: w}
	err := db.View(func(tx *Tx) error {
		_, err := tx.bolt.WriteTo(kept)
		return err
	})
	if kept.err != nil {
		err = kept.err // bbolt hands on its text only
	}
	if err != nil {
		return fmt.Errorf("backup of %s: %w", db.path, err)
	}
	return nil
}

// errorKeeper remembers why a write failed.
type errorKeeper struct {
	w   io.Writer
	err error
}

func (k *errorKeeper) Write(b []byte) (int, error) {
	n, err := k.w.Write(b)
	if err != nil {
		k.err = err
	}
	return n, err
}

// plain gives bbolt's errors that a caller may meet our names.
func plain(err error) error {
	switch {
	case errors.Is(err, bbolterrors.ErrDatabaseNotOpen):
		return ErrClosed
	case errors.Is(err, bbolterrors.ErrTxNotWritable):
		return ErrReadOnly
	default:
		return err
	}
}
