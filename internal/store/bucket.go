package store

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/bbolt"
)

// Bucket names a bucket whose values are of type V, encoded as CBOR (netip and other
// types with MarshalBinary as byte strings, times with nanoseconds in UTC). It is
// made in the file by the first Put. Keys are ordered by their bytes; an empty key
// is an error.
//
// Renaming or retyping a field of V changes the file's format: add fields instead
// (unknown ones are ignored, missing ones are zero), or raise Schema.
type Bucket[V any] struct {
	path [][]byte
}

// NewBucket names the bucket at path: the package's name first, then as many names
// as it likes, each a bucket inside the one before. A bucket may hold values and
// buckets, under different keys. It panics on an empty path or name.
func NewBucket[V any](path ...string) Bucket[V] {
	if len(path) == 0 || slices.Contains(path, "") {
		panic(fmt.Sprintf("store: bucket path %q has an empty name", path))
	}
	b := Bucket[V]{path: make([][]byte, len(path))}
	for i, name := range path {
		b.path[i] = []byte(name)
	}
	return b
}

// String returns the path, for messages.
func (b Bucket[V]) String() string { return string(bytes.Join(b.path, []byte("/"))) }

// find returns nil where the bucket isn't there yet.
func (b Bucket[V]) find(tx *Tx) *bbolt.Bucket {
	bucket := tx.bolt.Bucket(b.path[0])
	for _, name := range b.path[1:] {
		if bucket == nil {
			return nil
		}
		bucket = bucket.Bucket(name)
	}
	return bucket
}

func (b Bucket[V]) create(tx *Tx) (*bbolt.Bucket, error) {
	bucket, err := tx.bolt.CreateBucketIfNotExists(b.path[0])
	for _, name := range b.path[1:] {
		if err != nil {
			break
		}
		bucket, err = bucket.CreateBucketIfNotExists(name)
	}
	return bucket, err
}

// Get returns the value of key and whether there is one. The value shares no memory
// with the file.
func (b Bucket[V]) Get(tx *Tx, key []byte) (value V, ok bool, err error) {
	bucket := b.find(tx)
	if bucket == nil {
		return value, false, nil
	}
	raw := bucket.Get(key)
	if raw == nil {
		return value, false, nil
	}
	value, err = b.decode(tx, key, raw)
	return value, err == nil, err
}

func (b Bucket[V]) decode(tx *Tx, key, raw []byte) (value V, err error) {
	if err := tx.db.codec.dec.Unmarshal(raw, &value); err != nil {
		var none V
		return none, fmt.Errorf("state %v, key %x: %w", b, key, err)
	}
	return value, nil
}

// Put sets the value of key.
func (b Bucket[V]) Put(tx *Tx, key []byte, value V) error {
	raw, err := tx.db.codec.enc.Marshal(value)
	if err != nil {
		return b.failed("put", key, err)
	}
	tx.writes++ // before trying: a failure may have made the bucket
	bucket, err := b.create(tx)
	if err != nil {
		return b.failed("put", key, err)
	}
	if err := bucket.Put(key, raw); err != nil {
		return b.failed("put", key, err)
	}
	return nil
}

// Delete removes key; a key that isn't there is no error.
func (b Bucket[V]) Delete(tx *Tx, key []byte) error {
	if !tx.bolt.Writable() {
		return b.failed("delete", key, ErrReadOnly)
	}
	bucket := b.find(tx)
	if bucket == nil || bucket.Get(key) == nil {
		return nil
	}
	tx.writes++
	if err := bucket.Delete(key); err != nil {
		return b.failed("delete", key, err)
	}
	return nil
}

// Clear removes the bucket with all that is in it, buckets inside included.
func (b Bucket[V]) Clear(tx *Tx) error {
	if !tx.bolt.Writable() {
		return b.failed("clear", nil, ErrReadOnly)
	}
	if b.find(tx) == nil {
		return nil
	}
	tx.writes++
	name := b.path[len(b.path)-1]
	if len(b.path) == 1 {
		return tx.bolt.DeleteBucket(name)
	}
	return Bucket[V]{path: b.path[:len(b.path)-1]}.find(tx).DeleteBucket(name)
}

// Scan yields keys that begin with prefix (all for nil) in order, with their values.
// Where a value can't be read it stores the error in *failed and stops, so ask
// afterwards:
//
//	var failed error
//	for key, lease := range leases.Scan(tx, nil, &failed) { … }
//	if failed != nil { … }
//
// The key is the caller's own copy. The loop may put and delete, also in this
// bucket: a key put behind the present one is met, one deleted is not.
func (b Bucket[V]) Scan(tx *Tx, prefix []byte, failed *error) iter.Seq2[[]byte, V] {
	return func(yield func([]byte, V) bool) {
		bucket := b.find(tx)
		if bucket == nil {
			return
		}
		c := bucket.Cursor()
		key, raw := c.Seek(prefix)
		for key != nil && bytes.HasPrefix(key, prefix) {
			if raw != nil { // nil: a bucket inside this one
				own := bytes.Clone(key)
				value, err := b.decode(tx, own, raw)
				if err != nil {
					*failed = err
					return
				}
				before := tx.writes
				if !yield(own, value) {
					return
				}
				if tx.writes != before { // the cursor may point nowhere now
					if key, raw = c.Seek(own); !bytes.Equal(key, own) {
						continue
					}
				}
			}
			key, raw = c.Next()
		}
	}
}

// Len counts the keys, by walking over them.
func (b Bucket[V]) Len(tx *Tx) int {
	bucket := b.find(tx)
	if bucket == nil {
		return 0
	}
	n := 0
	c := bucket.Cursor()
	for key, raw := c.First(); key != nil; key, raw = c.Next() {
		if raw != nil {
			n++
		}
	}
	return n
}

func (b Bucket[V]) failed(verb string, key []byte, err error) error {
	return fmt.Errorf("state %v: %s %x: %w", b, verb, key, plain(err))
}
