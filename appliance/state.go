package appliance

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// databaseFile holds everything that an appliance must not forget; it lies in the
// state directory.
const databaseFile = "landbridge.db"

// SocketFile is the name of the API's Unix socket in the state directory.
const SocketFile = "landbridge.sock"

// state is the appliance's memory: the database and the node key in it.
type state struct {
	dir string
	db  *store.DB
	key ed25519.PrivateKey

	restores restores

	madeFile, madeDir bool        // by openState
	restored          bool        // by openState, from a copy that was confirmed; not started with yet
	kept              atomic.Bool // whatever becomes of it: see close
}

// nodeRecord is what the state says about the node itself.
type nodeRecord struct {
	Seed []byte `cbor:"1,keyasint"` // of the Ed25519 node key
}

var errState = errors.New("the state can't be used")

// openState opens the state directory, and makes it with a new node key where there
// is none. It fails with store.ErrInUse where a daemon runs on it.
func openState(dir string) (*state, error) {
	s := &state{dir: dir, madeDir: missing(dir), madeFile: missing(filepath.Join(dir, databaseFile))}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explainState(dir, err)
	}
	var err error
	if s.restored, err = adoptRestore(dir); err != nil {
		return nil, explainState(dir, err)
	}
	s.db, err = store.Open(s.file())
	switch {
	case errors.Is(err, store.ErrDamaged):
		return nil, explainState(dir, fmt.Errorf("%w: restore a backup (landbridge restore), or move the file away to start anew, and join again", err))
	case err != nil:
		return nil, explainState(dir, err)
	}
	if s.key, err = nodeKey(s.db); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	s.restores.state, s.restores.free = s, freeIn
	forgetUpload(dir)
	return s, nil
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func (s *state) file() string { return filepath.Join(s.dir, databaseFile) }

func (s *state) self() group.MemberID { return group.MemberOf(s.key.Public().(ed25519.PublicKey)) }

// owner names the state directory in the marks on network devices: without spaces.
func (s *state) owner() string { return s.self().Short() }

// keep has close leave the state, though it be new and in no group: somebody may know
// its node key by now.
func (s *state) keep() { s.kept.Store(true) }

// close lets go of the state. What was refused shall change nothing: a state that openState
// made, and that got neither a group nor keep, is removed.
func (s *state) close() error {
	ids, err := group.Groups(s.db)
	if err != nil || !s.madeFile || len(ids) > 0 || s.kept.Load() {
		return errors.Join(err, s.db.Close())
	}
	// While the lock is held: store.Open notices that the file has gone.
	err = errors.Join(os.Remove(s.file()), s.db.Close())
	if s.madeDir {
		err = errors.Join(err, os.Remove(s.dir))
	}
	return err
}

// hasNodeKey reports whether a database has a node key.
func hasNodeKey(db *store.DB) (ok bool, err error) {
	err = db.View(func(tx *store.Tx) error {
		_, ok, err = nodeBucket().Get(tx, []byte("key"))
		return err
	})
	return ok, err
}

func nodeBucket() store.Bucket[nodeRecord] { return store.NewBucket[nodeRecord]("node") }

// nodeKey reads the node key, or makes it the first time.
func nodeKey(db *store.DB) (ed25519.PrivateKey, error) {
	bucket := nodeBucket()
	var key ed25519.PrivateKey
	err := db.Update(func(tx *store.Tx) error {
		record, ok, err := bucket.Get(tx, []byte("key"))
		if err != nil {
			return err
		}
		if ok {
			if len(record.Seed) != ed25519.SeedSize {
				return fmt.Errorf("the node key has %d bytes, want %d: move the state away to start anew, and join again", len(record.Seed), ed25519.SeedSize)
			}
			key = ed25519.NewKeyFromSeed(record.Seed)
			return nil
		}
		_, key, err = ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		return bucket.Put(tx, []byte("key"), nodeRecord{Seed: key.Seed()})
	})
	if err != nil {
		return nil, fmt.Errorf("node key: %w", err)
	}
	return key, nil
}

func explainState(dir string, err error) error {
	switch {
	case errors.Is(err, store.ErrInUse):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s may not be written: run landbridge as root, or choose another directory with --state (%w)", errState, dir, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s is no directory that can be made: choose another with --state (%w)", errState, dir, err)
	}
	var system *fs.PathError
	if errors.As(err, &system) {
		return fmt.Errorf("%w: %s can't be made or written: choose another directory with --state (%w)", errState, dir, err)
	}
	return fmt.Errorf("%w: %w", errState, err)
}
