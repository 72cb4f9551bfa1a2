package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"landbridge/internal/group"
)

// comings makes a group's history of so many versions: at each somebody comes, goes or
// comes back.
func comings(random *rand.Rand, versions uint64) []rosterEntry {
	var entries []rosterEntry
	for v := uint64(1); v <= versions; v++ {
		if i := random.IntN(2 * (len(entries) + 1)); i < len(entries) {
			e := &entries[i]
			if e.removed == 0 {
				e.removed = v
				continue
			}
			if !slices.ContainsFunc(entries, func(o rosterEntry) bool { return o.id == e.id && o.at(v) }) {
				entries = append(entries, rosterEntry{id: e.id, added: v})
				continue
			}
		}
		entries = append(entries, rosterEntry{id: group.MemberID(sha256.Sum256(binary.BigEndian.AppendUint64(nil, random.Uint64()))), added: v})
	}
	return entries
}

// nearestAt is the definition: all who are in at a version, sorted by distance.
func nearestAt(entries []rosterEntry, key [32]byte, version uint64) voters {
	var in []rosterEntry
	for _, e := range entries {
		if e.at(version) {
			in = append(in, e)
		}
	}
	slices.SortFunc(in, func(a, b rosterEntry) int {
		x, y := sha256.Sum256(a.id[:]), sha256.Sum256(b.id[:])
		for i := range key {
			x[i] ^= key[i]
			y[i] ^= key[i]
		}
		return slices.Compare(x[:], y[:])
	})
	return newVoters(in[:min(len(in), replicaCount)])
}

func TestChainsAreTheNearestOfEachVersion(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		versions := 1 + random.Uint64N(120)
		entries := comings(random, versions+3) // some of it lies in the roster's future
		r := newRoster(group.ID{1}, versions, entries)
		for b := range BlockID(5) {
			key := blockKey(r.group, b)
			chain := r.chain(b)
			for v := uint64(1); v <= versions; v++ {
				in := slices.IndexFunc(chain, func(c configuration) bool { return c.first > v })
				if in < 0 {
					in = len(chain)
				}
				want := nearestAt(entries, key, v)
				if got := chain[in-1].voters; !slices.Equal(got.members, want.members) || !slices.Equal(got.votes, want.votes) || got.need != want.need {
					t.Fatalf("version %d of %d, block %d: keepers %v, want %v", v, versions, b, got, want)
				}
			}
			if now := r.current(b).members; !slices.Equal(r.keepers(b), now) {
				t.Errorf("block %d: keepers %v, in force are %v", b, r.keepers(b), now)
			}
			if len(r.chains) > maxChains {
				t.Errorf("%d chains are kept", len(r.chains))
			}
		}
	}
}

func BenchmarkChain(b *testing.B) {
	entries := make([]rosterEntry, 100)
	for i := range entries {
		entries[i] = rosterEntry{id: group.MemberID(sha256.Sum256([]byte{byte(i)})), added: uint64(i + 1)}
	}
	r := newRoster(group.ID{1}, 100, entries)
	b.ReportAllocs()
	for i := range b.N {
		r.chain(BlockID(i))
	}
}

func BenchmarkKeepers(b *testing.B) {
	entries := make([]rosterEntry, 100)
	for i := range entries {
		entries[i] = rosterEntry{id: group.MemberID(sha256.Sum256([]byte{byte(i)})), added: uint64(i + 1)}
	}
	r := newRoster(group.ID{1}, 100, entries)
	b.ReportAllocs()
	for i := range b.N {
		r.keepers(BlockID(i))
	}
}
