package registry

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// Protocol is the name under which the overlay carries registry messages.
const Protocol = "/landbridge/registry/1"

// Transport carries one request to a member and brings its reply. It must tell
// Serve at the other end, truthfully, who asks; it must honour ctx. req must not
// be changed.
type Transport interface {
	Call(ctx context.Context, to group.MemberID, req []byte) ([]byte, error)
}

// Config is what a Registry needs. Membership, Store and Transport must be set.
type Config struct {
	Membership *group.Membership
	Store      *store.DB
	Transport  Transport
	Segment    SegmentID
	// Present asks this node's segment whether a host answers for an address that is served
	// here; an error says that it can't be told. nil: no host ever leaves.
	Present func(ctx context.Context, addr netip.Addr) (bool, error)
	Clock   Clock        // nil: the kernel's
	Log     *slog.Logger // nil: none
}

// pace holds the times that aren't the group's to decide.
type pace struct {
	phase     time.Duration // waiting for answers of one phase or question
	move      time.Duration // asking a holder for an address
	coalesce  time.Duration // between two records of one block
	tick      time.Duration // of the keeper
	watch     time.Duration // a watch lasts this long
	republish time.Duration // of records and hints
	reserve   time.Duration // an offer stands this long
	silence   time.Duration // a holder that hasn't answered by then doesn't: its block's keepers' word counts
	late      time.Duration // answers that come later than this are lost
	negative  time.Duration // a refusal is remembered this long: less than the second after which hosts ask again
	unsure    time.Duration // …, where it isn't the holder's own word
	fresh     time.Duration // a holder's record needs no second question this long
	trust     time.Duration // while a holder pushes to us, its word on what is absent counts this long
	push      time.Duration // its changes are here by then, unless they are lost
	witness   time.Duration // at the start, waiting for another member that remembers us

	aliases time.Duration // between two questions for the aliases, about, where nobody tells of new ones

	audit func(ballotAudit) // hears of every ballot, for tests that judge histories
}

func defaultPace() pace {
	return pace{
		phase: 300 * time.Millisecond, move: time.Second, coalesce: 30 * time.Millisecond,
		tick: 250 * time.Millisecond, watch: 90 * time.Second, republish: 10 * time.Minute,
		reserve: time.Minute, silence: 600 * time.Millisecond, late: 2400 * time.Millisecond,
		negative: 750 * time.Millisecond, unsure: 250 * time.Millisecond, fresh: 20 * time.Millisecond,
		trust: time.Second, push: 300 * time.Millisecond, witness: 2 * time.Second, aliases: 15 * time.Minute,
	}
}

// Registry is one member's part in the group's registry. All methods are safe for
// concurrent use. See the package documentation for how it works.
type Registry struct {
	standing standing
	id       group.MemberID
	group    group.ID
	geo      geometry
	store    *store.DB
	tables   tables
	codec    codec
	net      Transport
	segment  SegmentID
	present  func(context.Context, netip.Addr) (bool, error)
	clock    Clock
	log      *slog.Logger
	pace     pace

	replica   replica
	obtaining keyedLocks[BlockID] // taken before proposing
	proposing keyedLocks[BlockID]
	counter   atomic.Uint64 // of ballots
	reach     atomic.Bool   // members answered when last asked
	stranded  atomic.Bool   // registers that this node keeps can't be had from their former keepers

	stripes     [256]sync.Mutex // one address changes by one goroutine at a time; taken before mu
	mu          sync.Mutex      // guards book
	book        book
	subscribers audience[Change]
	followers   audience[Happening]
	history     chronicle
	aliases     aliases

	directory directory
	hints     hints
	publisher publisher
	witness   witness
	counts    counters

	ctx      context.Context
	cancel   context.CancelFunc
	life     sync.Mutex // guards closed and the adding to wg
	closed   bool
	wg       sync.WaitGroup
	ready    chan struct{} // closed when the members in reach were asked who holds our blocks
	wake     chan struct{} // the keeper has something to do
	unlisten func()
}

// ErrClosed: the registry was closed.
var ErrClosed = errors.New("the registry is closed")

// Open loads what the state file holds and starts the background work. Serve must
// be reachable by the other members from now on.
func Open(cfg Config) (*Registry, error) {
	clock := cfg.Clock
	if clock == nil {
		clock = NewSystemClock()
	}
	return open(cfg, &membership{Membership: cfg.Membership}, clock, defaultPace())
}

// open is Open with everything given.
func open(cfg Config, s standing, clock Clock, p pace) (*Registry, error) {
	t, err := s.terms()
	if err != nil {
		return nil, err
	}
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{
		standing: s, id: s.self(), group: t.group, geo: t.geometry, store: cfg.Store, tables: newTables(t.group),
		codec: c, net: cfg.Transport, segment: cfg.Segment, present: cfg.Present, clock: clock, log: log, pace: p,
		ready: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.replica.timers = make(map[BlockID]lapseTimer)
	r.book = newBook()
	r.directory = newDirectory(t.blocks())
	r.hints = newHints()
	r.publisher = newPublisher()
	r.counter.Store(rand.Uint64N(1 << 16))
	r.reach.Store(true)
	if err := errors.Join(r.loadWitness(), r.load()); err != nil {
		r.cancel()
		return nil, err
	}
	r.unlisten = s.onChange(r.poke)
	r.spawn(r.start)
	r.spawn(r.keep)
	r.spawn(r.publish)
	return r, nil
}

// Close stops the background work and waits for it. Blocks stay held: the state
// file has them for the next Open. The store is the caller's to close.
func (r *Registry) Close() error {
	r.life.Lock()
	if r.closed {
		r.life.Unlock()
		return nil
	}
	r.closed = true
	r.life.Unlock()
	r.unlisten()
	r.cancel()
	r.wg.Wait()
	r.saveWitness(1<<63 - 1)
	return nil
}

// spawn runs f on a goroutine that Close waits for. After Close it does nothing
// and returns false.
func (r *Registry) spawn(f func()) bool {
	r.life.Lock()
	defer r.life.Unlock()
	if r.closed {
		return false
	}
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		f()
	}()
	return true
}

// poke wakes the keeper.
func (r *Registry) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// now returns the terms in force. The geometry never changes, so the last terms
// that could be read serve where the newest can't.
func (r *Registry) terms() (*terms, error) { return r.standing.terms() }

// nameOf is what a person calls a member: the end of its ID where it has no name.
func (r *Registry) nameOf(m group.MemberID) string { return cmp.Or(r.standing.nameOf(m), m.Short()) }

// awaitReady waits until the members in reach were asked about our blocks.
func (r *Registry) awaitReady(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ctx.Done():
		return ErrClosed
	}
}

func (r *Registry) stripe(a netip.Addr) *sync.Mutex {
	b := a.As4()
	return &r.stripes[b[3]^b[2]]
}
