package image

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// ledger is what hosts of a LAN have been promised: who has which address.
type ledger struct {
	hosts int

	mu   sync.Mutex
	held map[int]netip.Addr
}

// promised notes an acknowledged address, which nobody else may have.
func (l *ledger) promised(t *testing.T, n int, addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other, has := range l.held {
		if has == addr && other != n {
			t.Errorf("%v is leased to %v, and still %v's", addr, hostMAC(n), hostMAC(other))
		}
	}
	l.held[n] = addr
}

func (l *ledger) of(n int) (netip.Addr, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	addr, ok := l.held[n]
	return addr, ok
}

func (l *ledger) givenBack(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, n)
}

// talkers is how many hosts talk at a time.
const talkers = 8

// traffic has hosts lease, ask again and release, until ctx is done. What they get is noted.
func (l *ledger) traffic(ctx context.Context, t *testing.T, s *hosts, seed uint64) {
	var all sync.WaitGroup
	for w := range talkers {
		rng := rand.New(rand.NewPCG(seed, uint64(w)))
		all.Go(func() {
			for ctx.Err() == nil {
				n := w + talkers*rng.IntN(l.hosts/talkers)
				if err := l.turn(ctx, t, s, n, rng.IntN(3) == 0); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// turn is what a host does next.
func (l *ledger) turn(ctx context.Context, t *testing.T, s *hosts, n int, leave bool) error {
	addr, has := l.of(n)
	switch {
	case has && leave:
		l.givenBack(n)
		return s.release(hostMAC(n), addr)
	case has:
		return s.again(ctx, hostMAC(n), addr)
	}
	addr, err := s.lease(ctx, hostMAC(n))
	if err == nil {
		l.promised(t, n, addr)
	}
	return err
}

// check compares what was promised with the machine's list of leases, and has each host ask again.
func (l *ledger) check(t *testing.T, o *operator, s *hosts) {
	t.Helper()
	var list api.LeaseList
	o.m.until(t, "the list of leases", func(ctx context.Context) error {
		return o.ask(ctx, http.MethodGet, "/api/v1/leases?limit=1000&kind=dhcp", nil, &list)
	})
	listed, by := map[string]netip.Addr{}, map[netip.Addr]string{}
	for _, lease := range list.Items {
		if other := by[lease.Address]; other != "" {
			t.Errorf("%v is %s's, and %s's", lease.Address, other, lease.MAC)
		}
		listed[lease.MAC], by[lease.Address] = lease.Address, lease.MAC
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for n := range l.hosts {
		addr, has := l.of(n)
		if !has {
			continue
		}
		if got := listed[hostMAC(n).String()]; got != addr {
			t.Errorf("%v was acknowledged %v: the list has %v", hostMAC(n), addr, got)
		}
		if err := s.again(ctx, hostMAC(n), addr); err != nil {
			t.Errorf("after the cut: %v", err)
		}
	}
}

// plug is a machine whose plug is pulled again and again.
type plug struct {
	*testing.T
	rng     *rand.Rand
	host    *netlab.Host
	drive   *drive
	args    []string
	updates [2][]byte // one after the other, and again
	next    int       // of them
	running string    // the version
	ledger  ledger

	o    *operator
	s    *hosts
	gone <-chan struct{}
}

func plugVersion(n int) string { return fmt.Sprintf("next-%d", n) }

// boot gives the machine power, and waits until its console answers.
func (p *plug) boot() {
	p.Helper()
	p.gone = p.drive.on()
	m := bootFrom(p.T, p.host, p.drive.args(), 256, p.args...)
	took := m.until(p.T, "console", m.console(consoleAt))
	if p.o == nil {
		p.o = setUp(p.T, m)
	}
	p.o.m, p.s = m, newHosts(p.T, p.host, "lan")
	p.Logf("the console answers %v after QEMU's start", took)
}

// checked judges the machine after a cut.
func (p *plug) checked(target string) {
	p.Helper()
	var u api.Update
	p.o.m.until(p.T, "updates", func(ctx context.Context) error { return p.o.ask(ctx, http.MethodGet, "/api/v1/update", nil, &u) })
	if u.Version != p.running && u.Version != target {
		p.Errorf("it runs %s: neither %s nor %s", u.Version, p.running, target)
	}
	p.running = u.Version
	p.ledger.check(p.T, p.o, p.s)
	p.Logf("it runs %s (slot %s, %s, last %+v); %d leases hold", u.Version, u.Slot, u.Stage, u.Last, len(p.ledger.held))
}

// cut pulls the plug at a random moment of leases, or of an update while there are leases.
func (p *plug) cut(updating bool) (target string) {
	p.Helper()
	ctx, cancel := context.WithCancelCause(p.Context())
	var busy sync.WaitGroup
	seed := p.rng.Uint64()
	busy.Go(func() { p.ledger.traffic(ctx, p.T, p.s, seed) })
	if updating {
		p.next = 1 - p.next
		target = plugVersion(p.next)
		stage, within := p.rng.IntN(4), p.rng.Float64()
		busy.Go(func() {
			if err := p.update(ctx, stage, within); err != nil && ctx.Err() == nil {
				p.Error(err)
				p.drive.cut()
			}
		})
	} else {
		n := 1 + p.rng.IntN(600)
		p.Logf("the plug is pulled with write %d from now, amid leases", n)
		p.drive.cutAfter(n)
	}
	select {
	case <-p.gone:
	case <-time.After(patience):
		p.Log("the moment didn't come: pulled now")
		p.drive.cut()
	}
	p.o.m.pullPlug()
	cancel(errors.New("the plug is pulled"))
	busy.Wait()
	p.Logf("pulled after %d writes since the start", p.drive.written())
	return target
}

// update has the machine take an update, and pulls its plug in one stage of that: as it is handed in,
// as the slot is written, on the way into the new version, or as that is tried.
func (p *plug) update(ctx context.Context, stage int, within float64) error {
	var moment *time.Timer
	soon := func(atMost time.Duration) {
		wait := time.Duration(within * float64(atMost))
		p.Logf("the plug is pulled in %v", wait.Round(time.Millisecond))
		moment = time.AfterFunc(wait, p.drive.cut)
	}
	defer func() {
		if moment != nil {
			moment.Stop()
		}
	}()
	p.Logf("an update to %s; the plug is pulled in stage %d of it", plugVersion(p.next), stage)
	var offer api.UpdateOffer
	if stage == 0 {
		soon(8 * time.Second)
	}
	if err := p.patiently(ctx, func() error { return p.o.ask(ctx, http.MethodPut, "/api/v1/update", p.updates[p.next], &offer) }); err != nil {
		return err
	}
	if stage == 1 {
		n := 1 + int(within*300)
		p.Logf("the plug is pulled with write %d from now", n)
		p.drive.cutAfter(n)
	}
	order := api.UpdateOrder{ID: offer.ID, Older: true}
	if err := p.patiently(ctx, func() error { return p.o.ask(ctx, http.MethodPost, "/api/v1/update/apply", order, nil) }); err != nil {
		return err
	}
	for _, after := range []struct {
		stage  int
		shown  string
		atMost time.Duration
	}{
		{2, "The appliance is going down.", 20 * time.Second}, {3, "--- Landbridge " + offer.Version, 15 * time.Second},
	} {
		if stage < after.stage {
			break
		}
		if err := p.patiently(ctx, func() error { return p.o.m.shows(after.shown)(ctx) }); err != nil {
			return err
		}
		if stage == after.stage {
			soon(after.atMost)
		}
	}
	<-ctx.Done()
	return nil
}

// patiently does something until it succeeds, or ctx is done.
func (p *plug) patiently(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// numberOf returns a number from the environment.
func numberOf(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func TestAPulledPlugLeavesAnApplianceAndAllItsLeases(t *testing.T) {
	disk, _ := builtImage(t)
	cuts, seed := numberOf(t, "LANDBRIDGE_CUTS", 6), numberOf(t, "LANDBRIDGE_SEED", int(time.Now().UnixNano()%1e6))
	t.Logf("LANDBRIDGE_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	user := write(t, "user-data", "name: site-a\nmode: router\nlan-port: eth1\ncreate-group: office\ncreate-prefix: 10.20.0.0/16\n")
	p := &plug{
		T: t, rng: rng, host: netlab.ForTest(t).LAN("none").Host("machine"), drive: newDrive(t, disk, rng), ledger: ledger{hosts: 240, held: map[int]netip.Addr{}},
		args: append(outward(), "-action", "reboot=reset", "-fw_cfg", "name=opt/landbridge/user-data,file="+user,
			"-netdev", "tap,id=l,ifname=lan,script=no,downscript=no", "-device", "virtio-net-pci,netdev=l"),
	}
	if cuts > 1 {
		for n := range p.updates {
			p.updates[n] = nextVersion(t, disk, plugVersion(n), tree{})
		}
	}
	p.boot()
	var first api.Update
	if err := p.o.ask(t.Context(), http.MethodGet, "/api/v1/update", nil, &first); err != nil {
		t.Fatal(err)
	}
	p.running = first.Version
	p.o.m.until(t, "a first lease", func(ctx context.Context) error { return p.ledger.turn(ctx, t, p.s, 0, false) })
	for i := range cuts {
		t.Logf("--- cut %d of %d", i+1, cuts)
		target := p.cut(i%2 == 1)
		p.boot()
		p.checked(target)
		if t.Failed() {
			return
		}
	}
}
