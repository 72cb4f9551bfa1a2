package overlay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	record "github.com/libp2p/go-libp2p-record"

	"landbridge/internal/group"
)

const (
	// bucketSize is Kademlia's k: how many keep a record, and are known at each distance.
	// libp2p's own is 20, for networks of strangers that come and go.
	bucketSize = 8

	recordSpace   = "landbridge" // DHT keys are /landbridge/ and the group ID's 32 bytes
	recordLife    = 48 * time.Hour
	republishTime = time.Hour
	// After a peer has come, the records that we publish are published again, as it
	// may be one of those that keep them; not more often than each republishPause, and
	// than each republishEach of a member, as all of them publish.
	republishSoon  = 3 * time.Second
	republishPause = 30 * time.Second
	republishEach  = 3 * time.Second
	// A lookup that has found something and nothing better for searchQuiet is over:
	// what is left are nodes that don't answer.
	searchQuiet = 500 * time.Millisecond

	maxRecord      = group.MaxDescriptorSize // bytes; Kademlia's own limit is 4 MiB
	maxRecords     = 1024                    // that we keep
	maxRecordBytes = 64 << 20                // of them together
)

// ErrDescriptorSize: the descriptor is too large to be published.
var ErrDescriptorSize = fmt.Errorf("the descriptor is larger than the %d bytes that may be published", maxRecord)

// ErrNotFound: no reachable node has a descriptor of the group.
var ErrNotFound = errors.New("no descriptor of this group found")

// ErrOutdated: the DHT holds a newer version of the descriptor.
var ErrOutdated = errors.New("a newer descriptor of this group is published")

func recordKey(id group.ID) string { return "/" + recordSpace + "/" + string(id[:]) }

// validator lets only true descriptors into the DHT, and prefers the newest. It
// implements go-libp2p-record's Validator.
type validator func(id group.ID, value []byte) (version uint64, err error)

func (v validator) version(key string, value []byte) (uint64, error) {
	raw, ok := strings.CutPrefix(key, "/"+recordSpace+"/")
	var id group.ID
	if !ok || len(raw) != len(id) {
		return 0, errors.New("not the key of a group descriptor")
	}
	copy(id[:], raw)
	if len(value) > maxRecord {
		return 0, ErrDescriptorSize
	}
	return v(id, value)
}

func (v validator) Validate(key string, value []byte) error {
	_, err := v.version(key, value)
	return err
}

func (v validator) Select(key string, values [][]byte) (int, error) {
	best, bestVersion := -1, uint64(0)
	for i, value := range values {
		if version, err := v.version(key, value); err == nil && (best < 0 || version > bestVersion) {
			best, bestVersion = i, version
		}
	}
	if best < 0 {
		return 0, errors.New("no valid descriptor")
	}
	return best, nil
}

// newDHT starts Kademlia on the host: a server, unless this node is a guest, under our own
// protocol ID, so that no other network's nodes are ever asked, and without any bootstrap list.
func newDHT(n *node, check validator, kept *records, guest bool) (*dht.IpfsDHT, error) {
	mode := dht.ModeServer
	if guest {
		mode = dht.ModeClient
	}
	return dht.New(n,
		dht.Mode(mode),
		dht.ProtocolPrefix("/landbridge"),
		dht.Validator(record.NamespacedValidator{recordSpace: check}),
		dht.Datastore(kept),
		dht.DisableProviders(),
		dht.MaxRecordAge(recordLife),
		dht.LookupCheckConcurrency(16),
		dht.BucketSize(bucketSize),
		dht.BootstrapPeers())
}

// PutDescriptor publishes a group's descriptor, and keeps it published until Close or
// a newer one. A node that is alone keeps it for those who come. ErrOutdated where a
// newer one is known already; ErrDescriptorSize, which the log tells too, but once: an
// operator must know, and callers come again.
func (o *Overlay) PutDescriptor(ctx context.Context, id group.ID, value []byte) error {
	if len(value) > maxRecord {
		o.published.oversize.Do(func() {
			o.log.Warn("the group's descriptor is too large to be published: nodes get it from members alone",
				"group", id.Short(), "err", ErrDescriptorSize)
		})
		return fmt.Errorf("publish descriptor of group %s: %w", id.Short(), ErrDescriptorSize)
	}
	version, err := o.validator(id, value)
	if err != nil {
		return fmt.Errorf("publish descriptor of group %s: %w", id.Short(), err)
	}
	if !o.enter() {
		return ErrClosed
	}
	defer o.running.Done()
	p := &o.published
	p.mu.Lock()
	if old, ok := p.values[id]; !ok || old.version < version {
		p.values[id] = publishedValue{version, value}
	}
	p.mu.Unlock()
	if err := o.publish(ctx, id, value); err != nil {
		return fmt.Errorf("publish descriptor of group %s: %w", id.Short(), err)
	}
	return nil
}

func (o *Overlay) publish(ctx context.Context, id group.ID, value []byte) error {
	ctx = context.WithValue(ctx, ownRecord{}, true)
	err := o.dht.PutValue(ctx, recordKey(id), value)
	switch {
	case err == nil || errors.Is(err, kbucket.ErrLookupFailure): // nobody else is there
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(err.Error(), "newer value") || strings.Contains(err.Error(), "old record"):
		return ErrOutdated
	}
	return err
}

// published is what we keep published.
type published struct {
	mu     sync.Mutex
	values map[group.ID]publishedValue
	grown  chan struct{} // of capacity 1: a peer has come

	oversize sync.Once // has been logged
}

type publishedValue struct {
	version uint64
	value   []byte
}

// republish publishes again from time to time, and soon after a peer has come.
func (o *Overlay) republish() {
	timer := time.NewTimer(republishTime)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-timer.C:
			o.publishAll()
			last = time.Now()
			timer.Reset(republishTime)
		case <-o.published.grown:
			pause := republishPause
			if r := o.members.Load(); r != nil {
				pause = max(pause, time.Duration(len(r.sorted))*republishEach)
			}
			timer.Reset(max(republishSoon, time.Until(last.Add(pause))))
		case <-o.ctx.Done():
			return
		}
	}
}

// peerCame makes republish run soon.
func (p *published) peerCame() {
	select {
	case p.grown <- struct{}{}:
	default:
	}
}

func (o *Overlay) publishAll() {
	o.published.mu.Lock()
	values := maps.Clone(o.published.values)
	o.published.mu.Unlock()
	for id, v := range values {
		ctx, cancel := context.WithTimeout(o.ctx, time.Minute)
		if err := o.publish(ctx, id, v.value); err != nil && o.ctx.Err() == nil {
			o.log.Debug("could not publish the group's descriptor again", "group", id.Short(), "err", err)
		}
		cancel()
	}
}

// GetDescriptor finds the newest descriptor of a group that the DHT has. It returns
// the best seen so far when ctx ends, ErrNotFound for none.
func (o *Overlay) GetDescriptor(ctx context.Context, id group.ID) ([]byte, error) {
	if !o.enter() {
		return nil, ErrClosed
	}
	defer o.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	values, err := o.dht.SearchValue(ctx, recordKey(id), dht.Quorum(0))
	if err != nil {
		return nil, fmt.Errorf("find descriptor of group %s: %w", id.Short(), err)
	}
	var best []byte
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	for {
		select {
		case value, ok := <-values:
			if ok {
				best = value
				quiet.Reset(searchQuiet)
				continue
			}
		case <-quiet.C:
		case <-ctx.Done():
		}
		if best != nil {
			return best, nil
		}
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("find descriptor of group %s: %w", id.Short(), err)
		}
		return nil, fmt.Errorf("group %s: %w", id.Short(), ErrNotFound)
	}
}

// records keeps the DHT's values in memory, up to a number and a size. The rest of the DHT keeps
// copies, and those that we publish ourselves come from the store. It implements
// go-datastore's Batching.
type records struct {
	mu     sync.RWMutex
	values map[ds.Key][]byte
	bytes  int // of all values
}

// ownRecord marks the context of storing a descriptor that we publish ourselves, for
// which there is always room.
type ownRecord struct{}

var errRecordsFull = errors.New("no room for more records")

func (r *records) Get(_ context.Context, key ds.Key) ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	value, ok := r.values[key]
	if !ok {
		return nil, ds.ErrNotFound
	}
	return value, nil
}

func (r *records) Has(ctx context.Context, key ds.Key) (bool, error) {
	_, err := r.Get(ctx, key)
	return err == nil, nil
}

func (r *records) GetSize(ctx context.Context, key ds.Key) (int, error) {
	value, err := r.Get(ctx, key)
	if err != nil {
		return -1, err
	}
	return len(value), nil
}

func (r *records) Put(ctx context.Context, key ds.Key, value []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, known := r.values[key]
	size := r.bytes - len(old) + len(value)
	full := !known && len(r.values) >= maxRecords || len(value) > len(old) && size > maxRecordBytes
	if full && ctx.Value(ownRecord{}) == nil {
		return errRecordsFull
	}
	r.values[key], r.bytes = value, size
	return nil
}

func (r *records) Delete(_ context.Context, key ds.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= len(r.values[key])
	delete(r.values, key)
	return nil
}

func (r *records) Query(_ context.Context, q query.Query) (query.Results, error) {
	r.mu.RLock()
	entries := make([]query.Entry, 0, len(r.values))
	for key, value := range r.values {
		entries = append(entries, query.Entry{Key: key.String(), Value: value, Size: len(value)})
	}
	r.mu.RUnlock()
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, entries)), nil
}

func (r *records) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(r), nil }
func (r *records) Sync(context.Context, ds.Key) error      { return nil }
func (r *records) Close() error                            { return nil }
