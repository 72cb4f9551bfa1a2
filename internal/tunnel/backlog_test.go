package tunnel

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// backlogTest is a backlog, a clock, and what has come out of it.
type backlogTest struct {
	*testing.T
	backlog
	counted counters
	now     time.Duration
}

func newBacklogTest(t *testing.T) *backlogTest {
	q := &backlogTest{T: t, now: time.Hour}
	q.counts, q.quantum = &q.counted, minQuantum
	return q
}

func dataTo(n byte) laneKey {
	return laneKey{addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 4860)}
}

// numbered is n datagrams of size bytes, the last a byte shorter, that begin with their numbers.
func numbered(first, n, size int) []byte {
	b := make([]byte, n*size-1)
	for i := range n {
		binary.BigEndian.PutUint32(b[i*size:], uint32(first+i))
	}
	return b
}

// take takes the next message, and returns to whom it goes and the numbers in it.
func (q *backlogTest) take() (key byte, numbers []int, ok bool) {
	m, ok := q.next(q.now)
	if !ok {
		return 0, nil, false
	}
	again, _ := q.next(q.now)
	if again.addr != m.addr || &again.data[0] != &m.data[0] || again.n != m.n {
		q.Fatal("what wasn't taken isn't next")
	}
	for at := 0; at < len(m.data); at += m.size {
		numbers = append(numbers, int(binary.BigEndian.Uint32(m.data[at:])))
	}
	if len(numbers) != m.n {
		q.Fatalf("%d datagrams in a message of %d", len(numbers), m.n)
	}
	q.taken(m)
	return m.addr.Addr().As4()[3], numbers, true
}

func TestTheBacklogKeepsTheOrderOfADestination(t *testing.T) {
	q := newBacklogTest(t)
	q.quantum = 5000
	var want []int
	for i, sizes := 0, []int{100, 1400, 1400, 9000, 33, 1433}; len(want) < 300; i++ {
		n := 1 + i%9
		q.put(q.now, dataTo(1), numbered(len(want), n, sizes[i%len(sizes)]), sizes[i%len(sizes)])
		for range n {
			want = append(want, len(want))
		}
	}
	var got []int
	joined := 0
	for {
		_, numbers, ok := q.take()
		if !ok {
			break
		}
		if len(numbers) > 1 {
			joined++
		}
		got = append(got, numbers...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d came of %d, or in another order: %v", len(got), len(want), moved(q.counted.list(0, numCounters)))
	}
	if joined < 50 {
		t.Errorf("only %d messages were runs", joined)
	}
	if q.used != 0 || q.lane(dataTo(1)).bytes != 0 {
		t.Errorf("%d blocks and %d bytes in an empty backlog", q.used, q.lane(dataTo(1)).bytes)
	}
}

func TestASparseDestinationGoesBeforeAFloodAndUrgentBeforeAll(t *testing.T) {
	q := newBacklogTest(t)
	q.put(q.now, dataTo(1), numbered(0, 200, 1400), 1400)
	for range 3 {
		if to, _, _ := q.take(); to != 1 {
			t.Fatalf("to %d", to)
		}
	}
	urgent := dataTo(3)
	urgent.class = classUrgent
	for range 20 { // in each round of the flood the sparse one sends a little
		q.put(q.now, dataTo(2), numbered(0, 1, 100), 100)
		q.put(q.now, urgent, numbered(0, 1, 60), 60)
		if to, _, _ := q.take(); to != 3 {
			t.Fatalf("to %d before what is urgent", to)
		}
		if to, _, _ := q.take(); to != 2 {
			t.Fatalf("to %d before the sparse one", to)
		}
		for range 2 {
			if to, _, _ := q.take(); to != 1 {
				t.Fatalf("to %d: the flood has starved", to)
			}
		}
	}
}

func TestTheBacklogIsFairInBytes(t *testing.T) {
	q := newBacklogTest(t)
	sizes := map[byte]int{1: 1400, 2: 150, 3: 9000}
	bytes := map[byte]int{}
	for range 4000 {
		for to, size := range sizes {
			if f := q.lane(dataTo(to)); f.bytes < 30_000 {
				q.put(q.now, dataTo(to), numbered(0, 3, size), size)
			}
		}
		to, numbers, _ := q.take()
		bytes[to] += len(numbers) * sizes[to]
	}
	for to, n := range bytes {
		if mean := (bytes[1] + bytes[2] + bytes[3]) / 3; n < mean*95/100 || n > mean*105/100 {
			t.Errorf("%d bytes to %d, which sends datagrams of %d, of %d each", n, to, sizes[to], mean)
		}
	}
}

// Whoever empties its queue comes after those who wait (RFC 8290, section 4.2).
func TestADestinationCannotComeFirstAgainAndAgain(t *testing.T) {
	q := newBacklogTest(t)
	q.put(q.now, dataTo(1), numbered(0, 100, 1400), 1400)
	others := 0
	for range 50 {
		q.next(q.now) // sees that it is empty
		if q.lane(dataTo(2)).bytes == 0 {
			q.put(q.now, dataTo(2), numbered(0, 1, 1400), 1400)
		}
		if to, _, _ := q.take(); to == 1 {
			others++
		}
	}
	if others < 20 {
		t.Errorf("the flood got %d of 50 turns", others)
	}
}

func TestTheBacklogIsBoundedAndDropsTheOldest(t *testing.T) {
	q := newBacklogTest(t)
	const size, total = 1400, 10_000
	for i := range total / 10 {
		q.put(q.now, dataTo(1), numbered(i*10, 10, size), size)
		if q.used > backlogBlocks/2 {
			t.Fatalf("one destination has %d blocks", q.used)
		}
	}
	q.put(q.now, dataTo(2), numbered(0, 1, size), size) // there is room for others
	var got []int
	for to := byte(1); to == 1; {
		var numbers []int
		to, numbers, _ = q.take()
		if to == 1 {
			got = append(got, numbers...)
		}
		if len(got) > 2 {
			t.Fatal("another destination waits for it")
		}
	}
	for {
		_, numbers, ok := q.take()
		if !ok {
			break
		}
		got = append(got, numbers...)
	}
	if got[len(got)-1] != total-1 || !slices.IsSorted(got) {
		t.Errorf("the newest is %d", got[len(got)-1])
	}
	if dropped := int(q.counted[SendFull].Load()); dropped+len(got) != total {
		t.Errorf("%d came and %d were counted as dropped, of %d", len(got), dropped, total)
	}
}

// Control messages overtake what waits: with more of it than the replay window holds, what
// comes after them would be refused.
func TestTheBacklogOfADestinationFitsTheReplayWindow(t *testing.T) {
	q := newBacklogTest(t)
	const size, total = 90, 50_000
	for i := range total / 50 {
		q.put(q.now, dataTo(1), numbered(i*50, 50, size), size)
	}
	got := 0
	for {
		_, numbers, ok := q.take()
		if !ok {
			break
		}
		got += len(numbers)
	}
	if got > replayWindow/2+200 || got < replayWindow/4 {
		t.Errorf("%d datagrams waited", got)
	}
	if dropped := int(q.counted[SendFull].Load()); dropped+got != total || q.lane(dataTo(1)).n != 0 {
		t.Errorf("%d came and %d were counted as dropped, of %d; %d are left", got, dropped, total, q.lane(dataTo(1)).n)
	}
}

func TestManyDestinationsShareTheBacklog(t *testing.T) {
	q := newBacklogTest(t)
	put := 0
	for round := range 100 {
		for to := range byte(200) {
			q.put(q.now, dataTo(to), numbered(round*10, 10, 1000), 1000)
			put += 10
		}
		if q.used > backlogBlocks || len(q.lanes) > backlogBlocks {
			t.Fatalf("%d blocks, %d destinations", q.used, len(q.lanes))
		}
	}
	got := 0
	seen := map[byte]bool{}
	for {
		to, numbers, ok := q.take()
		if !ok {
			break
		}
		seen[to] = true
		got += len(numbers)
	}
	if dropped := int(q.counted[SendFull].Load()); dropped+got != put {
		t.Errorf("%d came and %d were counted as dropped, of %d", got, dropped, put)
	}
	if len(seen) < 100 {
		t.Errorf("only %d destinations got anything", len(seen))
	}
	q.put(q.now, dataTo(250), numbered(0, 1, 100), 100)
	if to, _, ok := q.take(); !ok || to != 250 {
		t.Error("it doesn't go on")
	}
	q.put(q.now, dataTo(1), numbered(0, 1, blockSize+2), blockSize+2)
	if _, _, ok := q.take(); ok {
		t.Error("a datagram larger than a block was taken")
	}
	q.put(q.now, dataTo(1), nil, 0)
	if _, _, ok := q.take(); ok {
		t.Error("a datagram without bytes was taken")
	}
}

// A queue in which datagrams stand for long is thinned out: one that doesn't, or no longer
// than CoDel's interval, isn't. What is stale goes at once.
func TestWhatStandsInTheBacklogIsDropped(t *testing.T) {
	for _, c := range []struct {
		name    string
		size    int
		sojourn time.Duration
		lasting time.Duration
		least   uint64
		most    uint64
	}{
		{"a short wait", 1400, 4 * time.Millisecond, 2 * time.Second, 0, 0},
		{"a burst", 1400, 50 * time.Millisecond, 90 * time.Millisecond, 0, 0},
		{"a standing queue", 1400, 20 * time.Millisecond, time.Second, 10, 100},
		{"a standing queue of small ones", 400, 20 * time.Millisecond, time.Second, 0, 0},
		{"a stale queue", 1400, 2 * backlogStale, 2 * time.Millisecond, 20, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newBacklogTest(t)
			n := 0
			put := func(now time.Duration) {
				q.put(now, dataTo(1), numbered(n, 1, c.size), c.size)
				n++
			}
			for at := q.now - c.sojourn; at < q.now; at += time.Millisecond {
				put(at)
			}
			for range c.lasting / time.Millisecond {
				put(q.now)
				q.take()
				q.now += time.Millisecond
			}
			if got := q.counted[SendOld].Load(); got < c.least || got > c.most {
				t.Errorf("%d dropped, want %d to %d", got, c.least, c.most)
			}
		})
	}
}

// What small datagrams are spared isn't made up for by large ones that come long after.
func TestLargeDatagramsDoNotPayForSmallOnes(t *testing.T) {
	q := newBacklogTest(t)
	stand := func(lasting time.Duration, sizes ...int) (dropped uint64) { // a queue of 30 ms
		before := q.counted[SendOld].Load()
		for range lasting / time.Millisecond {
			for _, size := range sizes {
				q.put(q.now, dataTo(1), numbered(0, 1, size), size)
			}
			for q.lane(dataTo(1)).n > 30*len(sizes) {
				q.take()
			}
			q.now += time.Millisecond
		}
		return q.counted[SendOld].Load() - before
	}
	if n := stand(500*time.Millisecond, 1400, 400); n == 0 {
		t.Fatal("nothing is dropped from a standing queue")
	}
	if n := stand(time.Minute, 400); n > 0 {
		t.Errorf("%d small ones were dropped", n)
	}
	if n := stand(500*time.Millisecond, 1400, 400); n == 0 || n > 60 {
		t.Errorf("%d of 500 large ones were dropped", n)
	}
}

func TestTheBacklogGivesItsMemoryBack(t *testing.T) {
	q := newBacklogTest(t)
	if q.spare != nil || cap(q.lanes) > 0 {
		t.Error("an unused backlog has memory")
	}
	q.put(q.now, dataTo(1), numbered(0, 100, 1400), 1400)
	if q.trim() {
		t.Error("trimmed while something waits")
	}
	for ok := true; ok; {
		_, _, ok = q.take()
	}
	if q.spare == nil {
		t.Error("blocks aren't kept for the next time")
	}
	if !q.trim() || q.spare != nil || q.lanes != nil {
		t.Error("memory isn't given back")
	}
	q.put(q.now, dataTo(1), numbered(0, 1, 1400), 1400)
	if _, _, ok := q.take(); !ok {
		t.Error("it can't be used any more")
	}
}

func TestABacklogInUseAllocatesNothing(t *testing.T) {
	q := newBacklogTest(t)
	data := numbered(0, 40, 1400)
	run := func() {
		for to := range byte(20) {
			q.put(q.now, dataTo(to), data, 1400)
		}
		for {
			m, ok := q.next(q.now)
			if !ok {
				return
			}
			q.taken(m)
			q.now += 100 * time.Microsecond
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
