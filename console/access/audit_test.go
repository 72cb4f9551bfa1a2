package access

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/store"
)

func TestTheAuditLogIsPagedBoundedAndGathersRefusals(t *testing.T) {
	r := newRig(t)
	ctx, _ := r.setUp()
	for i := range 25 {
		r.Record(ctx, api.Operation{ID: "change"}, fmt.Sprint(i), nil)
	}
	for range 1000 {
		r.Record(ctx, api.Operation{ID: "forbidden"}, "a\x1b[31m\nb", refuse(Forbidden, "no"))
	}
	var seen []api.AuditEntry
	for before := uint64(0); ; {
		page, next, err := r.Entries(before, 10)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, page...)
		if before = next; next == 0 {
			break
		}
	}
	if len(seen) != 27 || seen[0].Count != 1000 || seen[0].Done || strings.ContainsAny(seen[0].Target, "\x1b\n") || seen[26].Operation != "setUp" {
		t.Errorf("%d entries, the first %+v", len(seen), seen[0])
	}
	for i := 1; i < len(seen); i++ {
		if seen[i].ID >= seen[i-1].ID {
			t.Errorf("entry %d comes after %d", seen[i].ID, seen[i-1].ID)
		}
	}
	again := r.open()
	again.Record(ctx, api.Operation{ID: "later"}, "", nil)
	if page, _, err := again.Entries(0, 1); err != nil || page[0].Operation != "later" || page[0].ID != seen[0].ID+1 {
		t.Errorf("after a restart: %+v, %v", page, err)
	}
	if err := put(r.db, maxEntries+1, entryRecord{Operation: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, ok := find(t, r.db, 1); ok {
		t.Error("the oldest entry is still there")
	}
}

func find(t *testing.T, db *store.DB, number uint64) (e entryRecord, ok bool) {
	t.Helper()
	err := db.View(func(tx *store.Tx) (err error) {
		e, ok, err = auditBucket().Get(tx, entryKey(number))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return e, ok
}

func TestStrangersDoNotReplaceTheAuditLog(t *testing.T) {
	r := newRig(t)
	r.setUp()
	before, _, err := r.Entries(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		_, _ = r.SetUp(from(fmt.Sprintf("fd00:%x::1", i)), "0000-0000", "mallory", goodPassword)
	}
	if after, _, _ := r.Entries(0, 100); len(after) != len(before) {
		t.Errorf("set-ups that can't be any more made %d entries", len(after)-len(before))
	}
	op := api.Operation{ID: "logIn"}
	for i := range 500 { // one host
		r.Record(from(fmt.Sprintf("fe80::%x", i)), op, "alice", refuse(Unauthenticated, "wrong"))
	}
	if after, _, _ := r.Entries(0, 100); len(after) != len(before)+1 || after[0].Count != 500 {
		t.Errorf("one host made %d entries", len(after)-len(before))
	}
	commits := r.db.Stats().Commits
	for i := range 5000 { // many
		r.Record(from(fmt.Sprintf("fd00:%x::1", i)), op, "alice", refuse(Unauthenticated, "wrong"))
	}
	after, _, _ := r.Entries(0, 100)
	if n := len(after) - len(before); n != strangerBurst || r.db.Stats().Commits-commits > strangerBurst {
		t.Errorf("many hosts made %d entries by %d commits", n, r.db.Stats().Commits-commits)
	}
	r.now = r.now.Add(strangerEvery)
	r.Record(from("192.0.2.77"), op, "alice", refuse(Unauthenticated, "wrong"))
	if after, _, _ := r.Entries(0, 1); after[0].Remote != "192.0.2.77" || !strings.Contains(after[0].Why, "4981 other refusals") {
		t.Errorf("the next one says %+v", after[0])
	}
	ctx := NewContext(context.Background(), Identity{Name: "alice", How: BySession, Role: Administrator})
	r.Record(ctx, api.Operation{ID: "change"}, "", nil)
	if after, _, _ := r.Entries(0, 1); after[0].Operation != "change" {
		t.Errorf("what a user did isn't there: %+v", after[0])
	}
}
