package registry

import (
	"landbridge/internal/group"
	"landbridge/internal/store"
)

// Survey is what a state file has of one group, without a registry that runs on it.
type Survey struct {
	Leases, Blocks int    // that the member serves, and holds
	Age            uint64 // how many transactions are in it: see witness.go
	Forgetful      bool   // it was found to be older than what others have seen
}

// Look reads all that the registry keeps of a group, and counts it. An error means that something of
// it can't be read.
func Look(tx *store.Tx, id group.ID) (s Survey, err error) {
	t := newTables(id)
	if s.Age, _, err = t.sealed.Get(tx, ageKey()); err != nil {
		return s, err
	}
	forgetful, _, err := t.sealed.Get(tx, forgetfulKey())
	if err != nil {
		return s, err
	}
	s.Forgetful = forgetful != 0
	for _, row := range t.leases.Scan(tx, nil, &err) {
		if row.State == leaseLive {
			s.Leases++
		}
	}
	for range t.holds.Scan(tx, nil, &err) {
		s.Blocks++
	}
	for _, each := range []func(){
		func() { readAll(tx, t.acceptors, &err) }, func() { readAll(tx, t.records, &err) }, func() { readAll(tx, t.seen, &err) },
		func() { readAll(tx, t.tags, &err) }, func() { readAll(tx, t.history, &err) },
	} {
		if err == nil {
			each()
		}
	}
	return s, err
}

// readAll reads a bucket, to see whether it can be read.
func readAll[V any](tx *store.Tx, b store.Bucket[V], failed *error) {
	for range b.Scan(tx, nil, failed) { // reading is all
	}
}
