package tunnel

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func (n *memNode) setCut(on bool) {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	n.cut = on
}

// What comes to a relay while the member that it is for isn't heard is delivered when it is, once.
func TestARelayKeepsWhatIsForAMemberThatIsAwayAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, d := site(t, m, symmetric, symmetric)
		a.send(b, "hello")
		await(t, time.Second, "through the relay", b.has(a, "hello"))
		flow(a, b, "before ", 100*ms, 5*time.Second)
		if c := d.tunnel.Counters(); c["relay_kept"] != 0 {
			t.Errorf("of a member that is there %d were kept", c["relay_kept"])
		}
		b.setCut(true)
		flow(a, b, "meanwhile ", 100*ms, 1800*ms)
		b.setCut(false)
		await(t, time.Second, "what came last is delivered", b.has(a, "meanwhile 17"))
		c := d.tunnel.Counters()
		if c["relay_kept"] == 0 || c["relay_kept_sent"] != c["relay_kept"] || c["relay_kept_lost"] != 0 {
			t.Errorf("counters %v", c)
		}
		for i := 9; i < 18; i++ { // the first 0.6 s are needed to notice, and as much until the path has fallen silent
			if !b.has(a, fmt.Sprint("meanwhile ", i))() {
				t.Errorf("packet %d is lost", i)
			}
		}
		flow(a, b, "after ", 100*ms, 5*time.Second)
		seen := make(map[string]bool)
		for _, text := range b.received(a) {
			if seen[text] {
				t.Errorf("%q came twice", text)
			}
			seen[text] = true
		}
		if after := d.tunnel.Counters(); after["relay_kept"] != c["relay_kept"] {
			t.Error("it goes on keeping")
		}
	})
}

// A member whose NAT has forgotten it comes from another address: what was kept goes there, not to where nobody listens.
func TestWhatARelayKeptFollowsAMemberToItsNewAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, d := site(t, m, symmetric, symmetric)
		a.send(b, "hello")
		await(t, time.Second, "through the relay", b.has(a, "hello"))
		flow(a, b, "before ", 100*ms, 5*time.Second)
		before := d.tunnel.peer(b.member.id).route.Load().addr
		b.setCut(true)
		flow(a, b, "meanwhile ", 100*ms, 1800*ms)
		m.mu.Lock()
		b.nat.forget()
		m.mu.Unlock()
		b.setCut(false)
		await(t, 2*time.Second, "what came last is delivered", b.has(a, "meanwhile 17"))
		if after := d.tunnel.peer(b.member.id).route.Load().addr; after == before {
			t.Fatalf("it is at %v as before: this test shows nothing", after)
		}
		for i := 9; i < 18; i++ {
			if !b.has(a, fmt.Sprint("meanwhile ", i))() {
				t.Errorf("packet %d is lost", i)
			}
		}
		if c := d.tunnel.Counters(); c["relay_kept_sent"] != c["relay_kept"] || c["relay_kept_lost"] != 0 {
			t.Errorf("counters %v", c)
		}
	})
}

// A member that is far isn't taken for one that is away: its answers take longer.
func TestNothingIsKeptForAMemberThatIsFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		m.delay, m.signal = 350*ms, 350*ms
		d := m.node(public)
		a, b := m.node(symmetric, keeping(d)), m.node(symmetric, keeping(d))
		await(t, 10*time.Second, "both have sessions with the relay", func() bool {
			return a.connected(d, PathDirect)() && b.connected(d, PathDirect)()
		})
		a.send(b, "hello")
		await(t, 10*time.Second, "through the relay", b.has(a, "hello"))
		flow(a, b, "far ", 20*ms, 30*time.Second)
		if c := d.tunnel.Counters(); c["relay_kept"] != 0 {
			t.Errorf("%d of %d were kept", c["relay_kept"], c["forwarded"])
		}
	})
}

func TestWhatARelayKeepsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, d := site(t, m, symmetric, symmetric)
		a.send(b, "hello")
		await(t, time.Second, "through the relay", b.has(a, "hello"))
		shelved := func() (one, all int) {
			d.dmx.mu.Lock()
			defer d.dmx.mu.Unlock()
			return d.tunnel.peer(b.member.id).shelf.bytes, d.tunnel.shelved
		}
		b.setCut(true)
		text := string(make([]byte, 1000))
		for range 250 {
			for range 10 {
				a.send(b, text)
			}
			time.Sleep(10 * ms)
			if one, all := shelved(); one > shelfBytes || all != one {
				t.Fatalf("%d bytes for one member, %d for all", one, all)
			}
		}
		if one, _ := shelved(); one < shelfBytes*9/10 {
			t.Errorf("%d bytes are kept", one)
		}
		time.Sleep(shelfFor + time.Second)
		if one, all := shelved(); one != 0 || all != 0 {
			t.Errorf("%d bytes for one member that doesn't come back, %d for all", one, all)
		}
		if c := d.tunnel.Counters(); c["relay_kept_lost"] != c["relay_kept"] || c["relay_no_path"] == 0 {
			t.Errorf("counters %v", c)
		}
	})
}
