package appliance

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
}

// nodeRecord is what the state says about the node itself.
type nodeRecord struct {
	Seed []byte `cbor:"1,keyasint"` // of the Ed25519 node key
}

var errState = errors.New("the state can't be used")

// openState opens the state directory, and makes it with a new node key where there
// is none. It fails with store.ErrInUse where a daemon runs on it.
func openState(dir string) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explainState(dir, err)
	}
	db, err := store.Open(filepath.Join(dir, databaseFile))
	if err != nil {
		if errors.Is(err, store.ErrInUse) {
			return nil, fmt.Errorf("another landbridge runs on the state in %s: stop it first, or give this one a directory of its own with --state (%w)", dir, err)
		}
		return nil, explainState(dir, err)
	}
	key, err := nodeKey(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &state{dir: dir, db: db, key: key}, nil
}

func (s *state) self() group.MemberID { return group.MemberOf(s.key.Public().(ed25519.PublicKey)) }

// owner names the state directory in the marks on network devices: without spaces.
func (s *state) owner() string { return s.self().Short() }

func (s *state) close() error { return s.db.Close() }

// nodeKey reads the node key, or makes it the first time.
func nodeKey(db *store.DB) (ed25519.PrivateKey, error) {
	bucket := store.NewBucket[nodeRecord]("node")
	var key ed25519.PrivateKey
	err := db.Update(func(tx *store.Tx) error {
		record, ok, err := bucket.Get(tx, []byte("key"))
		if err != nil {
			return err
		}
		if ok {
			if len(record.Seed) != ed25519.SeedSize {
				return fmt.Errorf("the node key has %d bytes, want %d: restore the state from a backup", len(record.Seed), ed25519.SeedSize)
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
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s may not be written: run landbridge as root, or choose another directory with --state (%w)", errState, dir, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s is no directory that can be made: choose another with --state (%w)", errState, dir, err)
	}
	return fmt.Errorf("%w: %s: %w", errState, dir, err)
}
