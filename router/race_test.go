package router

import (
	"testing"

	"landbridge/internal/frame"
)

// drain is a Device and a Sender without state, for concurrent use.
type drain struct{}

func (drain) ReadBatch([]frame.Packet) (int, error) { return 0, nil }
func (drain) WriteBatch([]frame.Packet) error       { return nil }
func (drain) Send([]Parcel)                         {}

func TestHammeredFromAllSidesAtOnce(t *testing.T) {
	a := newSite(t, memberA, gwA, func(c *Config) { c.Sender, c.Device = drain{}, drain{} })
	a.dir.forget(hostB.ip)
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			batch := a.router.newBatch()
			for i := range 2000 {
				p := udp(hostA, []host{hostB, nobody, hostA2}[i%3], 10)
				a.router.forwardBatch(batch, []frame.Packet{framed(a.toGateway(hostA, p))})
				a.router.Deliver(memberB, bareOfAll(udp(hostB, hostA, 10)))
				a.router.hosts.Learn(hostA.ip, hostA.mac)
				a.router.hosts.Forget(hostA.ip)
			}
		}()
	}
	for range 4 {
		<-done
	}
	a.router.Close()
	if a.router.waiting.packets != 0 {
		t.Errorf("%d packets still wait", a.router.waiting.packets)
	}
}
