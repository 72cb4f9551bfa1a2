package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"landbridge/internal/group"
)

// replicaCount is R: how many members keep a block's register.
const replicaCount = 5

// maxChains bounds the memory of a roster.
const maxChains = 4096

// rosterEntry is one member's time in the group, in descriptor versions:
// from Added on, until before Removed (0: still in).
type rosterEntry struct {
	id             group.MemberID
	added, removed uint64
}

func (e rosterEntry) at(version uint64) bool {
	return e.added <= version && (e.removed == 0 || version < e.removed)
}

// voters is a replica set with its votes. Every member has one vote; in a set of
// even size the member who joined first has two, so that one of two halves can
// always go on (Gifford 1979).
type voters struct {
	members []group.MemberID // nearest to the key first
	votes   []int
	need    int // votes that make a quorum: any two quorums share a member
}

func newVoters(entries []rosterEntry) voters {
	v := voters{members: make([]group.MemberID, len(entries)), votes: make([]int, len(entries))}
	oldest := 0
	for i, e := range entries {
		v.members[i], v.votes[i] = e.id, 1
		if o := entries[oldest]; e.added < o.added || e.added == o.added && bytes.Compare(e.id[:], o.id[:]) < 0 {
			oldest = i
		}
	}
	total := len(entries)
	if total > 0 && total%2 == 0 {
		v.votes[oldest]++
		total++
	}
	v.need = total/2 + 1
	return v
}

func (v voters) has(m group.MemberID) bool { return slices.Contains(v.members, m) }

// votesOf returns the votes of one member, 0 for a stranger.
func (v voters) votesOf(m group.MemberID) int {
	if i := slices.Index(v.members, m); i >= 0 {
		return v.votes[i]
	}
	return 0
}

// configuration is a run of descriptor versions with one replica set. first
// names it: ballots and acceptor states carry it.
type configuration struct {
	first uint64
	voters
}

// roster computes replica sets from one descriptor. It holds the whole history
// of the group, so any version up to its own can be asked for. Safe for
// concurrent use.
type roster struct {
	version uint64
	group   group.ID
	entries []rosterEntry
	hashes  [][32]byte
	changes []uint64 // versions at which somebody came or went, ascending

	mu     sync.Mutex
	chains map[BlockID][]configuration
}

func newRoster(id group.ID, version uint64, entries []rosterEntry) *roster {
	r := &roster{version: version, group: id, entries: entries, chains: make(map[BlockID][]configuration)}
	for _, e := range entries {
		r.hashes = append(r.hashes, sha256.Sum256(e.id[:]))
		r.changes = append(r.changes, e.added)
		if e.removed != 0 {
			r.changes = append(r.changes, e.removed)
		}
	}
	slices.Sort(r.changes)
	r.changes = slices.Compact(r.changes)
	r.changes = slices.DeleteFunc(r.changes, func(v uint64) bool { return v > version })
	return r
}

// members returns who is in at the roster's version.
func (r *roster) members() []group.MemberID {
	var ms []group.MemberID
	for _, e := range r.entries {
		if e.at(r.version) {
			ms = append(ms, e.id)
		}
	}
	return ms
}

func (r *roster) has(m group.MemberID) bool {
	return slices.ContainsFunc(r.entries, func(e rosterEntry) bool { return e.id == m && e.at(r.version) })
}

// blockKey is where a block lives in the key space.
func blockKey(id group.ID, b BlockID) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint32(append(id[:], "block"...), uint32(b)))
}

// byDistance returns the indexes of all entries, nearest to the key first.
func (r *roster) byDistance(key [32]byte) []int {
	order := make([]int, len(r.entries))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		for i := range key {
			if d := int(r.hashes[a][i]^key[i]) - int(r.hashes[b][i]^key[i]); d != 0 {
				return d
			}
		}
		return int(r.entries[a].added) - int(r.entries[b].added)
	})
	return order
}

// at picks the replica set of one version out of the ordered entries.
func (r *roster) at(order []int, version uint64) voters {
	var set []rosterEntry
	for _, i := range order {
		if e := r.entries[i]; e.at(version) {
			if set = append(set, e); len(set) == replicaCount {
				break
			}
		}
	}
	return newVoters(set)
}

// nearest returns the replicas, at the roster's version, of any other key (hints).
func (r *roster) nearest(key [32]byte) []group.MemberID {
	return r.at(r.byDistance(key), r.version).members
}

// chain returns every configuration of a block, oldest first. The last one is in
// force at the roster's version. Callers must not change it.
func (r *roster) chain(b BlockID) []configuration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.chains[b]; ok {
		return c
	}
	var chain []configuration
	order := r.byDistance(blockKey(r.group, b))
	for _, version := range r.changes {
		set := r.at(order, version)
		if n := len(chain); n > 0 && slices.Equal(chain[n-1].members, set.members) {
			continue
		}
		chain = append(chain, configuration{first: version, voters: set})
	}
	if len(r.chains) >= maxChains {
		clear(r.chains)
	}
	r.chains[b] = chain
	return chain
}

// current returns the configuration in force; the zero value in an empty group.
func (r *roster) current(b BlockID) configuration {
	chain := r.chain(b)
	if len(chain) == 0 {
		return configuration{}
	}
	return chain[len(chain)-1]
}
