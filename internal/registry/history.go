package registry

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// The history is what has happened to the leases served here: an entry is written in the
// transaction that writes the lease, so that there is one for each change and none for what
// didn't come to be. Renewals that change nothing are none. The keeper takes the oldest off.
const (
	maxHistory  = 200_000
	historyLife = 90 * 24 * time.Hour
	// pruneEvery is how often the oldest entries are taken off, and maxPruned how many of
	// them by one transaction.
	pruneEvery = time.Minute
	maxPruned  = 2048
)

// historyRow is a happening on disk, under its time in Unix nanoseconds and its address, both
// big-endian.
type historyRow struct {
	Act    Act            `cbor:"1,keyasint"`
	MAC    [6]byte        `cbor:"2,keyasint,omitzero"`
	Client []byte         `cbor:"3,keyasint,omitempty"`
	Name   string         `cbor:"4,keyasint,omitempty"`
	To     group.MemberID `cbor:"5,keyasint,omitzero"`
	By     string         `cbor:"6,keyasint,omitempty"`
	Why    string         `cbor:"7,keyasint,omitempty"`
}

func historyKey(at time.Time, addr netip.Addr) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano())), addrKey(addr)...)
}

func historyPlace(key []byte) (at time.Time, addr netip.Addr, ok bool) {
	if len(key) != 12 {
		return at, addr, false
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(key))), netip.AddrFrom4([4]byte(key[8:])), true
}

// chronicle counts the entries on disk.
type chronicle struct {
	n     atomic.Int64  // or more, never fewer
	prune time.Duration // not again before; the keeper's
}

// kept reports whether a happening goes into the history.
func (h Happening) kept() bool { return h.Act != 0 && h.Act != Renewed }

// journal writes happenings into the history, in the transaction that makes them happen.
func (r *Registry) journal(tx *store.Tx, all ...Happening) error {
	for _, h := range all {
		if !h.kept() {
			continue
		}
		err := r.tables.history.Put(tx, historyKey(h.At, h.Lease.Addr), historyRow{
			Act: h.Act, MAC: h.Lease.MAC, Client: h.Lease.Client, Name: h.Lease.Name, To: h.To, By: h.By, Why: h.Why,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pruneHistory takes the oldest entries off where there are more than most, or they are too old.
func (r *Registry) pruneHistory(now Instant, most int64) error {
	var oldest []byte // of those that aren't too old: all, where the clock wasn't set and says 1970
	if from := now.Wall.Add(-historyLife); from.Unix() > 0 {
		oldest = historyKey(from, netip.AddrFrom4([4]byte{}))
	}
	for more := true; more && r.ctx.Err() == nil; {
		var gone int
		err := r.store.Batch(func(tx *store.Tx) error {
			gone = 0
			var failed error
			if r.history.n.Load() > most { // happenings are counted that came to be in memory alone
				r.history.n.Store(int64(r.tables.history.Len(tx)))
			}
			surplus := int(r.history.n.Load() - most)
			for key := range r.tables.history.Scan(tx, nil, &failed) {
				if gone == maxPruned || gone >= surplus && bytes.Compare(key, oldest) >= 0 {
					break
				}
				if err := r.tables.history.Delete(tx, key); err != nil {
					return err
				}
				gone++
			}
			return failed
		})
		if err != nil {
			return fmt.Errorf("history of leases: %w", err)
		}
		r.history.n.Add(int64(-gone))
		more = gone == maxPruned
	}
	return nil
}

// HistoryQuery says which entries of the history are wanted. Zero fields don't count.
type HistoryQuery struct {
	Addr         netip.Addr
	MAC          [6]byte
	Name         string // a part of the host's name
	Search       string // a part of name, address, MAC, or who ordered it
	Since, Until time.Time
	Before       string // the place of the last entry that was seen: only older ones
	Limit        int
}

// HistoryEntry is an entry, and its place in the order of time.
type HistoryEntry struct {
	Happening
	Place string
}

// History returns the newest entries that fit, newest first.
func (r *Registry) History(q HistoryQuery) (found []HistoryEntry, err error) {
	if q.Addr.Is6() && !q.Addr.Is4In6() {
		return nil, nil // leases are of IPv4
	}
	var below, since []byte
	if !q.Until.IsZero() {
		below = historyKey(q.Until.Add(1), netip.AddrFrom4([4]byte{}))
	}
	if q.Before != "" {
		place, ok := parsePlace(q.Before)
		if !ok {
			return nil, fmt.Errorf("%q is no place in the history: %w", q.Before, ErrBadPlace)
		}
		if below == nil || bytes.Compare(place, below) < 0 {
			below = place
		}
	}
	if !q.Since.IsZero() {
		since = historyKey(q.Since, netip.AddrFrom4([4]byte{}))
	}
	name, search := []byte(strings.ToLower(q.Name)), strings.ToLower(q.Search)
	keep := func(key, raw []byte) bool {
		if bytes.Compare(key, since) < 0 {
			return true // it ends the search
		}
		return (!q.Addr.IsValid() || bytes.HasSuffix(key, addrKey(q.Addr))) &&
			(q.MAC == [6]byte{} || bytes.Contains(raw, q.MAC[:])) && bytes.Contains(raw, name)
	}
	err = r.store.View(func(tx *store.Tx) error {
		var failed error
		for key, row := range r.tables.history.Backward(tx, below, keep, &failed) {
			if bytes.Compare(key, since) < 0 || len(found) == q.Limit {
				break
			}
			at, addr, ok := historyPlace(key)
			e := HistoryEntry{Place: placeOf(key), Happening: Happening{At: at, Act: row.Act, To: row.To, By: row.By, Why: row.Why, Lease: Lease{
				Addr: addr, Client: row.Client, MAC: row.MAC, Name: row.Name, Member: r.id, Segment: r.segment,
			}}}
			if ok && (q.MAC == [6]byte{} || row.MAC == q.MAC) && strings.Contains(row.Name, string(name)) && e.has(search) {
				found = append(found, e)
			}
		}
		return failed
	})
	return found, err
}

// has reports whether what a person looks for, in lower case, is a part of the entry.
func (e HistoryEntry) has(search string) bool {
	if search == "" || strings.Contains(e.Lease.Name, search) || strings.Contains(strings.ToLower(e.By), search) {
		return true
	}
	var buf [64]byte
	return strings.Contains(string(e.Lease.Addr.AppendTo(buf[:0])), search) || strings.Contains(macText(e.Lease.MAC), search)
}

func macText(mac [6]byte) string { return net.HardwareAddr(mac[:]).String() }

// ErrBadPlace: no place in the history.
var ErrBadPlace = errors.New("want the place of an entry, unchanged")

func placeOf(key []byte) string { return hex.EncodeToString(key) }

func parsePlace(s string) (key []byte, ok bool) {
	key, err := hex.DecodeString(s)
	return key, err == nil && len(key) == 12
}
