package router

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
)

// sightings is what a Strangers was told.
type sightings []host

func (s *sightings) Stranger(addr netip.Addr, mac frame.MAC) { *s = append(*s, host{addr, mac}) }
func (s *sightings) Sender(addr netip.Addr, mac frame.MAC)   { s.Stranger(addr, mac) }

func rarp(mac frame.MAC) []byte {
	f := frame.AppendARP(nil, frame.Broadcast(), mac, frame.ARPFields{Op: frame.RARPRequest, SenderMAC: mac, TargetMAC: mac})
	f[12], f[13] = 0x80, 0x35
	return f
}

// hostB is leased at site B; here it turns up on the segment of A.
func TestAHostThatIsNotLeasedHereIsReportedHoweverItShowsItself(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		want  host
	}{
		"gratuitous ARP":            {arpRequest(hostB, hostB.ip), hostB},
		"RARP, as QEMU announces":   {rarp(hostB.mac), host{mac: hostB.mac}},
		"traffic to us":             {ethernet(hostB.mac, gwA, udp(hostB, hostA, 10)), hostB},
		"traffic to its old router": {ethernet(hostB.mac, gwB, udp(hostB, hostA, 10)), hostB},
		"broadcast":                 {ethernet(hostB.mac, frame.Broadcast(), udp(hostB, host{ip: netip.MustParseAddr("10.9.255.255")}, 10)), hostB},
	} {
		t.Run(name, func(t *testing.T) {
			var seen sightings
			inBubble(t, func(t *testing.T, a *site) {
				a.sends(c.frame, c.frame)
				if !slices.Equal(seen, sightings{c.want}) {
					t.Fatalf("two such frames: %v", seen)
				}
				time.Sleep(2 * strangerEvery)
				if a.sends(c.frame); len(seen) != 2 {
					t.Errorf("again later: %v", seen)
				}
				a.counts(map[counter]uint64{strangers: 2})
			}, func(c *Config) { c.Strangers = &seen })
		})
	}
}

func TestWhoIsNoStrangerIsNotReported(t *testing.T) {
	outside := host{netip.MustParseAddr("192.0.2.1"), hostB.mac}
	var seen sightings
	inBubble(t, func(t *testing.T, a *site) {
		a.sends(
			ethernet(hostA.mac, gwA, udp(hostA, hostB, 10)),
			ethernet(hostA.mac, hostA2.mac, udp(hostA, hostA2, 10)),
			arpRequest(hostA, hostA.ip),
			arpRequest(host{mac: hostB.mac}, hostB.ip),     // a probe
			arpRequest(host{svcAddr, hostB.mac}, hostA.ip), // another router's question
			ethernet(hostB.mac, gwA, udp(outside, hostA, 10)),
			ethernet(hostB.mac, hostA.mac, udp(outside, hostA, 10)),
		)
		if len(seen) > 0 {
			t.Errorf("reported: %v", seen)
		}
	}, func(c *Config) { c.Strangers = &seen })
}

// A host that has moved here sends to the router of the site that it left, and to the MACs of
// its neighbours there or, where these were remote, to that router.
func TestAHostThatSendsToAStationThatIsNotHereIsToldWhereToSend(t *testing.T) {
	for name, c := range map[string]struct {
		to   host // with the MAC that the host believes in
		want []frame.MAC
	}{
		"a remote host behind another router": {host{hostB.ip, gwB}, []frame.MAC{gwA}},
		"a neighbour that it left":            {hostB, []frame.MAC{gwA}},
		"one of this segment, seen as remote": {host{hostA2.ip, gwB}, []frame.MAC{hostA2.mac}},
		"one of this segment":                 {hostA2, nil},
		"nobody":                              {nobody, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, a *site) {
				f := ethernet(hostA.mac, c.to.mac, udp(hostA, c.to, 10))
				a.sends(f, f)
				var told []frame.MAC
				for _, w := range a.segment.take() {
					eth := frame.Ethernet(w)
					reply, err := frame.ParseARP(eth.Payload())
					if err != nil || eth.Dst() != hostA.mac || eth.Src() != gwA || reply.SenderIP() != c.to.ip || !reply.IsAnnouncement() {
						t.Fatalf("wrote %x: %v", w, err)
					}
					told = append(told, reply.SenderMAC())
				}
				if !slices.Equal(told, c.want) {
					t.Errorf("told %v, want %v", told, c.want)
				}
				if sent := a.wire.take(); len(sent) > 0 {
					t.Errorf("forwarded what was sent to another: %v", sent)
				}
			})
		})
	}
}

func TestAHostIsToldWhereAnAddressIsThatMustBeResolvedFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.dir.forget(hostB.ip)
		a.dir.delay = 20 * time.Millisecond
		a.sends(ethernet(hostA.mac, gwB, udp(hostA, hostB, 10)))
		time.Sleep(a.dir.delay)
		synctest.Wait()
		w := a.segment.take()
		if len(w) != 1 {
			t.Fatalf("wrote %x", w)
		}
		reply, err := frame.ParseARP(frame.Ethernet(w[0]).Payload())
		if err != nil || reply.SenderIP() != hostB.ip || reply.SenderMAC() != gwA || reply.TargetMAC() != hostA.mac {
			t.Errorf("wrote %x: %v", w[0], err)
		}
	})
}
