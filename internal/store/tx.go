package store

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"
)

// Tx is a transaction. It, and nothing taken from it, may be used after the function
// that it was given to has returned, nor by two goroutines at once.
type Tx struct {
	db   *DB
	bolt *bbolt.Tx
	// writes counts the changes made, so that a transaction without any is not
	// committed and a call of a batch that failed without any spoils nothing.
	writes uint64
}

// Writes counts the changes made in the transaction so far, by all who share it.
func (tx *Tx) Writes() uint64 { return tx.writes }

func (db *DB) begin(writable bool) (*Tx, error) {
	btx, err := db.bolt.Begin(writable)
	if err != nil {
		return nil, plain(err)
	}
	return &Tx{db: db, bolt: btx}, nil
}

// commit makes the writes durable. Without any there is nothing to wait for: what
// the transaction read was on disk already.
func (tx *Tx) commit() error {
	if tx.writes == 0 {
		return nil
	}
	if err := tx.bolt.Commit(); err != nil {
		return fmt.Errorf("write to %s: %w", tx.db.path, plain(err))
	}
	tx.db.commits.Add(1)
	return nil
}

// rollback ends the transaction; after a commit it does nothing.
func (tx *Tx) rollback() { _ = tx.bolt.Rollback() }

// empty reports whether the file holds no bucket at all.
func (tx *Tx) empty() bool {
	k, _ := tx.bolt.Cursor().First()
	return k == nil
}

// codec is the CBOR of values: deterministic, times in full precision.
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func newCodec() (codec, error) {
	opts := cbor.CoreDetEncOptions()
	opts.Time = cbor.TimeRFC3339NanoUTC
	enc, err := opts.EncMode()
	if err != nil {
		return codec{}, err
	}
	dec, err := cbor.DecOptions{
		DupMapKey:       cbor.DupMapKeyEnforcedAPF,
		IndefLength:     cbor.IndefLengthForbidden,
		MaxNestedLevels: 16,
	}.DecMode()
	if err != nil {
		return codec{}, err
	}
	return codec{enc: enc, dec: dec}, nil
}
