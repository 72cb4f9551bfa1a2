package arp

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
)

// segment answers probes for the addresses in hosts, after delay, and counts them.
type segment struct {
	t      *testing.T
	prober *Prober
	hosts  map[netip.Addr]frame.MAC
	delay  time.Duration
	asker  netip.Addr // that the questions are to come from; the zero Addr: nobody's, as a probe's

	mu   sync.Mutex
	sent int
}

func newSegment(t *testing.T) *segment {
	s := &segment{t: t, hosts: make(map[netip.Addr]frame.MAC)}
	s.prober = NewProber(gateway, s.receive)
	return s
}

func (s *segment) receive(b []byte) error {
	e, err := frame.ParseEthernet(b)
	if err != nil {
		s.t.Error(err)
	}
	a, err := frame.ParseARP(e.Payload())
	if err != nil || e.Dst() != frame.Broadcast() || e.Src() != gateway || a.SenderMAC() != gateway || a.IsProbe() == s.asker.IsValid() || s.asker.IsValid() && a.SenderIP() != s.asker {
		s.t.Errorf("no probe of ours: %x, %v", b, err)
	}
	s.mu.Lock()
	s.sent++
	s.mu.Unlock()
	if mac, ok := s.hosts[a.TargetIP()]; ok {
		time.AfterFunc(s.delay, func() { s.prober.Observe(packet(frame.ARPReply, mac, a.TargetIP(), zero)) })
	}
	return nil
}

func TestAFreeAddressTakesTwoProbesAnd300Milliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSegment(t)
		began := time.Now()
		used, err := s.prober.InUse(t.Context(), free, nil)
		if used || err != nil || s.sent != 2 || time.Since(began) != 300*time.Millisecond {
			t.Fatalf("used %v, %v, %d probes, %v", used, err, s.sent, time.Since(began))
		}
	})
}

func TestAUsedAddressIsFoundAsSoonAsItsHostAnswers(t *testing.T) {
	for _, delay := range []time.Duration{0, 20 * time.Millisecond, 299 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s := newSegment(t)
			s.delay, s.hosts[free] = delay, hostMAC
			began := time.Now()
			used, err := s.prober.InUse(t.Context(), free, nil)
			if !used || err != nil || time.Since(began) != delay {
				t.Fatalf("used %v, %v after %v", used, err, time.Since(began))
			}
		})
	}
}

func TestTheClientItselfIsNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSegment(t)
		s.hosts[free] = hostMAC
		if used, err := s.prober.InUse(t.Context(), free, hostMAC.HardwareAddr()); used || err != nil {
			t.Fatalf("used %v, %v", used, err)
		}
		if used, err := s.prober.InUse(t.Context(), free, frame.MAC{2}.HardwareAddr()); !used || err != nil {
			t.Fatalf("another client: used %v, %v", used, err)
		}
	})
}

func TestWhatElseIsHeardWhileProbing(t *testing.T) {
	for _, c := range []struct {
		name   string
		packet frame.ARP
		used   bool
	}{
		{"a request from the address", packet(frame.ARPRequest, hostMAC, free, here), true},
		{"its announcement", packet(frame.ARPRequest, hostMAC, free, free), true},
		{"another host's probe of it", packet(frame.ARPRequest, hostMAC, zero, free), true},
		{"a request for it", packet(frame.ARPRequest, hostMAC, here, free), false},
		{"our own probe, come back", packet(frame.ARPRequest, gateway, zero, free), false},
		{"another address", packet(frame.ARPReply, hostMAC, here, free), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSegment(t)
			time.AfterFunc(100*time.Millisecond, func() { s.prober.Observe(c.packet) })
			if used, err := s.prober.InUse(t.Context(), free, nil); used != c.used || err != nil {
				t.Errorf("%s: used %v, %v", c.name, used, err)
			}
		})
	}
}

func TestProbesOfManyAddressesRunTogetherAndAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSegment(t)
		s.hosts[nth(7)] = hostMAC
		began := time.Now()
		var group sync.WaitGroup
		for i := range maxProbes {
			group.Go(func() {
				if used, err := s.prober.InUse(t.Context(), nth(i), nil); used != (i == 7) || err != nil {
					t.Errorf("%v: used %v, %v", nth(i), used, err)
				}
			})
		}
		time.Sleep(time.Millisecond) // fake time: all have started
		s.prober.mu.Lock()
		running := len(s.prober.probing)
		s.prober.mu.Unlock()
		if running != maxProbes-1 {
			t.Errorf("%d run", running)
		}
		if _, err := s.prober.start(free, frame.MAC{}); err != nil {
			t.Errorf("room for one: %v", err)
		}
		if _, err := s.prober.InUse(t.Context(), free, nil); !errors.Is(err, ErrTooManyProbes) {
			t.Errorf("one too many: %v", err)
		}
		group.Wait()
		if time.Since(began) != 300*time.Millisecond {
			t.Errorf("took %v", time.Since(began))
		}
	})
}

func TestAProbeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := newSegment(t).prober.InUse(ctx, free, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 50*time.Millisecond {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
	})
}

func TestAProbeThatCannotBeSentIsAnError(t *testing.T) {
	down := errors.New("network is down")
	p := NewProber(gateway, func([]byte) error { return down })
	if _, err := p.InUse(t.Context(), free, nil); !errors.Is(err, down) {
		t.Fatal(err)
	}
	if p.active.Load() != 0 {
		t.Fatal("the probe is still active")
	}
}

func TestAHostThatHasLeftIsMissedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSegment(t)
		there := netip.MustParseAddr("10.9.7.7")
		s.hosts[there], s.delay = hostMAC, 120*time.Millisecond
		s.asker = netip.MustParseAddr("10.9.0.1") // two probes would take the host's address from it
		for addr, want := range map[netip.Addr]bool{free: false, there: true} {
			began := time.Now()
			used, err := s.prober.Present(t.Context(), addr, s.asker)
			if used != want || err != nil || time.Since(began) > 200*time.Millisecond {
				t.Errorf("%v: %v, %v after %v", addr, used, err, time.Since(began))
			}
		}
	})
}
