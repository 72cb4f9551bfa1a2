package overlay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	dht "github.com/libp2p/go-libp2p-kad-dht"

	"landbridge/internal/group"
)

// testDescriptor is a stand-in: the group's ID, a version, padding.
func testDescriptor(id group.ID, version uint64) []byte {
	return binary.BigEndian.AppendUint64(id[:], version)
}

func checkTestDescriptor(id group.ID, value []byte) (uint64, error) {
	if len(value) != 40 || !bytes.Equal(value[:32], id[:]) {
		return 0, errors.New("forged")
	}
	return binary.BigEndian.Uint64(value[32:]), nil
}

func withDescriptors(peers ...*testNode) func(*setup) {
	return func(cfg *setup) {
		bootstrap(peers...)(cfg)
		cfg.Validator = checkTestDescriptor
	}
}

func TestDescriptorIsFoundByOthersAndTheNewestWins(t *testing.T) {
	t.Parallel()
	a := start(t, 0, withDescriptors())
	b := start(t, 1, withDescriptors(a))
	c := start(t, 2, withDescriptors(a))
	id := groupID()
	for _, n := range []*testNode{b, c} {
		eventually(t, "in the DHT", func() bool { return n.dht.RoutingTable().Size() > 0 && a.dht.RoutingTable().Size() == 2 })
	}
	ctx := within(t, time.Minute)
	if _, err := c.GetDescriptor(ctx, id); !errors.Is(err, ErrNotFound) {
		t.Fatalf("nobody has published: %v", err)
	}
	for version := uint64(1); version <= 2; version++ {
		if err := b.PutDescriptor(ctx, id, testDescriptor(id, version)); err != nil {
			t.Fatal(err)
		}
		got, err := c.GetDescriptor(ctx, id)
		if err != nil || !bytes.Equal(got, testDescriptor(id, version)) {
			t.Fatalf("version %d: %x %v", version, got, err)
		}
	}
	if err := c.PutDescriptor(ctx, id, testDescriptor(id, 1)); !errors.Is(err, ErrOutdated) {
		t.Fatalf("an older version: %v", err)
	}
	if got, err := a.GetDescriptor(ctx, id); err != nil || !bytes.Equal(got, testDescriptor(id, 2)) {
		t.Fatalf("after an older version was published: %x %v", got, err)
	}
}

func TestForgedDescriptorIsNeitherPublishedNorStored(t *testing.T) {
	t.Parallel()
	a := start(t, 0, withDescriptors())
	id := groupID()
	other := group.ID{1}
	if err := a.PutDescriptor(t.Context(), id, testDescriptor(other, 9)); err == nil {
		t.Fatal("published")
	}
	forger := start(t, 1, func(cfg *setup) {
		bootstrap(a)(cfg)
		cfg.Validator = func(group.ID, []byte) (uint64, error) { return 9, nil }
	})
	eventually(t, "in the DHT", func() bool { return forger.dht.RoutingTable().Size() > 0 })
	_ = forger.PutDescriptor(within(t, 30*time.Second), id, []byte("forged"))
	if got, err := a.GetDescriptor(within(t, 30*time.Second), id); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestDescriptorOfALonelyNodeReachesThoseWhoComeLater(t *testing.T) {
	t.Parallel()
	a := start(t, 0, withDescriptors())
	id := groupID()
	if err := a.PutDescriptor(within(t, 30*time.Second), id, testDescriptor(id, 1)); err != nil {
		t.Fatalf("lonely: %v", err)
	}
	if got, err := a.GetDescriptor(within(t, 30*time.Second), id); err != nil || !bytes.Equal(got, testDescriptor(id, 1)) {
		t.Fatalf("its own: %x %v", got, err)
	}
	b := start(t, 1, withDescriptors(a))
	// Soon b stores a copy itself.
	key := recordKey(id)
	eventually(t, "a copy at the newcomer", func() bool {
		b.records.mu.RLock()
		defer b.records.mu.RUnlock()
		for _, value := range b.records.values {
			if bytes.Contains(value, []byte(key)) {
				return true
			}
		}
		return false
	})
}

func TestLookupsDontWaitForTheDead(t *testing.T) {
	t.Parallel()
	a := start(t, 0, withDescriptors())
	b := start(t, 1, withDescriptors(a))
	c := start(t, 2, withDescriptors(a))
	id := groupID()
	eventually(t, "in the DHT", func() bool { return a.dht.RoutingTable().Size() == 2 })
	if err := a.PutDescriptor(within(t, 30*time.Second), id, testDescriptor(id, 1)); err != nil {
		t.Fatal(err)
	}
	c.wire.cut(a.wire, b.wire)
	begun := time.Now()
	if _, err := a.GetDescriptor(within(t, 30*time.Second), id); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 8*time.Second { // the dead are waited for for 10 s
		t.Errorf("took %v", took)
	}
}

func TestDescriptorCallsWithoutAnybodyHonourTheContext(t *testing.T) {
	t.Parallel()
	a := start(t, 0, withDescriptors())
	if _, err := a.GetDescriptor(within(t, 30*time.Second), groupID()); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func TestRecordsOfOthersAreBoundedInNumber(t *testing.T) {
	t.Parallel()
	r := &records{values: make(map[ds.Key][]byte)}
	for i := range maxRecords {
		if err := r.Put(t.Context(), ds.NewKey(string(rune('A'+i))), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Put(t.Context(), ds.NewKey("one more"), nil); !errors.Is(err, errRecordsFull) {
		t.Fatalf("got %v", err)
	}
	if err := r.Put(t.Context(), ds.NewKey("A"), []byte("newer")); err != nil {
		t.Fatalf("a newer value of a known key: %v", err)
	}
	if err := r.Put(context.WithValue(t.Context(), ownRecord{}, true), ds.NewKey("our own"), nil); err != nil {
		t.Fatalf("our own: %v", err)
	}
}

func TestRecordsOfOthersAreBoundedInSize(t *testing.T) {
	t.Parallel()
	r := &records{values: make(map[ds.Key][]byte)}
	large := make([]byte, maxRecord)
	fill := func() (n int, err error) {
		for err == nil {
			n++
			err = r.Put(t.Context(), ds.NewKey(strconv.Itoa(n)), large)
		}
		return n - 1, err
	}
	most, err := fill()
	if most != maxRecordBytes/maxRecord || !errors.Is(err, errRecordsFull) {
		t.Fatalf("%d records: %v", most, err)
	}
	for n := range most {
		if err := r.Delete(t.Context(), ds.NewKey(strconv.Itoa(n+1))); err != nil {
			t.Fatal(err)
		}
	}
	if again, _ := fill(); again != most {
		t.Fatalf("%d after all were deleted, want %d", again, most)
	}
}

func TestTheLargestDescriptorIsPublishedAndALargerOneIsToldOnce(t *testing.T) {
	t.Parallel()
	var told atomic.Int32
	large := func(cfg *setup) {
		cfg.Validator = func(id group.ID, value []byte) (uint64, error) {
			return checkTestDescriptor(id, value[:min(len(value), 40)])
		}
	}
	a := start(t, 0, large)
	b := start(t, 1, func(cfg *setup) {
		large(cfg)
		bootstrap(a)(cfg)
		cfg.Log = slog.New(slog.NewTextHandler(countTooLarge{&told}, nil))
	})
	eventually(t, "in the DHT", func() bool { return b.dht.RoutingTable().Size() > 0 && a.dht.RoutingTable().Size() > 0 })
	id, ctx := groupID(), within(t, time.Minute)
	most := append(testDescriptor(id, 1), make([]byte, group.MaxDescriptorSize-40)...)
	if err := b.PutDescriptor(ctx, id, most); err != nil {
		t.Fatal(err)
	}
	held, err := a.dht.GetValue(ctx, recordKey(id), dht.Quorum(1)) // its own copy
	if err != nil || !bytes.Equal(held, most) {
		t.Fatalf("got %d bytes, %v", len(held), err)
	}
	c := start(t, 2, func(cfg *setup) { large(cfg); bootstrap(a)(cfg) })
	eventually(t, "in the DHT", func() bool { return c.dht.RoutingTable().Size() > 0 })
	if got, err := c.GetDescriptor(ctx, id); err != nil || !bytes.Equal(got, most) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	for range 3 {
		if err := b.PutDescriptor(ctx, id, append(most, 0)); !errors.Is(err, ErrDescriptorSize) {
			t.Fatalf("too large: %v", err)
		}
	}
	if n := told.Load(); n != 1 {
		t.Errorf("the log told it %d times", n)
	}
}

// countTooLarge is a log of which only the warnings of large descriptors count.
type countTooLarge struct{ n *atomic.Int32 }

func (c countTooLarge) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("level=WARN")) && bytes.Contains(line, []byte("too large")) {
		c.n.Add(1)
	}
	return len(line), nil
}

func TestValidatorPrefersTheHighestValidVersion(t *testing.T) {
	t.Parallel()
	v := validator(checkTestDescriptor)
	id := groupID()
	values := [][]byte{testDescriptor(id, 3), []byte("forged"), testDescriptor(id, 7), testDescriptor(id, 5)}
	if best, err := v.Select(recordKey(id), values); err != nil || best != 2 {
		t.Fatalf("got %d, %v", best, err)
	}
	if _, err := v.Select(recordKey(id), values[1:2]); err == nil {
		t.Fatal("chose a forged one")
	}
	for _, key := range []string{"", "/", "/landbridge/short", "/pk/" + string(id[:])} {
		if err := v.Validate(key, values[0]); err == nil {
			t.Errorf("key %q accepted", key)
		}
	}
}

func groupID() group.ID { return group.IDOf(keyOf(99).Public().(ed25519.PublicKey)) }
