package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// holdWriter occupies the one writing transaction until release is called.
func holdWriter(t *testing.T, db *DB) (release func()) {
	t.Helper()
	inside, out, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.Update(func(*Tx) error {
			close(inside)
			<-out
			return nil
		})
	}()
	<-inside
	return func() {
		close(out)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// together runs the functions in one batch, in order, and returns their errors.
func together(t *testing.T, db *DB, fns ...func(*Tx) error) []error {
	t.Helper()
	release := holdWriter(t, db)
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { errs[i] = db.Batch(fn) })
		waitQueued(t, db, i+1)
	}
	release()
	wg.Wait()
	return errs
}

// waitQueued waits until n calls are queued.
func waitQueued(t *testing.T, db *DB, n int) {
	t.Helper()
	deadline := t.Context()
	for {
		db.queue.mu.Lock()
		queued := len(db.queue.waiting)
		db.queue.mu.Unlock()
		if queued >= n {
			return
		}
		select {
		case <-deadline.Done():
			t.Fatal("the calls never queued")
		default:
		}
	}
}

func TestWaitingCallersShareOneCommit(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	const callers = 50
	fns := make([]func(*Tx) error, callers)
	for i := range fns {
		fns[i] = func(tx *Tx) error { return b.Put(tx, fmt.Appendf(nil, "%d", i), i) }
	}
	before := db.Stats().Commits
	for i, err := range together(t, db, fns...) {
		if err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	}
	if got := db.Stats().Commits - before; got != 1 {
		t.Errorf("%d commits for %d callers, want 1", got, callers)
	}
	if got := all(t, db, b, ""); len(got) != callers {
		t.Errorf("%d of %d written", len(got), callers)
	}
}

func TestALoneCallerPaysOneCommit(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	before := db.Stats().Commits
	for i := range 10 {
		if err := db.Batch(func(tx *Tx) error { return b.Put(tx, []byte("k"), i) }); err != nil {
			t.Fatal(err)
		}
	}
	if got := db.Stats().Commits - before; got != 10 {
		t.Errorf("%d commits for 10 calls, one after the other", got)
	}
}

func TestCallsOfABatchSeeThoseBefore(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	add := func(tx *Tx) error {
		n, _, err := b.Get(tx, []byte("n"))
		return errors.Join(err, b.Put(tx, []byte("n"), n+1))
	}
	together(t, db, add, add, add, add)
	if got := all(t, db, b, ""); got["n"] != 4 {
		t.Errorf("counted %v", got)
	}
}

func TestARefusalInABatchIsCheap(t *testing.T) {
	db := openTest(t)
	b := NewBucket[string]("x")
	taken := errors.New("taken")
	runs := 0
	claim := func(who string) func(*Tx) error {
		return func(tx *Tx) error {
			runs++
			if _, ok, err := b.Get(tx, []byte("block")); ok || err != nil {
				return errors.Join(taken, err)
			}
			return b.Put(tx, []byte("block"), who)
		}
	}
	before := db.Stats().Commits
	errs := together(t, db, claim("a"), claim("b"), claim("c"))
	if errs[0] != nil || !errors.Is(errs[1], taken) || !errors.Is(errs[2], taken) {
		t.Errorf("got %v", errs)
	}
	if got := db.Stats().Commits - before; got != 1 || runs != 3 {
		t.Errorf("%d commits and %d runs, want 1 and 3", got, runs)
	}
}

func TestAFailureInABatchHurtsNobodyElse(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	mine := errors.New("mine")
	put := func(key string) func(*Tx) error {
		return func(tx *Tx) error { return b.Put(tx, []byte(key), 1) }
	}
	fail := func(tx *Tx) error { return errors.Join(b.Put(tx, []byte("bad"), 1), mine) }
	errs := together(t, db, put("a"), fail, put("b"), fail, put("c"))
	for i, err := range errs {
		if wantFail := i%2 == 1; wantFail != errors.Is(err, mine) || (!wantFail && err != nil) {
			t.Errorf("caller %d: %v", i, err)
		}
	}
	got := all(t, db, b, "")
	if len(got) != 3 || got["a"]+got["b"]+got["c"] != 3 {
		t.Errorf("written: %v", got)
	}
}

func TestAPanicInABatchComesUpAtItsCaller(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	var recovered any
	release := holdWriter(t, db)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	wg.Go(func() { errs[0] = db.Batch(func(tx *Tx) error { return b.Put(tx, []byte("a"), 1) }) })
	waitQueued(t, db, 1)
	wg.Go(func() {
		defer func() { recovered = recover() }()
		_ = db.Batch(func(tx *Tx) error { _ = b.Put(tx, []byte("bad"), 1); panic("mine") })
	})
	waitQueued(t, db, 2)
	wg.Go(func() { errs[1] = db.Batch(func(tx *Tx) error { return b.Put(tx, []byte("b"), 1) }) })
	waitQueued(t, db, 3)
	release()
	wg.Wait()
	if recovered != "mine" || errs[0] != nil || errs[1] != nil {
		t.Errorf("recovered %v, errors %v", recovered, errs)
	}
	if got := all(t, db, b, ""); len(got) != 2 || got["bad"] != 0 {
		t.Errorf("written: %v", got)
	}
}

// A call that wrote and failed must not tell what it saw of calls that were not
// written after all: its answer comes from a run of its own.
func TestAFailedCallAnswersFromARunOfItsOwn(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	var seen int
	bad := errors.New("bad")
	late := func(tx *Tx) error {
		n, _, err := b.Get(tx, []byte("n"))
		seen = n
		return errors.Join(err, b.Put(tx, []byte("late"), 1), bad)
	}
	spoil := func(tx *Tx) error { return errors.Join(b.Put(tx, []byte("n"), 7), bad) }
	together(t, db, spoil, late)
	if seen != 0 {
		t.Errorf("saw %d, which was never written", seen)
	}
}

func TestACommitThatFailsIsNobodysSuccess(t *testing.T) {
	db := openTest(t)
	b := NewBucket[[]byte]("x")
	db.bolt.MaxSize = 1 // the file may not grow
	big := make([]byte, 1<<20)
	fns := make([]func(*Tx) error, 5)
	for i := range fns {
		fns[i] = func(tx *Tx) error { return b.Put(tx, []byte{byte(i)}, big) }
	}
	for i, err := range together(t, db, fns...) {
		if err == nil {
			t.Errorf("caller %d was told that it is written", i)
		}
	}
	db.bolt.MaxSize = 0
	if got := all(t, db, b, ""); len(got) != 0 {
		t.Errorf("%d written", len(got))
	}
	for i, err := range together(t, db, fns...) {
		if err != nil {
			t.Errorf("caller %d, with room again: %v", i, err)
		}
	}
}

func TestMoreCallersThanABatchTakesAreAllServed(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	fns := make([]func(*Tx) error, maxBatch+10)
	for i := range fns {
		fns[i] = func(tx *Tx) error { return b.Put(tx, fmt.Appendf(nil, "%d", i), i) }
	}
	before := db.Stats().Commits
	for i, err := range together(t, db, fns...) {
		if err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	}
	if got := db.Stats().Commits - before; got != 2 {
		t.Errorf("%d commits, want 2", got)
	}
	if got := all(t, db, b, ""); len(got) != len(fns) {
		t.Errorf("%d of %d written", len(got), len(fns))
	}
}

// Many callers of Batch and Update, some failing in either way, against a model: what
// was acknowledged, and nothing else, is there.
func TestBatchAgainstAModel(t *testing.T) {
	db := openTest(t)
	b := NewBucket[uint64]("x")
	refuse, spoil := errors.New("refuse"), errors.New("spoil")
	const callers, rounds = 16, 40
	written := make([]map[string]uint64, callers)
	var wg sync.WaitGroup
	for c := range callers {
		written[c] = make(map[string]uint64)
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(c)))
			for range rounds {
				key := fmt.Sprintf("%d/%d", c, random.IntN(8))
				value, kind := random.Uint64(), random.IntN(5)
				run := db.Batch
				if kind == 4 {
					run = db.Update
				}
				err := run(func(tx *Tx) error {
					if kind == 0 {
						return refuse
					}
					if err := b.Put(tx, []byte(key), value); err != nil {
						return err
					}
					if kind == 1 {
						return spoil
					}
					return nil
				})
				switch {
				case kind == 0 && err != refuse, kind == 1 && err != spoil, kind > 1 && err != nil:
					t.Errorf("kind %d: %v", kind, err)
				case kind > 1:
					written[c][key] = value
				}
			}
		})
	}
	wg.Wait()
	got := all(t, db, b, "")
	n := 0
	for _, model := range written {
		for key, want := range model {
			if n++; got[key] != want {
				t.Errorf("%s: %d, want %d", key, got[key], want)
			}
		}
	}
	if len(got) != n {
		t.Errorf("%d keys, want %d", len(got), n)
	}
}
