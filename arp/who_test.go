package arp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
)

func TestWhoTellsAllStationsThatAnswer(t *testing.T) {
	second := frame.MAC{2, 0, 0, 0, 0, 77}
	for name, c := range map[string]struct {
		answers []frame.MAC
		want    []frame.MAC
	}{
		"nobody":             {nil, nil},
		"one":                {[]frame.MAC{hostMAC}, []frame.MAC{hostMAC}},
		"one, twice":         {[]frame.MAC{hostMAC, hostMAC}, []frame.MAC{hostMAC}},
		"two":                {[]frame.MAC{hostMAC, second}, []frame.MAC{hostMAC, second}},
		"ourselves":          {[]frame.MAC{gateway}, nil},
		"no single station":  {[]frame.MAC{frame.Broadcast(), {}}, nil},
		"more than are told": {[]frame.MAC{{2, 1}, {2, 2}, {2, 3}, {2, 4}, {2, 5}}, []frame.MAC{{2, 1}, {2, 2}, {2, 3}, {2, 4}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			var p *Prober
			p = NewProber(gateway, func(f []byte) error {
				sent++
				a, err := frame.ParseARP(frame.Ethernet(f).Payload())
				if err != nil || a.Op() != frame.ARPRequest || a.SenderIP() != service || a.TargetIP() != free {
					t.Errorf("%s: sent %x: %v", name, f, err)
				}
				for _, mac := range c.answers {
					p.Observe(packet(frame.ARPReply, mac, free, service))
					p.Observe(packet(frame.ARPReply, mac, free.Next(), service)) // of another address
				}
				p.Observe(packet(frame.ARPRequest, frame.MAC{2, 0xee}, zero, free)) // a probe claims nothing
				return nil
			})
			began := time.Now()
			got, err := p.Who(t.Context(), free, service)
			if err != nil || !slices.Equal(got, c.want) || sent != 2 || time.Since(began) != 300*time.Millisecond {
				t.Errorf("%s: %v, %v after %v and %d requests; want %v", name, got, err, time.Since(began), sent, c.want)
			}
			if p.active.Load() != 0 {
				t.Errorf("%s: %d inquiries are left", name, p.active.Load())
			}
		})
	}
}

func TestWhoEndsWithItsContextAndWithinTheBoundOfProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewProber(gateway, func([]byte) error { return nil })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := p.Who(ctx, free, zero); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after its context: %v", err)
		}
		for i := range maxProbes {
			go func() { _, _ = p.Who(t.Context(), netip.AddrFrom4([4]byte{10, 9, 5, byte(i)}), zero) }()
		}
		synctest.Wait()
		if _, err := p.Who(t.Context(), free, zero); !errors.Is(err, ErrTooManyProbes) {
			t.Errorf("beyond the bound: %v", err)
		}
		if _, err := p.InUse(t.Context(), free, nil); !errors.Is(err, ErrTooManyProbes) {
			t.Errorf("a probe beyond the bound: %v", err)
		}
	})
}
