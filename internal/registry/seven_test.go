package registry

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"landbridge/internal/group"
	"landbridge/internal/race"
)

// The test of seven members: real registries on real files, a network that fails,
// members that crash. REGISTRY_SCALE (per cent) makes it smaller; with -short, and under
// the race detector, which makes it ten times as slow, it is short.
const (
	sevenClaims  = 10_000
	sevenBlocks  = 200
	sevenLeases  = 50_000
	sevenClients = 2_000 // of each member

	sevenClaimers = 4 // goroutines at each member
	sevenLeasers  = 8
)

func scaled(n int) int {
	if p, err := strconv.Atoi(os.Getenv("REGISTRY_SCALE")); err == nil {
		return max(1, n*p/100)
	}
	switch {
	case race.Enabled:
		return n / 200
	case testing.Short():
		return n / 20
	}
	return n
}

func TestSevenMembersUnderKillsAndPartitionsGrantOnceAndLoseNoLease(t *testing.T) {
	l := newLab(t, "10.9.0.0/16", 6)
	h := newHistory()
	l.pace.audit = h.ballot
	l.pace.tick = 100 * time.Millisecond
	var seed [32]byte
	copy(seed[:], fmt.Sprint(time.Now().UnixNano()))
	t.Logf("chaos seed %x", seed)
	ns := l.members(7)
	w := &sevenWorld{t: t, nodes: ns, acked: make(map[netip.Addr]sevenAck)}
	began := time.Now()
	stop := make(chan struct{})
	var chaos, work sync.WaitGroup
	chaos.Go(func() { w.disturb(l, rand.New(rand.NewChaCha8(seed)), stop) })
	claims, leases := scaled(sevenClaims), scaled(sevenLeases)
	for i, n := range ns {
		for range sevenClaimers {
			work.Go(func() { w.claim(n, claims) })
		}
		for range sevenLeasers {
			work.Go(func() { w.lease(i, n, leases) })
		}
	}
	work.Wait()
	close(stop)
	chaos.Wait()
	t.Logf("%d claims (%d won), %d leases acknowledged (%d addresses), %d kills, %d partitions, in %v",
		w.claims.Load(), w.won.Load(), w.leases.Load(), len(w.acked), w.kills, w.cuts, time.Since(began).Round(time.Millisecond))
	w.settle()
	for _, n := range ns {
		if n.forgetful() {
			t.Errorf("%s was killed and started, and is taken for an older copy of itself", n.name)
		}
		n.stop()
	}
	h.judge(t)
}

// sevenAck is an acknowledged lease.
type sevenAck struct {
	client int
	node   *node
}

type sevenWorld struct {
	t           *testing.T
	nodes       []*node
	claims, won atomic.Int64
	leases      atomic.Int64
	kills, cuts int

	mu    sync.Mutex
	acked map[netip.Addr]sevenAck
}

// claim takes and gives back contested blocks.
func (w *sevenWorld) claim(n *node, limit int) {
	for w.claims.Add(1) <= int64(limit) {
		r := n.registry()
		if r == nil {
			w.claims.Add(-1)
			time.Sleep(5 * time.Millisecond) // the node is down; nothing tells when it is back
			continue
		}
		b := BlockID(rand.IntN(sevenBlocks))
		ctx := short(w.t, 2*time.Second)
		if _, err := r.obtain(ctx, b, opClaim); err == nil {
			w.won.Add(1)
			_ = r.release(ctx, b) // not while somebody has a lease in it
		}
	}
	w.claims.Add(-1)
}

// lease makes and renews leases of the node's own clients.
func (w *sevenWorld) lease(i int, n *node, limit int) {
	for w.leases.Load() < int64(limit) {
		r := n.registry()
		if r == nil {
			time.Sleep(5 * time.Millisecond) // as above
			continue
		}
		c := i*sevenClients + rand.IntN(sevenClients)
		ctx := short(w.t, 2*time.Second)
		offer, err := r.Offer(ctx, client(c), netip.Addr{})
		if err != nil {
			continue
		}
		if _, err := r.Commit(ctx, client(c), offer.Addr); err != nil || n.registry() != r {
			continue // a crash between commit and acknowledgement
		}
		w.leases.Add(1)
		w.mu.Lock()
		if was, ok := w.acked[offer.Addr]; ok && was.client != c {
			w.t.Errorf("%v: leased to client %d by %s and to client %d by %s", offer.Addr, was.client, was.node.name, c, n.name)
		}
		w.acked[offer.Addr] = sevenAck{c, n}
		w.mu.Unlock()
	}
}

// disturb kills and cuts off members, one or two at a time.
func (w *sevenWorld) disturb(l *lab, rng *rand.Rand, stop <-chan struct{}) {
	pause := func(least, most int) bool {
		select {
		case <-stop:
			return false
		case <-time.After(time.Duration(least+rng.IntN(most-least)) * time.Millisecond):
			return true
		}
	}
	for pause(100, 400) {
		n, m := w.nodes[rng.IntN(len(w.nodes))], w.nodes[rng.IntN(len(w.nodes))]
		if rng.IntN(2) == 0 {
			w.kills++
			if err := n.kill(); err != nil {
				w.t.Errorf("kill %s: %v", n.name, err)
				return
			}
			pause(50, 300)
			if err := n.tryStart(); err != nil {
				w.t.Errorf("start %s: %v", n.name, err)
				return
			}
			continue
		}
		w.cuts++
		l.isolate(n, true)
		l.isolate(m, true)
		pause(100, 600)
		l.isolate(n, false)
		l.isolate(m, false)
	}
}

// settle lets everything heal and looks for every acknowledged lease.
func (w *sevenWorld) settle() {
	w.t.Helper()
	for _, n := range w.nodes {
		if err := n.kill(); err != nil {
			w.t.Fatal(err)
		}
		if err := n.tryStart(); err != nil {
			w.t.Fatal(err)
		}
	}
	type service struct {
		node   *node
		client string
	}
	served := make(map[netip.Addr]service)
	for _, n := range w.nodes {
		for lease := range n.reg.Leases() {
			if was, ok := served[lease.Addr]; ok {
				w.t.Errorf("%v is served by %s to client %x and by %s to client %x", lease.Addr, was.node.name, was.client, n.name, lease.Client)
			}
			served[lease.Addr] = service{n, string(lease.Client)}
		}
	}
	lost := 0
	for a, k := range w.acked {
		if served[a].client != string(client(k.client).ID) {
			lost++
		}
	}
	if lost > 0 {
		w.t.Errorf("%d of %d acknowledged leases are lost", lost, len(w.acked))
	}
	holder := make(map[BlockID]*node)
	for _, n := range w.nodes {
		for _, b := range n.reg.Blocks() {
			if o := holder[b.Block]; o != nil {
				w.t.Errorf("block %d is held by %s and %s", b.Block, o.name, n.name)
			}
			holder[b.Block] = n
		}
	}
}

// history collects what members asked of registers and what they were told.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   map[BlockID][]porcupine.Operation
	who   map[group.MemberID]int
}

func newHistory() *history {
	return &history{began: time.Now(), ops: make(map[BlockID][]porcupine.Operation), who: make(map[group.MemberID]int)}
}

// asked and told are one ballot as the model sees it.
type asked struct {
	member group.MemberID
	op     op
	epoch  uint64
}
type told struct {
	unknown bool
	grant   Grant
	err     error // nil, or one of ErrTaken, ErrNotHolder, ErrHeld
}

func (h *history) ballot(a ballotAudit) {
	out := told{grant: a.grant}
	end := a.ended.Sub(h.began).Nanoseconds()
	switch {
	case a.err == nil:
	case settled(a.err):
		for _, e := range []error{ErrTaken, ErrNotHolder, ErrHeld} {
			if errors.Is(a.err, e) {
				out.err = e
			}
		}
	case !a.uncertain:
		return // it asked and changed nothing
	default:
		out.unknown = true
		end = 1 << 62 // it may still happen at any time
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id, ok := h.who[a.member]
	if !ok {
		id = len(h.who)
		h.who[a.member] = id
	}
	h.ops[a.block] = append(h.ops[a.block], porcupine.Operation{
		ClientId: id, Input: asked{a.member, a.op, a.epoch}, Call: a.asked.Sub(h.began).Nanoseconds(),
		Output: out, Return: end,
	})
}

// registerModel is a register as one who reads the documentation expects it.
func registerModel() porcupine.NondeterministicModel {
	return porcupine.NondeterministicModel{
		Init: func() []any { return []any{Grant{}} },
		Step: func(state, input, output any) []any {
			s, q, a := state.(Grant), input.(asked), output.(told)
			next, err := q.op.apply(q.member, q.epoch, s)
			if a.unknown {
				if err != nil {
					return []any{s}
				}
				return []any{s, next}
			}
			switch {
			case errors.Is(a.err, ErrHeld):
				err, next = ErrHeld, s // when, is not this model's business
			case err != nil:
				next = s
			}
			if next != a.grant || !errors.Is(err, a.err) || (err == nil) != (a.err == nil) {
				return nil
			}
			return []any{next}
		},
	}
}

func (h *history) judge(t *testing.T) {
	t.Helper()
	total, unknown := 0, 0
	m := registerModel()
	model := m.ToModel()
	for b, ops := range h.ops {
		total += len(ops)
		for _, o := range ops {
			if o.Output.(told).unknown {
				unknown++
			}
		}
		switch porcupine.CheckOperationsTimeout(model, ops, 2*time.Minute) {
		case porcupine.Illegal:
			t.Errorf("block %d: its history of %d operations is not linearizable", b, len(ops))
		case porcupine.Unknown:
			t.Errorf("block %d: the checker found no answer in time for %d operations", b, len(ops))
		}
	}
	t.Logf("porcupine accepted %d operations on %d registers, %d of them with unknown outcome", total, len(h.ops), unknown)
}

// The judge must be able to say no.
func TestTheJudgeRejectsTwoHoldersOfOneEpoch(t *testing.T) {
	h := newHistory()
	a, b := group.MemberID{1}, group.MemberID{2}
	at := func(ms int) time.Time { return h.began.Add(time.Duration(ms) * time.Millisecond) }
	h.ballot(ballotAudit{member: a, op: opClaim, asked: at(1), ended: at(3), grant: Grant{Holder: a, Epoch: 1}})
	h.ballot(ballotAudit{member: b, op: opClaim, asked: at(2), ended: at(4), grant: Grant{Holder: b, Epoch: 1}})
	m := registerModel()
	if porcupine.CheckOperations(m.ToModel(), h.ops[0]) {
		t.Fatal("accepted")
	}
}
