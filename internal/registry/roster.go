package registry

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"landbridge/internal/group"
	"landbridge/internal/sorting"
)

// replicaCount is R: how many members keep a block's register.
const replicaCount = 5

// maxChains bounds the memory of a roster: in a group of 100 a chain takes 5 kB, and
// 3 µs to make.
const maxChains = 64

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
	points  []point // where each entry stands in the key space
	moves   []move  // who came and went up to version, oldest first

	mu     sync.Mutex
	chains map[BlockID][]configuration
}

// move is the coming or going of an entry at a version.
type move struct {
	version uint64
	entry   int
	in      bool
}

func newRoster(id group.ID, version uint64, entries []rosterEntry) *roster {
	r := &roster{version: version, group: id, entries: entries, chains: make(map[BlockID][]configuration)}
	for i, e := range entries {
		r.points = append(r.points, pointOf(sha256.Sum256(e.id[:])))
		if e.removed != 0 && e.removed <= e.added {
			continue // never was in
		}
		r.moves = append(r.moves, move{e.added, i, true})
		if e.removed != 0 {
			r.moves = append(r.moves, move{e.removed, i, false})
		}
	}
	r.moves = slices.DeleteFunc(r.moves, func(m move) bool { return m.version > version })
	sorting.StablyBy(r.moves, func(a, b move) int { return cmp.Compare(a.version, b.version) })
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

// replicas is a set in the making: at most replicaCount entries, nearest to the key first.
type replicas struct {
	r   *roster
	key point
	at  [replicaCount]int // indexes of entries
	n   int
}

// before orders entries by their distance to the key.
func (s *replicas) before(a, b int) bool {
	p, q := &s.r.points[a], &s.r.points[b]
	for i, k := range s.key { // Kademlia's distance: the exclusive or
		if c := cmp.Compare(p[i]^k, q[i]^k); c != 0 {
			return c < 0
		}
	}
	return s.r.entries[a].added < s.r.entries[b].added
}

// enter takes an entry in, where it is near enough. It reports whether the set changed.
func (s *replicas) enter(i int) bool {
	if s.n == replicaCount {
		if !s.before(i, s.at[s.n-1]) {
			return false
		}
		s.n--
	}
	place := s.n
	for place > 0 && s.before(i, s.at[place-1]) {
		s.at[place] = s.at[place-1]
		place--
	}
	s.at[place] = i
	s.n++
	return true
}

// fill makes the set anew, of those who are in at a version.
func (s *replicas) fill(version uint64) {
	s.n = 0
	for i, e := range s.r.entries {
		if e.at(version) {
			s.enter(i)
		}
	}
}

func (s *replicas) voters() voters {
	var set [replicaCount]rosterEntry
	for i, e := range s.at[:s.n] {
		set[i] = s.r.entries[e]
	}
	return newVoters(set[:s.n])
}

// nearest returns the replicas, at the roster's version, of any key.
func (r *roster) nearest(key [32]byte) []group.MemberID {
	s := replicas{r: r, key: pointOf(key)}
	s.fill(r.version)
	ms := make([]group.MemberID, s.n)
	for i, e := range s.at[:s.n] {
		ms[i] = r.entries[e].id
	}
	return ms
}

// keepers returns the members of a block's configuration in force, without its chain.
func (r *roster) keepers(b BlockID) []group.MemberID { return r.nearest(blockKey(r.group, b)) }

// keeps reports whether m is one of a block's keepers in force. It is cheaper than current,
// for those who ask about all blocks.
func (r *roster) keeps(b BlockID, m group.MemberID) bool {
	self := slices.IndexFunc(r.entries, func(e rosterEntry) bool { return e.id == m && e.at(r.version) })
	if self < 0 {
		return false
	}
	s := replicas{r: r, key: pointOf(blockKey(r.group, b))}
	nearer := 0
	for i, e := range r.entries {
		if e.at(r.version) && s.before(i, self) {
			if nearer++; nearer == replicaCount {
				return false
			}
		}
	}
	return true
}

// leftSince reports whether somebody left after a version.
func (r *roster) leftSince(version uint64) bool {
	return slices.ContainsFunc(r.moves, func(m move) bool { return !m.in && m.version > version })
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
	s := replicas{r: r, key: pointOf(blockKey(r.group, b))}
	for moves := r.moves; len(moves) > 0; {
		version, changed, gone := moves[0].version, len(chain) == 0, false
		for ; len(moves) > 0 && moves[0].version == version; moves = moves[1:] {
			if m := moves[0]; m.in {
				changed = s.enter(m.entry) || changed
			} else {
				gone = gone || slices.Contains(s.at[:s.n], m.entry)
			}
		}
		if gone { // somebody farther away takes the place
			s.fill(version)
		}
		if !changed && !gone {
			continue
		}
		set := s.voters()
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

// point is a place in the key space.
type point [4]uint64

func pointOf(b [32]byte) (p point) {
	for i := range p {
		p[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return p
}
