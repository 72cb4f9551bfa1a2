package store

import (
	"bytes"
	"iter"
)

// Backward yields the keys below the given one (all for nil) from the last to the first, with
// their values. keep sees each key and its value as it is encoded, and decides whether it is
// worth reading; it must neither change nor keep them. See Scan for failed. The loop may not
// change the bucket.
func (b Bucket[V]) Backward(tx *Tx, below []byte, keep func(key, raw []byte) bool, failed *error) iter.Seq2[[]byte, V] {
	return func(yield func([]byte, V) bool) {
		bucket := b.find(tx)
		if bucket == nil {
			return
		}
		c := bucket.Cursor()
		key, raw := c.Last()
		if below != nil {
			if at, _ := c.Seek(below); at != nil {
				key, raw = c.Prev()
			} else {
				key, raw = c.Last()
			}
		}
		for ; key != nil; key, raw = c.Prev() {
			if raw == nil || !keep(key, raw) { // nil: a bucket inside this one
				continue
			}
			own := bytes.Clone(key)
			value, err := b.decode(tx, own, raw)
			if err != nil {
				*failed = err
				return
			}
			if !yield(own, value) {
				return
			}
		}
	}
}
