package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func openTest(t testing.TB) *DB {
	t.Helper()
	db, err := Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func update(t testing.TB, db *DB, fn func(*Tx) error) {
	t.Helper()
	if err := db.Update(fn); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, db *DB, fn func(*Tx) error) {
	t.Helper()
	if err := db.View(fn); err != nil {
		t.Fatal(err)
	}
}

// all reads a bucket.
func all[V any](t testing.TB, db *DB, b Bucket[V], prefix string) map[string]V {
	t.Helper()
	got := make(map[string]V)
	view(t, db, func(tx *Tx) (failed error) {
		for k, v := range b.Scan(tx, []byte(prefix), &failed) {
			got[string(k)] = v
		}
		return failed
	})
	return got
}

type lease struct {
	Addr   netip.Addr
	Prefix netip.Prefix
	MAC    [6]byte
	Client []byte
	Name   string
	Start  time.Time
	Length time.Duration
	Tags   map[string]uint64
}

func TestValuesComeBackAsTheyWerePut(t *testing.T) {
	db := openTest(t)
	leases := NewBucket[lease]("registry", "leases")
	want := lease{
		Addr: netip.MustParseAddr("10.9.0.77"), Prefix: netip.MustParsePrefix("10.9.0.64/26"),
		MAC: [6]byte{2, 1, 2, 3, 4, 5}, Client: []byte{1, 0xff}, Name: "printer",
		Start:  time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC),
		Length: time.Hour + 1, Tags: map[string]uint64{"b": 1 << 63, "a": 0},
	}
	update(t, db, func(tx *Tx) error { return leases.Put(tx, []byte("k"), want) })
	view(t, db, func(tx *Tx) error {
		got, ok, err := leases.Get(tx, []byte("k"))
		if err != nil || !ok {
			t.Fatalf("got %v, %v", ok, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("(-want +got)\n%s", cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)))
		}
		if _, ok, err := leases.Get(tx, []byte("other")); ok || err != nil {
			t.Errorf("a key that isn't there: %v, %v", ok, err)
		}
		return nil
	})
}

func TestUnknownFieldsAreIgnoredAndMissingOnesZero(t *testing.T) {
	type older struct{ A int }
	type newer struct{ A, B int }
	db := openTest(t)
	update(t, db, func(tx *Tx) error { return NewBucket[newer]("x").Put(tx, []byte("n"), newer{1, 2}) })
	update(t, db, func(tx *Tx) error { return NewBucket[older]("x").Put(tx, []byte("o"), older{3}) })
	if got := all(t, db, NewBucket[older]("x"), "n"); got["n"].A != 1 {
		t.Errorf("older program reads %+v", got)
	}
	if got := all(t, db, NewBucket[newer]("x"), "o"); got["o"] != (newer{A: 3}) {
		t.Errorf("newer program reads %+v", got)
	}
}

func TestScanYieldsThePrefixInOrder(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	update(t, db, func(tx *Tx) error {
		for i, k := range []string{"b2", "a", "b", "b1", "c", "b\xff", "bb"} {
			if err := b.Put(tx, []byte(k), i); err != nil {
				return err
			}
		}
		// A bucket inside is not a value.
		return NewBucket[int]("x", "b15").Put(tx, []byte("inner"), 9)
	})
	var keys []string
	view(t, db, func(tx *Tx) (failed error) {
		for k := range b.Scan(tx, []byte("b"), &failed) {
			keys = append(keys, string(k))
		}
		if n := b.Len(tx); n != 7 {
			t.Errorf("Len = %d, want 7", n)
		}
		return failed
	})
	if want := []string{"b", "b1", "b2", "bb", "b\xff"}; !slices.Equal(keys, want) {
		t.Errorf("got %q, want %q", keys, want)
	}
}

func TestScanReportsAValueThatCannotBeRead(t *testing.T) {
	db := openTest(t)
	update(t, db, func(tx *Tx) error { return NewBucket[string]("x").Put(tx, []byte("k"), "text") })
	err := db.View(func(tx *Tx) (failed error) {
		for range NewBucket[int]("x").Scan(tx, nil, &failed) {
			t.Error("a text came as an int")
		}
		return failed
	})
	if err == nil || !strings.Contains(err.Error(), "state x, key 6b") {
		t.Errorf("got %v", err)
	}
}

// A loop that deletes and puts as it goes sees each key that stays exactly once.
func TestScanSurvivesChangesInItsLoop(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	const n = 3000 // several pages
	key := func(i int) []byte { return fmt.Appendf(nil, "%05d", i) }
	update(t, db, func(tx *Tx) error {
		for i := range n {
			if err := b.Put(tx, key(2*i), i); err != nil {
				return err
			}
		}
		return nil
	})
	var met []int
	update(t, db, func(tx *Tx) (failed error) {
		for k, v := range b.Scan(tx, nil, &failed) {
			if v < 0 {
				met = append(met, v)
				continue
			}
			met = append(met, v)
			// This one goes, the one behind the next goes, one comes between.
			for _, gone := range [][]byte{k, key(2*v + 4)} {
				if err := b.Delete(tx, gone); err != nil {
					return err
				}
			}
			if err := b.Put(tx, key(2*v+1), -v-1); err != nil {
				return err
			}
		}
		return failed
	})
	var want []int
	for i, skip := 0, map[int]bool{}; i < n; i++ {
		if !skip[i] {
			want = append(want, i, -i-1)
			skip[i+2] = true
		}
	}
	if !slices.Equal(met, want) {
		t.Errorf("met %d values, want %d; first ones %v, want %v", len(met), len(want), met[:8], want[:8])
	}
}

func TestBucketsDoNotMix(t *testing.T) {
	db := openTest(t)
	a, b := NewBucket[int]("p", "a"), NewBucket[int]("p", "b")
	outer := NewBucket[int]("p")
	update(t, db, func(tx *Tx) error {
		return errors.Join(a.Put(tx, []byte("k"), 1), b.Put(tx, []byte("k"), 2), outer.Put(tx, []byte("k"), 3))
	})
	update(t, db, func(tx *Tx) error { return errors.Join(a.Delete(tx, []byte("k")), b.Clear(tx)) })
	if got := all(t, db, a, ""); len(got) != 0 {
		t.Errorf("a: %v", got)
	}
	if got := all(t, db, b, ""); len(got) != 0 {
		t.Errorf("b: %v", got)
	}
	if got, want := all(t, db, outer, ""), map[string]int{"k": 3}; !maps.Equal(got, want) {
		t.Errorf("outer: %v, want %v", got, want)
	}
	update(t, db, outer.Clear)
	if got := all(t, db, outer, ""); len(got) != 0 {
		t.Errorf("outer after Clear: %v", got)
	}
}

func TestABucketsNameIsNoKey(t *testing.T) {
	db := openTest(t)
	update(t, db, func(tx *Tx) error { return NewBucket[int]("p", "inner").Put(tx, []byte("k"), 1) })
	err := db.Update(func(tx *Tx) error { return NewBucket[int]("p").Put(tx, []byte("inner"), 1) })
	if err == nil {
		t.Error("put over a bucket")
	}
}

func TestBadKeysAndWritesInViewAreErrors(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	if err := db.Update(func(tx *Tx) error { return b.Put(tx, nil, 1) }); err == nil {
		t.Error("an empty key was put")
	}
	update(t, db, func(tx *Tx) error { return b.Put(tx, []byte("k"), 1) })
	for what, write := range map[string]func(*Tx) error{
		"put":    func(tx *Tx) error { return b.Put(tx, []byte("k"), 2) },
		"delete": func(tx *Tx) error { return b.Delete(tx, []byte("k")) },
		"clear":  b.Clear,
	} {
		if err := db.View(write); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s in View: %v, want ErrReadOnly", what, err)
		}
	}
}

func TestNewBucketRefusesEmptyNames(t *testing.T) {
	for _, path := range [][]string{nil, {""}, {"a", ""}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewBucket(%q) didn't panic", path)
				}
			}()
			NewBucket[int](path...)
		}()
	}
}

// What Get and Scan return must not change, nor fault, when the file is gone.
func TestValuesOutliveTheFile(t *testing.T) {
	db, err := Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	b := NewBucket[[]byte]("x")
	big := bytes.Repeat([]byte{7}, 10000)
	update(t, db, func(tx *Tx) error { return b.Put(tx, []byte("key"), big) })
	var key, value, got []byte
	view(t, db, func(tx *Tx) (failed error) {
		for key, value = range b.Scan(tx, nil, &failed) {
		}
		got, _, err = b.Get(tx, []byte("key"))
		return errors.Join(failed, err)
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if string(key) != "key" || !bytes.Equal(value, big) || !bytes.Equal(got, big) {
		t.Error("changed after Close")
	}
}
