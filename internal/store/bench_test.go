package store

import (
	"fmt"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"
)

// BenchmarkBatch shows what sharing commits gives, and that a lone caller pays no
// more than with Update: compare callers=1 with BenchmarkUpdate.
func BenchmarkBatch(b *testing.B) {
	for _, callers := range []int{1, 4, 16, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			benchmarkWrites(b, callers, func(db *DB, fn func(*Tx) error) error { return db.Batch(fn) })
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			benchmarkWrites(b, callers, func(db *DB, fn func(*Tx) error) error { return db.Update(fn) })
		})
	}
}

// BenchmarkBoltBatch is bbolt's own Batch, with its delay of up to 10 ms.
func BenchmarkBoltBatch(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			benchmarkWrites(b, callers, func(db *DB, fn func(*Tx) error) error {
				return db.bolt.Batch(func(btx *bbolt.Tx) error {
					return fn(&Tx{db: db, bolt: btx})
				})
			})
		})
	}
}

// benchmarkWrites spreads b.N small durable writes over so many callers in a closed
// loop.
func benchmarkWrites(b *testing.B, callers int, write func(*DB, func(*Tx) error) error) {
	db := openTest(b)
	leases := NewBucket[lease]("bench")
	var next atomic.Int64
	b.ResetTimer()
	done := make(chan error, callers)
	for range callers {
		go func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					done <- nil
					return
				}
				key := fmt.Appendf(nil, "%08d", n%4096)
				if err := write(db, func(tx *Tx) error { return leases.Put(tx, key, lease{Name: "host"}) }); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	if commits := db.Stats().Commits; commits > 1 { // bbolt's own aren't counted
		b.ReportMetric(float64(commits)/float64(b.N), "commits/op")
	}
}

func BenchmarkGet(b *testing.B) {
	db := openTest(b)
	leases := NewBucket[lease]("registry", "leases")
	update(b, db, func(tx *Tx) error { return leases.Put(tx, []byte("k"), lease{Name: "host"}) })
	b.ReportAllocs()
	for b.Loop() {
		view(b, db, func(tx *Tx) error {
			_, _, err := leases.Get(tx, []byte("k"))
			return err
		})
	}
}
