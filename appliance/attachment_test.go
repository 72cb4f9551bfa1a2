package appliance

import (
	"context"
	"net/netip"
	"testing"

	"landbridge/arp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/router"
)

// nowhere is a device, a sender and a directory that have nothing.
type nowhere struct{}

func (nowhere) ReadBatch([]frame.Packet) (int, error) { return 0, nil }
func (nowhere) WriteBatch([]frame.Packet) error       { return nil }
func (nowhere) Send([]router.Parcel)                  {}
func (nowhere) Lookup(netip.Addr) (router.Route, router.Status) {
	return router.Route{}, router.Absent
}
func (nowhere) Resolve(context.Context, netip.Addr) (router.Route, error) {
	return router.Route{}, router.ErrAbsent
}

// someAttachment is an attachment without devices.
func someAttachment(t *testing.T) *attachment {
	t.Helper()
	prefix, service := netip.MustParsePrefix("10.9.0.0/16"), netip.MustParseAddr("10.9.0.1")
	hosts, err := router.NewHosts(prefix)
	if err != nil {
		t.Fatal(err)
	}
	mac, _ := frame.MACFrom(gatewayMAC(group.ID{1}, group.MemberID{1}))
	r, err := router.New(router.Config{
		Device: nowhere{}, Sender: nowhere{}, Directory: nowhere{}, Hosts: hosts, Prefix: prefix, ServiceAddr: service, GatewayMAC: mac, MTU: 1376,
		ARP: arp.NewResponder(arp.Config{Prefix: prefix, ServiceAddr: service, GatewayMAC: mac, Directory: router.ARPDirectory(nowhere{})}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &attachment{router: r}
}

func TestWhatArrivesGoesToThePresentAttachment(t *testing.T) {
	first, second := someAttachment(t), someAttachment(t)
	n := &network{}
	malformed := func(a *attachment) (count uint64) {
		for _, c := range a.router.Counters() {
			count += c.Value
		}
		return count
	}
	packets := []frame.Packet{{Buf: make([]byte, 100)}}
	for _, a := range []*attachment{nil, first, nil, second, second} {
		n.attachment.Store(a)
		n.deliver(group.MemberID{2}, packets)
	}
	if got := [3]uint64{n.unattached.Load(), malformed(first), malformed(second)}; got != [3]uint64{2, 1, 2} {
		t.Errorf("counted by nobody, the first and the second: %v, want 2, 1, 2", got)
	}
}

func TestDeliveringByTheAttachmentAllocatesNothing(t *testing.T) {
	n := &network{}
	n.attachment.Store(someAttachment(t))
	packets := []frame.Packet{{Buf: make([]byte, 100)}}
	if got := testing.AllocsPerRun(1000, func() { n.deliver(group.MemberID{2}, packets) }); got != 0 {
		t.Errorf("%v allocations a batch", got)
	}
}

func TestWhatFormerAttachmentsCountedIsTold(t *testing.T) {
	n := &network{}
	offers := count{"dhcp", "offers"}
	for range 2 { // two in router mode, and nothing now
		n.former.add(func(add func(count, uint64)) { add(offers, 3) })
	}
	told := make(map[count]uint64)
	n.attachmentCounters(func(c count, value uint64) { told[c] += value })
	if len(told) != 1 || told[offers] != 6 {
		t.Errorf("told: %v", told)
	}
}
