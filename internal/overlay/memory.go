package overlay

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	"landbridge/internal/group"
	"landbridge/internal/sorting"
	"landbridge/internal/store"
)

const (
	maxRemembered = 256
	addrLife      = time.Hour // of an address in libp2p's peerstore
	seenStep      = time.Hour // LastSeen is kept this exact
	saveDelay     = 500 * time.Millisecond
)

// memory holds where peers were last seen, in the store, so that a restarted node
// finds the overlay without help. Where there is no store it lasts as long as the
// process.
type memory struct {
	db     *store.DB // may be nil
	bucket store.Bucket[rememberedPeer]
	book   peerstore.AddrBook
	log    *slog.Logger

	saving sync.Mutex // held while writing to the store

	mu     sync.Mutex
	peers  map[peer.ID]*rememberedPeer
	fixed  map[peer.ID][]ma.Multiaddr // from the operator or an invitation
	dirty  map[peer.ID]bool           // not yet in the store
	saver  *time.Timer
	closed bool
}

// rememberedPeer is one peer in the store, under its member ID.
type rememberedPeer struct {
	Addrs [][]byte // multiaddrs
	Seen  time.Time
}

// openMemory reads what an earlier run has saved.
func openMemory(db *store.DB, book peerstore.AddrBook, log *slog.Logger) (*memory, error) {
	m := &memory{
		db: db, bucket: store.NewBucket[rememberedPeer]("overlay", "peers"), book: book, log: log,
		peers: make(map[peer.ID]*rememberedPeer), fixed: make(map[peer.ID][]ma.Multiaddr), dirty: make(map[peer.ID]bool),
	}
	if db == nil {
		return m, nil
	}
	var failed error
	err := db.View(func(tx *store.Tx) error {
		for key, value := range m.bucket.Scan(tx, nil, &failed) {
			var id group.MemberID
			if len(key) == len(id) {
				copy(id[:], key)
				m.peers[id.Peer()] = &value
			}
		}
		return failed
	})
	if err != nil {
		return nil, fmt.Errorf("read remembered peers: %w", err)
	}
	return m, nil
}

// give adds an address that the operator or an invitation has named.
func (m *memory) give(p peer.ID, addrs ...ma.Multiaddr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fixed[p] = distinct(append(m.fixed[p], addrs...))
	m.fixed[p] = m.fixed[p][max(0, len(m.fixed[p])-maxLearnt):]
	if old := m.peers[p]; old == nil || old.Seen.IsZero() { // addresses come one by one
		m.remember(p, m.fixed[p], time.Time{})
	}
}

// learn replaces the addresses of a peer that we are connected to.
func (m *memory) learn(p peer.ID, addrs []ma.Multiaddr, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remember(p, addrs, now)
}

func (m *memory) remember(p peer.ID, addrs []ma.Multiaddr, now time.Time) {
	if len(addrs) == 0 {
		return
	}
	raw := make([][]byte, 0, len(addrs))
	for _, a := range addrs {
		raw = append(raw, a.Bytes())
	}
	sorting.By(raw, bytes.Compare)
	old := m.peers[p]
	if old != nil && now.Sub(old.Seen) < seenStep && slices.EqualFunc(old.Addrs, raw, bytes.Equal) {
		return
	}
	m.peers[p] = &rememberedPeer{Addrs: raw, Seen: now}
	m.dirty[p] = true
	for len(m.peers) > maxRemembered {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(m.peers)), func(a, b peer.ID) int {
			return m.peers[a].Seen.Compare(m.peers[b].Seen)
		})
		delete(m.peers, oldest)
		m.dirty[oldest] = true
	}
	if m.db != nil && m.saver == nil && !m.closed {
		m.saver = time.AfterFunc(saveDelay, func() {
			if err := m.save(); err != nil {
				m.log.Warn("could not save where peers are", "err", err)
			}
		})
	}
}

// save writes what has changed.
func (m *memory) save() error {
	m.saving.Lock()
	defer m.saving.Unlock()
	m.mu.Lock()
	changed := make(map[group.MemberID]*rememberedPeer)
	for p := range m.dirty {
		if id, err := group.MemberOfPeer(p); err == nil {
			changed[id] = m.peers[p] // replaced, never altered: safe to read later
		}
	}
	m.dirty = make(map[peer.ID]bool)
	m.saver = nil
	m.mu.Unlock()
	if m.db == nil || len(changed) == 0 {
		return nil
	}
	return m.db.Batch(func(tx *store.Tx) error {
		for id, value := range changed {
			var err error
			if value == nil {
				err = m.bucket.Delete(tx, id[:])
			} else {
				err = m.bucket.Put(tx, id[:], *value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// close saves at once. Afterwards the store isn't touched.
func (m *memory) close() error {
	m.mu.Lock()
	m.closed = true
	if m.saver != nil {
		m.saver.Stop()
	}
	m.mu.Unlock()
	return m.save()
}

// addrs lists where p may be.
func (m *memory) addrs(p peer.ID) []ma.Multiaddr {
	m.mu.Lock()
	defer m.mu.Unlock()
	addrs := slices.Clone(m.fixed[p])
	if r := m.peers[p]; r != nil {
		for _, raw := range r.Addrs {
			if a, err := ma.NewMultiaddrBytes(raw); err == nil {
				addrs = append(addrs, a)
			}
		}
	}
	return distinct(addrs)
}

// wants reports whether p, who is no member, is worth remembering: while there is
// plenty of room it is, as a way into the overlay.
func (m *memory) wants(p peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peers[p] != nil || len(m.peers) < maxRemembered/4
}

// feed puts what we remember of p into libp2p's peerstore.
func (m *memory) feed(p peer.ID) { m.book.AddAddrs(p, m.addrs(p), addrLife) }

// given lists the peers of give.
func (m *memory) given() []peer.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.fixed))
}

// recent lists at most n peers, those seen last first.
func (m *memory) recent(n int) []peer.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	peers := sorting.Sorted(maps.Keys(m.peers), func(a, b peer.ID) int {
		return m.peers[b].Seen.Compare(m.peers[a].Seen)
	})
	return peers[:min(n, len(peers))]
}
