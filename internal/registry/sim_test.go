package registry

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"landbridge/internal/group"
)

// sim runs the pure machines of many members in virtual time, under a schedule
// that its seed makes: delays, losses, reordering, duplicates, crashes, restarts,
// reboots, partitions (also one-way), clocks that drift and step, members that come
// and go. It checks after every event what must always hold.
type sim struct {
	seed    uint64
	rng     *rand.Rand
	defect  defect
	now     time.Duration // true time
	queue   simQueue
	order   uint64
	nodes   []*simNode
	entries []rosterEntry
	rosters []*roster // by version; 0 is nil
	cut     map[[2]int]bool
	weather

	holders map[simEpoch]int // who installed a block's epoch
	leases  map[simAddr]simLease
	wrongs  []string
	trace   []string
	granted int
	renewed int
	heirs   int
	leased  int
}

// weather is what a schedule is like on the whole.
type weather struct {
	late, loss float64       // share of messages
	lateBy     time.Duration // at most
	churn      float64       // share of faults that change the roster
	faultEvery time.Duration
}

func (s *sim) pickWeather() weather {
	return weather{
		late: []float64{0.05, 0.3}[s.rng.IntN(2)], loss: []float64{0.02, 0.1, 0.3}[s.rng.IntN(3)],
		lateBy: []time.Duration{700 * time.Millisecond, 3 * time.Second}[s.rng.IntN(2)],
		churn:  []float64{0, 0.2, 0.8}[s.rng.IntN(3)], faultEvery: []time.Duration{time.Second, 4 * time.Second}[s.rng.IntN(2)],
	}
}

// defect is a bug put into the driver, to see that the checks find it.
type defect uint8

const (
	sound           defect = iota
	smallQuorum            // one vote too few is enough
	noSeal                 // older versions are still served
	noFsync                // a crash loses what was answered
	noTransfer             // a new replica starts free
	transferFromOne        // a new replica believes the first who answers
	inheritAtOnce          // nobody waits for the holder's time to lapse
	timersForgiven         // a restarted replica believes every holder to be silent
	wallClockHold          // a hold is measured by the wall clock alone
	releaseTooLate         // a holder goes on leasing until its release is acknowledged
	leaseUnsynced          // a lease is acknowledged before it is on disk
	renewalUndated         // a replica doesn't write down when it accepted a renewal
	adoptionUndated        // a new replica counts a holder's silence from before it was one
	defectCount
)

func (d defect) String() string {
	return [...]string{"sound", "smallQuorum", "noSeal", "noFsync", "noTransfer", "transferFromOne",
		"inheritAtOnce", "timersForgiven", "wallClockHold", "releaseTooLate", "leaseUnsynced", "renewalUndated", "adoptionUndated"}[d]
}

type simEpoch struct {
	block BlockID
	epoch uint64
}

type simAddr struct {
	block BlockID
	off   int
}

// simLease is the last acknowledged lease of an address, in true time.
type simLease struct {
	client int
	node   int
	epoch  uint64
	until  time.Duration
}

const (
	simMembers = 7
	simBlocks  = 2
	simHold    = 8 * time.Second
	simLeaseT  = 2 * time.Second
	simPhase   = 800 * time.Millisecond
	simLength  = 150 * time.Second
)

// simDisk survives crashes.
type simDisk struct {
	version, sealed uint64
	acceptors       map[BlockID]acceptorState
	holds           map[BlockID]hold
	leases          map[simAddr]leaseRow
}

func (d simDisk) clone() simDisk {
	c := simDisk{version: d.version, sealed: d.sealed, acceptors: make(map[BlockID]acceptorState),
		holds: make(map[BlockID]hold), leases: make(map[simAddr]leaseRow)}
	for k, v := range d.acceptors {
		c.acceptors[k] = v
	}
	for k, v := range d.holds {
		c.holds[k] = v
	}
	for k, v := range d.leases {
		c.leases[k] = v
	}
	return c
}

type simNode struct {
	s      *sim
	index  int
	id     group.MemberID
	up     bool
	life   int // grows with each crash: answers to a former life are lost
	disk   simDisk
	synced simDisk // what a crash leaves, when fsync is the defect

	drift      float64
	bootAt     time.Duration // true time at which Mono was 0
	boots      int
	wallOffset time.Duration
	anchored   time.Duration // wallOffset when the holds were last anchored to it

	timers    replica
	counter   uint64
	proposing map[BlockID]bool
	moving    map[BlockID]bool
	leases    map[simAddr]*lease
}

func newSim(seed uint64, d defect) *sim {
	s := &sim{seed: seed, rng: rand.New(rand.NewPCG(seed, 2)), defect: d, cut: make(map[[2]int]bool),
		holders: make(map[simEpoch]int), leases: make(map[simAddr]simLease), rosters: []*roster{nil}}
	s.weather = s.pickWeather()
	for i := range simMembers {
		n := &simNode{s: s, index: i, up: true, drift: 1 + (s.rng.Float64()*2-1)*0.01}
		n.id[0], n.id[1] = byte(i+1), byte(s.rng.Uint32()) // other distances in each schedule
		n.disk = simDisk{}.clone()
		n.forget()
		s.nodes = append(s.nodes, n)
	}
	for range 1 + s.rng.IntN(4) {
		s.admit()
	}
	for _, n := range s.nodes {
		n.disk.version = uint64(len(s.rosters) - 1)
		n.synced = n.disk.clone()
		s.after(s.jitter(time.Second), n.live)
	}
	s.after(s.jitter(5*time.Second), s.trouble)
	return s
}

// forget loses what a process has in memory.
func (n *simNode) forget() {
	n.timers = replica{timers: make(map[BlockID]lapseTimer)}
	n.proposing, n.moving = make(map[BlockID]bool), make(map[BlockID]bool)
	n.leases = make(map[simAddr]*lease)
	n.counter = 0
}

func (s *sim) jitter(d time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(d))) + 1
}
func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

// Virtual time.

type simEvent struct {
	at    time.Duration
	order uint64
	f     func()
}
type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func (s *sim) after(d time.Duration, f func()) {
	s.order++
	heap.Push(&s.queue, simEvent{s.now + d, s.order, f})
}

// run plays the schedule and returns the first violation.
func (s *sim) run() error {
	for len(s.queue) > 0 && len(s.wrongs) == 0 {
		e := heap.Pop(&s.queue).(simEvent)
		if e.at > simLength {
			break
		}
		s.now = e.at
		e.f()
	}
	if len(s.wrongs) > 0 {
		return fmt.Errorf("seed %d, defect %v, at %v: %s\n%s", s.seed, s.defect, s.now, s.wrongs[0],
			strings.Join(s.trace[max(0, len(s.trace)-40):], "\n"))
	}
	return nil
}

func (s *sim) violated(format string, args ...any) {
	s.wrongs = append(s.wrongs, fmt.Sprintf(format, args...))
}

func (s *sim) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf("%v ", s.now)+fmt.Sprintf(format, args...))
}

// Faults.

// trouble makes one fault, or mends some, and comes back.
func (s *sim) trouble() {
	defer s.after(s.jitter(s.faultEvery), s.trouble)
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	kind := s.rng.IntN(10)
	if s.chance(s.churn) {
		kind = 10 + s.rng.IntN(2)
	}
	switch kind {
	case 0, 1: // a partition: some against the rest
		for i := range s.nodes {
			for j := range s.nodes {
				s.cut[[2]int{i, j}] = i != j && (s.seed>>uint(i)^uint64(s.now>>20)>>uint(i))&1 != (s.seed>>uint(j)^uint64(s.now>>20)>>uint(j))&1
			}
		}
	case 2: // one way
		s.cut[[2]int{n.index, s.rng.IntN(len(s.nodes))}] = true
	case 3: // one member is cut off
		for i := range s.nodes {
			s.cut[[2]int{n.index, i}], s.cut[[2]int{i, n.index}] = i != n.index, i != n.index
		}
	case 4, 5, 6:
		clear(s.cut)
	case 7, 8:
		s.crash(n)
	case 9:
		s.note("member %d: the wall clock steps", n.index)
		n.wallOffset += time.Duration((s.rng.Float64()*2 - 1) * float64(time.Hour))
	case 10:
		s.admit()
	case 11:
		if s.chance(0.6) {
			s.expel()
		}
	}
}

func (s *sim) crash(n *simNode) {
	if !n.up {
		return
	}
	n.up = false
	n.life++
	if s.defect == noFsync || s.defect == leaseUnsynced {
		if s.defect == noFsync {
			n.disk = n.synced.clone()
		} else {
			n.disk.leases = n.synced.clone().leases
		}
	}
	n.forget()
	down := s.jitter(3 * time.Second)
	if s.chance(0.2) {
		down = simHold + simLeaseT + s.jitter(20*time.Second)
	}
	reboot := s.chance(0.3)
	s.after(down, func() {
		if reboot {
			n.boots++
			n.bootAt = s.now
			n.wallOffset = max(n.wallOffset, n.anchored) // the one thing that nobody can see: a clock set back while off
		}
		n.up = true
		s.note("member %d starts, reboot %v", n.index, reboot)
		n.recover()
	})
}

// admit and expel change the roster; one member hears of it.
func (s *sim) admit() {
	var out []*simNode
	for _, n := range s.nodes {
		if !slices.ContainsFunc(s.entries, func(e rosterEntry) bool { return e.id == n.id }) {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return
	}
	n := out[s.rng.IntN(len(out))]
	v := uint64(len(s.rosters))
	s.entries = append(slices.Clone(s.entries), rosterEntry{id: n.id, added: v})
	s.publish(n)
}

func (s *sim) expel() {
	last := s.rosters[len(s.rosters)-1]
	if len(last.members()) < 3 {
		return
	}
	m := last.members()[s.rng.IntN(len(last.members()))]
	v := uint64(len(s.rosters))
	s.entries = slices.Clone(s.entries)
	for i := range s.entries {
		if s.entries[i].id == m {
			s.entries[i].removed = v
		}
	}
	s.publish(s.nodes[s.rng.IntN(len(s.nodes))])
}

func (s *sim) publish(tell *simNode) {
	v := uint64(len(s.rosters))
	s.rosters = append(s.rosters, newRoster(group.ID{1}, v, s.entries))
	s.note("version %d", v)
	tell.learn(v)
}

func (n *simNode) learn(version uint64) {
	if version > n.disk.version {
		n.disk.version = version
		n.synced.version = version // a descriptor is not ours to lose
	}
}

// send delivers a message, or not, or twice, or late.
func (s *sim) send(from, to *simNode, deliver func()) {
	if from == to {
		s.after(0, deliver)
		return
	}
	if s.chance(s.loss) {
		return
	}
	times := 1
	if s.chance(0.03) {
		times = 2
	}
	for range times {
		d := s.jitter(80 * time.Millisecond)
		if s.chance(s.late) {
			d = s.jitter(s.lateBy)
		}
		s.after(d, func() {
			if to.up && !s.cut[[2]int{from.index, to.index}] {
				deliver()
			}
		})
	}
}

func (s *sim) node(id group.MemberID) *simNode {
	return s.nodes[slices.IndexFunc(s.nodes, func(n *simNode) bool { return n.id == id })]
}

// instant reads the node's clocks.
func (n *simNode) instant() Instant {
	mono := time.Duration(float64(n.s.now-n.bootAt) * n.drift)
	return Instant{Boot: fmt.Sprint(n.boots), Mono: mono, Wall: time.Unix(1e9, 0).Add(n.s.now + n.wallOffset)}
}

func (n *simNode) roster() *roster { return n.s.rosters[n.disk.version] }

// conf is the block's configuration, with the defect in its quorum.
func (n *simNode) conf(b BlockID) configuration {
	c := n.roster().current(b)
	if n.s.defect == smallQuorum && len(c.members) > 1 {
		c.need--
	}
	return c
}

func (n *simNode) valid(h hold) bool {
	now := n.instant()
	if n.s.defect == wallClockHold {
		d := now.Wall.Sub(h.renewed().Wall)
		return d < simHold
	}
	return h.valid(now, simHold)
}

// check looks at everything that must hold at all times.
func (s *sim) check(b BlockID) {
	owner := -1
	for _, n := range s.nodes {
		h, ok := n.disk.holds[b]
		if !ok || !n.up || !n.valid(h) {
			continue
		}
		if owner >= 0 {
			s.violated("block %d: members %d and %d both lease in it", b, owner, n.index)
			for _, m := range []*simNode{s.nodes[owner], n} {
				h := m.disk.holds[b]
				s.note("member %d: epoch %d, renewed %v, now %v", m.index, h.Epoch, h.renewed(), m.instant())
			}
		}
		owner = n.index
	}
}

// installed notes that a node believes to hold an epoch.
func (s *sim) installed(n *simNode, b BlockID, g Grant) {
	key := simEpoch{b, g.Epoch}
	if other, ok := s.holders[key]; ok && other != n.index {
		s.violated("block %d, epoch %d: granted to members %d and %d", b, g.Epoch, other, n.index)
	}
	s.holders[key] = n.index
	s.check(b)
}
