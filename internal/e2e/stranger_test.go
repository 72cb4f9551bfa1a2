package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"landbridge/internal/group"
	"landbridge/internal/netlab"
	"landbridge/internal/overlay"
	"landbridge/internal/store"
)

// stranger is a node of the overlay that has all but a certificate of the group: its
// ID, the members' addresses, and a group and a certificate of its own.
type stranger struct {
	t          *testing.T
	overlay    *overlay.Overlay
	membership *group.Membership // in its own group
	target     group.ID
	d          group.MemberID
}

// What the first byte of a reply says (appliance/gate.go).
const replyOK = 0

func newStranger(t *testing.T, h *netlab.Host, of *machine) *stranger {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	status := of.status()
	target, err := group.ParseID(status.Groups[0].ID)
	must(err)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	db, err := store.Open(filepath.Join(t.TempDir(), "state"))
	must(err)
	t.Cleanup(func() { _ = db.Close() })
	params := group.Params{Name: "other", Prefix: netip.MustParsePrefix(groupPrefix)}.WithDefaults()
	_, membership, err := group.CreateGroup(db, key, "stranger", params, time.Now())
	must(err)
	socket, err := h.ListenPacket("udp4", netip.AddrPortFrom(h.Port("eth0").Addr(), 4860).String())
	must(err)
	t.Cleanup(func() { _ = socket.Close() })
	o, err := overlay.Open(t.Context(), overlay.Config{
		Key: key, Socket: socket, Log: slog.New(slog.DiscardHandler),
		Validator: func(group.ID, []byte) (uint64, error) { return 1 << 20, nil },
	})
	must(err)
	t.Cleanup(func() { _ = o.Close() })
	o.Add(status.Addresses)
	at := status.Addresses[0]
	d, err := group.ParseMemberID(at[strings.LastIndex(at, "/")+1:])
	must(err)
	return &stranger{t: t, overlay: o, membership: membership, target: target, d: d}
}

// call asks d on a protocol of the group.
func (s *stranger) call(protocol string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	return s.overlay.Call(ctx, s.d, protocol, append(s.target[:len(s.target):len(s.target)], body...))
}

func TestWithoutACertificateNothingIsToBeHad(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	x := newStranger(t, s.wan.Host("x"), s.d)
	// It reaches d, as anybody in the overlay does.
	waitFor(t, "the stranger reaches d", func() (bool, error) {
		_, err := x.call("/landbridge/hello/1", nil)
		return err == nil, err
	})
	hello := func(certificate, descriptor []byte) []byte {
		b, err := cbor.Marshal(map[int]any{1: certificate, 2: uint64(1), 3: descriptor, 4: uint64(7)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		what, protocol string
		body           []byte
	}{
		{"hello without a certificate", "/landbridge/hello/1", hello(nil, nil)},
		{"hello with one of another group", "/landbridge/hello/1", hello(x.membership.Certificate(), nil)},
		{"hello with a descriptor of another group", "/landbridge/hello/1", hello(x.membership.Certificate(), x.membership.Signed())},
		{"an empty registry message", "/landbridge/registry/1", nil},
		{"a registry message", "/landbridge/registry/1", []byte{0xa1, 0x01, 0x01}},
		{"a session offer", "/landbridge/connect/1", []byte{0xa1, 0x01, 0x01}},
		{"a request to join", group.Protocol, []byte{0xa1, 0x01, 0x01}},
	} {
		reply, err := x.call(c.protocol, c.body)
		if err == nil && (len(reply) == 0 || reply[0] == replyOK) {
			t.Errorf("%s: answered with %x", c.what, reply)
		}
	}
	// A descriptor of its own making in the DHT: nobody keeps it, whatever Put says.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_ = x.overlay.PutDescriptor(ctx, x.target, x.membership.Signed())
	s.datagrams()

	if got := s.d.status().Groups[0]; got.MembersKnown != 1 || got.MembersConnected != 1 || got.DescriptorVersion != 1 || got.LeasesServed != 1 {
		t.Errorf("d's group has changed: %+v", got)
	}
	if _, err := s.d.peer("stranger"); err == nil {
		t.Error("d lists the stranger among its peers")
	}
	// The group works on: a member joins and is served.
	a := s.site("a")
	reaches(t, newClient(t, a.wire, "a1").lease(netlab.Udhcpc).Host, s.d.address())
}

// datagrams sends what looks like sealed datagrams to d, which must count them and
// answer nothing.
func (s *scene) datagrams() {
	t := s.t
	h := s.wan.Host("y")
	conn, err := h.ListenPacket("udp4", netip.AddrPortFrom(h.Port("eth0").Addr(), 4861).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := s.d.counter("socket", "unknown_index")
	target := net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.d.Port("eth0").Addr(), 4860))
	const count = 100
	for i := range count {
		b := make([]byte, 32+i*10)
		_, _ = rand.Read(b)
		b[0], b[1], b[2], b[3] = 1, 0, 0, 0
		if _, err := conn.WriteTo(b, target); err != nil {
			t.Fatal(err)
		}
	}
	s.d.wait("the datagrams are counted", func() (bool, error) {
		n := s.d.counter("socket", "unknown_index") - before
		return n >= count*9/10, fmt.Errorf("%d of %d are", n, count)
	})
	if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		t.Fatal(err)
	}
	if n, from, err := conn.ReadFrom(make([]byte, 2048)); err == nil {
		t.Errorf("%d bytes came back from %v", n, from)
	}
}
