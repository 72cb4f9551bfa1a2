package access

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"landbridge/console/api"
	"landbridge/internal/budget"
	"landbridge/internal/store"
)

// Bounds of the audit log.
const (
	maxEntries     = 10_000
	maxDetail      = 300              // bytes of a text in it
	gatherFailures = 10 * time.Minute // equal refusals within this are one entry with a count
	writeGathered  = time.Minute      // a count that grows is written no more often
	maxGathered    = 64

	// Refusals of who isn't known are new entries no more often than this; further ones are counted.
	strangerEvery = 10 * time.Second
	strangerBurst = 20
)

// entryRecord is one entry of the audit log, under its number.
type entryRecord struct {
	At        time.Time `cbor:"1,keyasint"`
	User      string    `cbor:"2,keyasint,omitempty"`
	How       How       `cbor:"3,keyasint,omitempty"`
	Remote    string    `cbor:"4,keyasint,omitempty"`
	Operation string    `cbor:"5,keyasint"`
	Target    string    `cbor:"6,keyasint,omitempty"`
	Refused   string    `cbor:"7,keyasint,omitempty"` // why; empty where it was done
	Count     uint64    `cbor:"8,keyasint,omitempty"` // further ones, equal to this
	Last      time.Time `cbor:"9,keyasint,omitzero"`  // of them
}

func auditBucket() store.Bucket[entryRecord] { return store.NewBucket[entryRecord]("access", "audit") }

// journal writes the audit log: entries in order, refusals that are equal gathered. What
// is counted of those is on disk after a while, so that refusals cost no writes.
type journal struct {
	mu       sync.Mutex
	next     uint64 // the number of the next entry; 0: not known yet
	gathered map[string]*gathering

	strangers budget.Budget
}

// gathering is where equal refusals are counted.
type gathering struct {
	number  uint64
	entry   entryRecord
	written time.Time
}

// Record notes in the audit log that the operation was done by whom ctx says, or why not.
// What can't be kept is logged, and nothing else: it has been done by then.
func (s *Service) Record(ctx context.Context, op api.Operation, target string, refused error) {
	id := FromContext(ctx)
	e := entryRecord{At: s.now().UTC(), User: id.Name, How: id.How, Operation: op.ID, Target: printable(target)}
	if id.Remote.IsValid() {
		e.Remote = id.Remote.String()
	}
	if refused != nil {
		e.Refused = printable(refused.Error())
	}
	like := strings.Join([]string{e.User, id.Source(), e.Operation}, "\x00")
	if err := s.journal.write(s.db, e, like); err != nil {
		s.log.Error("an entry of the audit log is lost", "err", err)
	}
}

type targetKey struct{}

// WithTarget returns a context in which About says what a request is about, for the audit
// log; about returns it, and target where nobody has said so.
func WithTarget(ctx context.Context, target string) (_ context.Context, about func() string) {
	return context.WithValue(ctx, targetKey{}, &target), func() string { return target }
}

// About says what the request in ctx is about, where its path doesn't.
func About(ctx context.Context, target string) {
	if t, ok := ctx.Value(targetKey{}).(*string); ok {
		*t = target
	}
}

// recordLogin notes a try to log in as somebody. One that was turned away untried isn't
// noted: there is no end of them.
func (s *Service) recordLogin(ctx context.Context, name string, err error) {
	if !untried(err) {
		s.Record(ctx, api.Operation{ID: "logIn"}, name, err)
	}
}

// untried reports whether who asked was turned away untried, or went away.
func untried(err error) bool { return IsKind(err, TooMany) || errors.Is(err, context.Canceled) }

// write writes an entry. Refusals that are like another are gathered: of one user or host, trying
// one thing.
func (j *journal) write(db *store.DB, e entryRecord, like string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.open(db); err != nil {
		return err
	}
	if g := j.gathered[like]; e.Refused != "" && g != nil && e.At.Sub(g.entry.At) <= gatherFailures {
		g.entry.Count++
		g.entry.Last = e.At
		if e.At.Sub(g.written) < writeGathered {
			return nil
		}
		g.written = e.At
		return put(db, g.number, g.entry)
	}
	if e.Refused != "" && e.How == ByNothing {
		ok, missed := j.strangers.Take(e.At)
		if !ok {
			return nil
		}
		if missed > 0 {
			e.Refused += fmt.Sprintf(" (before this, %d other refusals of strangers were too many to be kept)", missed)
		}
	}
	number := j.next
	if err := put(db, number, e); err != nil {
		return err
	}
	j.next++
	if e.Refused != "" {
		j.makeRoom()
		j.gathered[like] = &gathering{number: number, entry: e, written: e.At}
	}
	return nil
}

// makeRoom gathers no more of what was tried first. Called with mu held.
func (j *journal) makeRoom() {
	if len(j.gathered) < maxGathered {
		return
	}
	var oldest string
	first := j.next
	for like, g := range j.gathered {
		if g.number < first {
			oldest, first = like, g.number
		}
	}
	delete(j.gathered, oldest)
}

// put keeps an entry, and drops the one that is too old by now.
func put(db *store.DB, number uint64, e entryRecord) error {
	return db.Batch(func(tx *store.Tx) error {
		if err := auditBucket().Put(tx, entryKey(number), e); err != nil || number <= maxEntries {
			return err
		}
		return auditBucket().Delete(tx, entryKey(number-maxEntries))
	})
}

// open finds the number of the next entry, the first time. Called with mu held.
func (j *journal) open(db *store.DB) error {
	if j.next > 0 {
		return nil
	}
	last := uint64(0)
	err := db.View(func(tx *store.Tx) (err error) {
		for key := range auditBucket().Scan(tx, nil, &err) {
			last = binary.BigEndian.Uint64(key)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	j.next, j.gathered = last+1, make(map[string]*gathering)
	return nil
}

// Entries returns the entries before a number, 0 for the last ones, the latest first, and at
// most limit; next is where the page after it begins, 0 where there is none.
func (s *Service) Entries(before uint64, limit int) (all []api.AuditEntry, next uint64, err error) {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.open(s.db); err != nil {
		return nil, 0, err
	}
	counted := make(map[uint64]entryRecord)
	for _, g := range j.gathered {
		counted[g.number] = g.entry
	}
	number := j.next
	if before > 0 {
		number = min(number, before)
	}
	err = s.db.View(func(tx *store.Tx) error {
		all, next = nil, 0
		for number--; number > 0; number-- {
			e, ok, err := auditBucket().Get(tx, entryKey(number))
			if err != nil || !ok {
				return err
			}
			if len(all) == limit {
				next = number + 1
				return nil
			}
			if c, gathers := counted[number]; gathers {
				e = c
			}
			all = append(all, e.describe(number))
		}
		return nil
	})
	return all, next, err
}

func (e entryRecord) describe(number uint64) api.AuditEntry {
	a := api.AuditEntry{
		ID: int64(number), At: e.At, User: e.User, Remote: e.Remote, Operation: e.Operation, Target: e.Target,
		Done: e.Refused == "", Why: e.Refused, Last: e.Last,
	}
	if e.How != ByNothing {
		a.How = e.How.String()
	}
	if e.Count > 0 {
		a.Count = int64(e.Count) + 1
	}
	return a
}

func entryKey(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// printable returns a text that anybody may have typed, short and without what would
// trouble a terminal or a page.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, strings.ToValidUTF8(s, "·"))
	if len(s) > maxDetail {
		s = strings.ToValidUTF8(s[:maxDetail], "") + "…"
	}
	return s
}
