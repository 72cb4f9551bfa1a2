package store

import (
	"runtime"
	"slices"
	"sync"
)

// maxBatch bounds the calls that share one transaction, so that the first of them
// doesn't wait for a crowd.
const maxBatch = 1024

// queue holds the calls of Batch that wait for a transaction.
type queue struct {
	mu      sync.Mutex
	waiting []*call
	led     bool // a call leads, or has been told to
}

// call is one Batch in progress.
type call struct {
	fn    func(*Tx) error
	err   error        // what fn returned in the transaction that was committed
	alone bool         // fn must run in a transaction of its own
	wake  chan outcome // holds one; a call is told to lead at most once, before its end
}

// outcome is what a waiting call is told.
type outcome struct {
	lead  bool // run the next transaction, yours is the first call in it
	alone bool // run your function again, by itself
	err   error
}

// Batch is Update for many concurrent callers: their functions run one after the
// other in one transaction, which is written once. Each sees what those before it
// did; none returns before that is on disk.
//
// fn may run several times, and on the goroutine of another caller: it must change
// nothing but the Tx and variables that it sets anew each time, and must not call
// runtime.Goexit (nor testing.T.FailNow). A function that fails (or panics) after it
// wrote something is taken out, the others run again without it, and it runs once
// more by itself, where its error or panic goes to its own caller. One that fails
// without having written costs nothing: refusing is cheap.
func (db *DB) Batch(fn func(*Tx) error) error {
	db.calls.Add(1)
	c := &call{fn: fn, wake: make(chan outcome, 1)}
	if db.queue.add(c) {
		db.lead()
	}
	for {
		switch o := <-c.wake; {
		case o.lead:
			db.lead()
		case o.alone:
			return db.Update(fn)
		default:
			return o.err
		}
	}
}

// add appends c, and reports whether nobody leads, so that c must.
func (q *queue) add(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, c)
	first := !q.led
	q.led = true
	return first
}

// take removes the first calls, at most n.
func (q *queue) take(n int) []*call {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.waiting))
	taken := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return taken
}

// handOver makes the first waiting call the next leader, if there is one.
func (q *queue) handOver() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.led = false
		return
	}
	q.waiting[0].wake <- outcome{lead: true} // it holds nothing yet: never blocks
}

// lead commits for the calls that wait and tells them. The caller's own is among them.
func (db *DB) lead() {
	var calls []*call
	var err error
	for again := true; again; {
		again, err = db.attempt(&calls)
	}
	for _, c := range calls {
		switch {
		case c.alone:
			c.wake <- outcome{alone: true}
		case err != nil:
			c.wake <- outcome{err: err}
		default:
			c.wake <- outcome{err: c.err}
		}
	}
	db.queue.handOver()
}

// attempt runs the calls, and those that come meanwhile, in one transaction. It
// reports again where one of them has spoiled it.
func (db *DB) attempt(calls *[]*call) (again bool, err error) {
	tx, err := db.begin(true)
	if err != nil {
		*calls = append(*calls, db.queue.take(maxBatch)...)
		return false, err
	}
	defer tx.rollback()
	for next := 0; ; next++ {
		if next == len(*calls) {
			// Those whom the last commit has just answered are about to call
			// again: let them run first. It costs nothing where nobody waits.
			runtime.Gosched()
			more := db.queue.take(maxBatch - next)
			if len(more) == 0 {
				return false, tx.commit()
			}
			*calls = append(*calls, more...)
		}
		c := (*calls)[next]
		if !c.alone && c.spoils(tx) {
			c.alone = true
			return true, nil
		}
	}
}

// spoils runs the call and reports whether the transaction can't be used any more:
// it failed and had written, or panicked.
func (c *call) spoils(tx *Tx) (spoilt bool) {
	defer func() {
		if recover() != nil { // comes up again where the call runs alone
			spoilt = true
		}
	}()
	before := tx.writes
	c.err = c.fn(tx)
	return c.err != nil && tx.writes != before
}
