package router

import (
	"testing"

	"landbridge/internal/group"
)

// drain is a Device and a Sender without state, for concurrent use.
type drain struct{}

func (drain) ReadBatch([][]byte, []int) (int, error) { return 0, nil }
func (drain) WriteBatch([][]byte) error              { return nil }
func (drain) Send(group.MemberID, [][]byte)          {}

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
				f := a.toGateway(hostA, p)
				a.router.forwardBatch(batch, [][]byte{f}, []int{len(f)})
				a.router.Deliver(memberB, [][]byte{udp(hostB, hostA, 10)})
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
