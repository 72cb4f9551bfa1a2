package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// linux returns the lines of the recording that begin with this word.
func linux(t testing.TB, word string) (names []string, frames [][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/linux-6.18.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if f[0] != word {
			continue
		}
		b, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		names, frames = append(names, f[1]), append(frames, b)
	}
	if len(names) == 0 {
		t.Fatalf("no line begins with %q", word)
	}
	return names, frames
}

// room puts Tailroom behind a frame.
func room(b []byte) []byte { return append(make([]byte, 0, len(b)+Tailroom), b...) }

func TestVirtioHeadersOfLinuxAreUnderstood(t *testing.T) {
	names, frames := linux(t, "sent")
	for i, b := range frames {
		name, want, _ := strings.Cut(names[i], ",")
		buf := room(b)
		o, err := ParseVirtio(buf)
		if got := fmt.Sprintf("%v,%d,%v,%v", o.GSO, o.Size, o.Trusted, o.Partial); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, want)
		}
		if o.Partial { // then what Linux wrote is what we would have
			p := Packet{Buf: buf, Offload: o}
			clear(p.Buf[:VirtioHeaderLen])
			p.PutVirtio()
			if !bytes.Equal(p.Buf[:VirtioHeaderLen], b[:VirtioHeaderLen]) {
				t.Errorf("%s: header %x, Linux wrote %x", name, p.Buf[:VirtioHeaderLen], b[:VirtioHeaderLen])
			}
		}
	}
}

func TestFinishAgreesWithLinux(t *testing.T) {
	names, supers := linux(t, "super")
	of, segments := linux(t, "segment")
	for i, b := range supers {
		p := Packet{Buf: room(b)}
		var err error
		if p.Offload, err = ParseVirtio(p.Buf); err != nil {
			t.Fatal(err)
		}
		p.PutVirtio()
		if !bytes.Equal(p.Buf, b) {
			t.Errorf("%s: header %x, want %x", names[i], p.Buf[:VirtioHeaderLen], b[:VirtioHeaderLen])
		}
		n := 0
		for j, piece := range finished(t, p) {
			if n = i*3 + j; of[n] != names[i] || !bytes.Equal(piece, segments[n][Headroom:]) {
				t.Errorf("%s, piece %d:\n%x, Linux made\n%x", names[i], j, piece, segments[n][Headroom:])
			}
		}
		if n != i*3+2 {
			t.Errorf("%s: cut into %d", names[i], n-i*3+1)
		}
	}
}

// A tunnel inside ours leaves the checksum of the packet within to be done, and the
// outer one is right only once that is.
func TestAChecksumInsideATunnelIsCompletedOnTheSpot(t *testing.T) {
	names, frames := linux(t, "sent")
	tried := 0
	for i, b := range frames {
		if !strings.Contains(names[i], "in-vxlan") {
			continue
		}
		tried++
		outer := mustIPv4(t, b[Headroom:])
		inner := mustIPv4(t, outer[20+8+8+14:])
		for _, right := range []bool{false, true} {
			for _, p := range []IPv4{outer, inner} {
				if UDP(p.Payload()).ChecksumOK(p.Src(), p.Dst()) != right {
					t.Errorf("%s: checksum right %v", names[i], !right)
				}
			}
			if o, err := ParseVirtio(b); err != nil || o != (Offload{}) {
				t.Errorf("%s: %+v, %v", names[i], o, err)
			}
			if right {
				break
			}
		}
	}
	if tried == 0 {
		t.Fatal("nothing tried")
	}
}

// A sum of zero is written as ones: to UDP zero would mean "none".
func TestAChecksumOfZeroIsCompletedAsOnes(t *testing.T) {
	buf := put(make([]byte, Headroom+8), 1, 0, 0, 0, EthernetHeaderLen, 6)
	copy(buf[Headroom:], []byte{0x12, 0x34, 0xed, 0xcb})
	if _, err := ParseVirtio(buf); err != nil || buf[Headroom+6] != 0xff || buf[Headroom+7] != 0xff {
		t.Errorf("inside a tunnel: %x, %v", buf[Headroom:], err)
	}
	for name, f := range flows() {
		p := f.packet([]byte{0, 0})
		ip, s, _ := plain(p.IP())
		sum := ip[s.checksumAt():][:2]
		copy(ip[len(ip)-2:], sum) // what was missing to zero
		p.Trusted, p.Partial = true, true
		s.setPartial(ip, len(ip))
		want := []byte{0xff, 0xff}
		if s.tcp {
			want = []byte{0, 0}
		}
		if q := finished(t, p)[0]; !bytes.Equal(q[s.checksumAt():][:2], want) {
			t.Errorf("%s: finished with %x", name, q[s.checksumAt():][:2])
		}
		if !p.Complete() || !bytes.Equal(sum, want) {
			t.Errorf("%s: completed with %x", name, sum)
		}
	}
}

// put writes a virtio header.
func put(buf []byte, flags, gsoType uint8, headers, size, start, offset int) []byte {
	buf[0], buf[1] = flags, gsoType
	for i, v := range []int{headers, size, start, offset} {
		binary.NativeEndian.PutUint16(buf[2+2*i:], uint16(v))
	}
	return buf
}

func TestVirtioHeadersThatLieAreRefused(t *testing.T) {
	tcp4, tcp6, udp4 := flows()["TCPv4"], flows()["TCPv6"], flows()["UDPv4"]
	payload := pattern(5000)
	fragment := clone(tcp4.super(payload, 1000))
	fragment.IP()[6] |= flagMF >> 8
	vlan := clone(tcp4.super(payload, 1000))
	copy(vlan.Buf[VirtioHeaderLen+12:], []byte{0x81, 0})
	options := flows()["TCPv6 with options"]
	routed := clone(options.super(payload, 1000))
	routed.IP()[6] = protocolRouting
	long := clone(options.super(payload, 1000))
	long.IP()[IPv6HeaderLen+1] = 17 // and what follows isn't TCP any more
	for name, c := range map[string]struct {
		buf  []byte
		want error
	}{
		"no frame":                     {make([]byte, Headroom-1), ErrTruncated},
		"TCPv4 that is v6":             {put(tcp6.super(payload, 1000).Buf, 1, 1, 86, 1000, 54, 16), ErrOffload},
		"TCPv6 that is v4":             {put(tcp4.super(payload, 1000).Buf, 1, 4, 66, 1000, 34, 16), ErrOffload},
		"TCP that is UDP":              {put(udp4.super(payload, 1000).Buf, 1, 1, 42, 1000, 34, 6), ErrOffload},
		"UDP that is TCP":              {put(tcp4.super(payload, 1000).Buf, 1, 5, 66, 1000, 34, 16), ErrOffload},
		"UFO":                          {put(udp4.super(payload, 1000).Buf, 1, 3, 42, 1000, 34, 6), ErrGSOType},
		"UDP with ECN":                 {put(udp4.super(payload, 1000).Buf, 1, 0x85, 42, 1000, 34, 6), ErrGSOType},
		"ECN alone":                    {put(tcp4.super(payload, 1000).Buf, 1, 0x80, 66, 1000, 34, 16), ErrGSOType},
		"unknown type":                 {put(tcp4.super(payload, 1000).Buf, 1, 0x21, 66, 1000, 34, 16), ErrGSOType},
		"GSO without checksum":         {put(tcp4.super(payload, 1000).Buf, 0, 1, 66, 1000, 34, 16), ErrOffload},
		"GSO with DATA_VALID":          {put(tcp4.super(payload, 1000).Buf, 2, 1, 66, 1000, 34, 16), ErrOffload},
		"size 0":                       {put(tcp4.super(payload, 1000).Buf, 1, 1, 66, 0, 34, 16), ErrGSOSize},
		"more than 2,048 pieces":       {put(tcp4.super(payload, 1000).Buf, 1, 1, 66, 2, 34, 16), ErrGSOSize},
		"headers past the end":         {put(tcp4.super(payload, 1000).Buf, 1, 1, 5067, 1000, 34, 16), ErrOffload},
		"GSO with checksum elsewhere":  {put(tcp4.super(payload, 1000).Buf, 1, 1, 66, 1000, 34, 6), ErrOffload},
		"GSO with checksum start off":  {put(tcp4.super(payload, 1000).Buf, 1, 1, 66, 1000, 38, 16), ErrOffload},
		"GSO of a fragment":            {put(fragment.Buf, 1, 1, 66, 1000, 34, 16), ErrOffload},
		"GSO behind a VLAN tag":        {put(vlan.Buf, 1, 1, 66, 1000, 34, 16), ErrForeign},
		"GSO behind a routing header":  {put(routed.Buf, 1, 4, 94, 1000, 62, 16), ErrForeign},
		"GSO of a long IPv6 header":    {put(long.Buf, 1, 4, 234, 1000, 198, 16), ErrForeign},
		"GSO of nothing":               {put(make([]byte, Headroom), 1, 1, 14, 1000, 14, 16), ErrOffload},
		"GSO of a truncated packet":    {put(tcp4.super(payload, 1000).Buf[:4000], 1, 1, 66, 1000, 34, 16), ErrOffload},
		"checksum in Ethernet":         {put(tcp4.super(payload, 1000).Buf, 1, 0, 0, 0, 6, 4), ErrOffload},
		"checksum one byte over":       {put(make([]byte, Headroom+40), 1, 0, 0, 0, 14, 39), ErrOffload},
		"checksum far over":            {put(make([]byte, Headroom+40), 1, 0, 0, 0, 0xffff, 0xffff), ErrOffload},
		"checksum starting at the end": {put(make([]byte, Headroom), 1, 0, 0, 0, 14, 0), ErrOffload},
	} {
		before := bytes.Clone(c.buf)
		if o, err := ParseVirtio(c.buf); !errors.Is(err, c.want) || o != (Offload{}) {
			t.Errorf("%s: %+v, %v, want %v", name, o, err, c.want)
		}
		if !bytes.Equal(before, c.buf) {
			t.Errorf("%s: the frame was changed", name)
		}
	}
}

func TestVirtioHeadersThatAskForNothing(t *testing.T) {
	tcp4 := flows()["TCPv4"]
	liar := flows()["TCPv6"].packet(pattern(10))
	AppendEthernet(liar.Ethernet()[:0], macB, macA, EtherTypeIPv4)
	arp := AppendARP(make([]byte, VirtioHeaderLen), Broadcast(), macA, ARPFields{Op: ARPRequest, SenderMAC: macA, SenderIP: ipA, TargetIP: ipB})
	for name, c := range map[string]struct {
		buf  []byte
		want Offload
	}{
		"zero":                      {tcp4.packet(pattern(10)).Buf, Offload{}},
		"ARP":                       {arp, Offload{}},
		"ARP with DATA_VALID":       {put(bytes.Clone(arp), 2, 0, 0, 0, 0, 0), Offload{}},
		"empty with DATA_VALID":     {put(tcp4.packet(nil).Buf[:Headroom], 2, 0, 0, 0, 0, 0), Offload{}},
		"IPv6 that says IPv4":       {put(liar.Buf, 2, 0, 0, 0, 0, 0), Offload{}},
		"GSO of no payload":         {put(tcp4.super(nil, 1000).Buf, 1, 1, 66, 1000, 34, 16), Offload{Trusted: true, Partial: true}},
		"TCP with DATA_VALID":       {put(tcp4.packet(pattern(10)).Buf, 2, 0, 0, 0, 0, 0), Offload{Trusted: true}},
		"a flag nobody knows":       {put(tcp4.packet(pattern(10)).Buf, 0x80, 0, 0, 0, 0, 0), Offload{}},
		"GSO that fits one segment": {put(tcp4.super(pattern(1000), 9999).Buf, 1, 1, 66, 1000, 34, 16), Offload{Trusted: true, Partial: true}},
	} {
		if o, err := ParseVirtio(c.buf); err != nil || o != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, o, err, c.want)
		}
	}
	// Whoever changed the packet since may have left an offload that it can't bear.
	p := Packet{Buf: room(arp), Offload: Offload{GSO: GSOTCPv4, Size: 9, Trusted: true, Partial: true}}
	p.PutVirtio()
	if !bytes.Equal(p.Buf[:VirtioHeaderLen], make([]byte, VirtioHeaderLen)) {
		t.Errorf("ARP got the header %x", p.Buf[:VirtioHeaderLen])
	}
	p = tcp4.packet(pattern(10))
	p.Trusted = true
	p.PutVirtio()
	if want := put(make([]byte, VirtioHeaderLen), 2, 0, 0, 0, 0, 0); !bytes.Equal(p.Buf[:VirtioHeaderLen], want) {
		t.Errorf("a trusted packet got the header %x", p.Buf[:VirtioHeaderLen])
	}
}

// FuzzVirtio reads what a guest may have written. What passes must survive all that
// is done with packets later.
func FuzzVirtio(f *testing.F) {
	for _, word := range []string{"sent", "super", "segment"} {
		_, frames := linux(f, word)
		for _, b := range frames {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		buf := room(b)
		guard := buf[len(buf):cap(buf)]
		o, err := ParseVirtio(buf)
		if err != nil {
			return
		}
		if !bytes.Equal(guard, make([]byte, len(guard))) {
			t.Fatal("wrote behind the frame")
		}
		p := Packet{Buf: buf, Offload: o}
		before := bytes.Clone(buf)
		total := 0
		finish := Finish(p, nil, func(q Packet) {
			if q.Partial || q.GSO != GSONone {
				t.Fatalf("left undone: %+v", q.Offload)
			}
			total += len(q.IP())
		})
		if !bytes.Equal(before, buf) {
			t.Fatal("Finish changed its packet")
		}
		if p.Partial {
			p.PutVirtio()
			if again, err := ParseVirtio(p.Buf); err != nil || again != o {
				t.Fatalf("%+v, %v, was %+v", again, err, o)
			}
			ip, s, ok := plain(p.IP())
			if n, err := p.pieces(s, len(ip)); !ok || err != nil || finish == nil && total != len(ip)+(n-1)*s.headers {
				t.Fatalf("%d bytes of %d pieces of %d, %v", total, n, len(ip), err)
			}
		}
		c, err := Cut(p)
		if err != nil {
			return
		}
		j := NewJoiner(1 << 17)
		for i := c.Len() - 1; i >= 0; i-- {
			if err := take(j, c.Body(i)); err != nil {
				t.Fatalf("body %d of a packet that was cut: %v", i, err)
			}
		}
	})
}
