package frame

import (
	"bytes"
	"errors"
	"testing"
)

func TestBodiesThatLieAreRefused(t *testing.T) {
	tcp := flow{port: 1, id: 7, df: true, flags: TCPAck}
	segment := bodies(t, tcp.trusted([]byte("payload")))[0]
	udp6 := bodies(t, flow{v6: true, udp: true, port: 1}.trusted([]byte("payload")))[0]
	whole := bodies(t, Packet{Buf: room(AppendIPv4(make([]byte, Headroom), IPv4Fields{Src: ipA, Dst: ipB, Protocol: 50}, 0))})[0]
	// with returns a body changed at an offset, from the end if that is negative.
	with := func(body []byte, at int, v ...byte) []byte {
		body = bytes.Clone(body)
		if at < 0 {
			at += len(body)
		}
		copy(body[at:], v)
		return body
	}
	ip := len("payload")
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"no kind":                         {[]byte{1, 2, 3, 0}, ErrBodyKind},
		"no kind, with headers":           {[]byte{1, 2, 3, 4, 1}, ErrBodyKind},
		"a whole packet with headers":     {with(whole, -1, 0x45), ErrBodyKind},
		"an empty whole packet":           {[]byte{0x40}, ErrTruncated},
		"a whole packet of no version":    {with(whole, 0, 0x55), ErrVersion},
		"a whole packet cut short":        {append(bytes.Clone(whole[:12]), 0x40), ErrTruncated},
		"a whole packet shorter than it":  {append(bytes.Clone(whole[:20]), 0, 0x40), ErrLength},
		"a whole packet longer than it":   {with(whole, 3, 21), ErrTruncated},
		"an empty segment":                {[]byte{0x80}, ErrSegment},
		"a segment without headers":       {with(segment, -1, 0xc0), ErrSegment},
		"headers longer than the body":    {with(segment, -1, 0xff), ErrTruncated},
		"headers too short":               {with(segment, -1, 0xc9), ErrSegment},
		"headers too long":                {append(append([]byte("payl"), segment[ip:len(segment)-1]...), 0, 0, 0, 0, 0xcb), ErrSegment},
		"a segment of no version":         {with(segment, ip, 0x55), ErrSegment},
		"an IP header too short":          {append([]byte{0x43, 0, 0, 0, 0, 0, 0, 0, 64, 17}, append(make([]byte, 10), 0xc5)...), ErrSegment},
		"an IP header too long":           {with(segment, ip, 0x4f), ErrSegment},
		"a fragment":                      {with(segment, ip+6, 0x20), ErrSegment},
		"a later fragment":                {with(segment, ip+7, 0x01), ErrSegment},
		"another protocol":                {with(segment, ip+9, 50), ErrSegment},
		"a TCP header too short":          {with(segment, ip+32, 0x40), ErrSegment},
		"a TCP header too long":           {with(segment, ip+32, 0x60), ErrSegment},
		"UDP that says TCP":               {with(udp6, ip+6, ProtocolTCP), ErrSegment},
		"IPv6 with an extension header":   {with(udp6, ip+6, 0), ErrSegment},
		"IPv6 headers shorter than IPv6":  {append([]byte{0x60, 0, 0, 0, 0, 0, 17}, append(make([]byte, 21), 0xc7)...), ErrSegment},
		"TCP headers shorter than TCP":    {append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6}, append(make([]byte, 18), 0xc7)...), ErrSegment},
		"nothing but the seal":            {nil, ErrTruncated},
		"a segment, to show that it goes": {segment, nil},
	} {
		j := NewJoiner(4096)
		if err := take(j, bodies(t, tcp.trusted(pattern(8)))[0]); err != nil {
			t.Fatal(err)
		}
		body := j.Room(max(1, len(c.body)))[:len(c.body)]
		copy(body, c.body)
		before, was := bytes.Clone(j.arena), j.run
		if err := j.Take(body); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want != nil && (!bytes.Equal(j.arena, before) || j.run != was || len(j.packets) != 1) {
			t.Errorf("%s: something has changed", name)
		}
	}
}

func TestABodyIsTakenFromItsRoomOnce(t *testing.T) {
	body := bodies(t, flow{port: 1, flags: TCPAck}.trusted(pattern(8)))[0]
	j := NewJoiner(4096)
	if err := j.Take(body); !errors.Is(err, ErrRoom) {
		t.Errorf("without a room: %v", err)
	}
	room := j.Room(len(body))
	if err := j.Take(body); !errors.Is(err, ErrRoom) {
		t.Errorf("from elsewhere: %v", err)
	}
	if err := j.Take(append(room, 0)); !errors.Is(err, ErrRoom) {
		t.Errorf("longer than the room: %v", err)
	}
	copy(room, body)
	if err := j.Take(room); err != nil {
		t.Fatal(err)
	}
	if err := j.Take(room); !errors.Is(err, ErrRoom) {
		t.Errorf("twice: %v", err)
	}
	room = j.Room(len(body))
	j.Reset()
	if err := j.Take(room); !errors.Is(err, ErrRoom) {
		t.Errorf("from before Reset: %v", err)
	}
	if len(NewJoiner(0).Packets()) != 0 || NewJoiner(0).Room(1) != nil || j.Room(0) != nil || j.Room(-1) != nil || j.Room(maxPacket+2) != nil {
		t.Error("a room that can't be")
	}
}

// A body may be shorter than the room it was opened in, and so continue the packet in
// progress though its room wasn't behind it.
func TestABodyMayBeShorterThanItsRoom(t *testing.T) {
	b := bodies(t, flow{v6: true, port: 1, flags: TCPAck}.super(pattern(300), 100))
	j := NewJoiner(4096)
	for _, body := range b {
		room := j.Room(1000)
		copy(room, body)
		if err := j.Take(room[:len(body)]); err != nil {
			t.Fatal(err)
		}
	}
	var got []byte
	for _, p := range j.Packets() {
		checkPacket(t, p)
		for _, q := range finished(t, p) {
			got = append(got, q[60:]...)
		}
	}
	if !bytes.Equal(got, pattern(300)) {
		t.Fatalf("%x", got)
	}
}

func TestTheRoomIsWhereTheNextBodyBelongs(t *testing.T) {
	for name, c := range map[string]struct {
		first  Packet
		n      int
		behind bool
	}{
		"the next segment":   {flow{port: 1, flags: TCPAck}.trusted(pattern(100)), 100 + 40 + 1, true},
		"the last segment":   {flow{port: 1, flags: TCPAck}.trusted(pattern(100)), 1 + 40 + 1, true},
		"an acknowledgement": {flow{port: 1, flags: TCPAck}.trusted(pattern(100)), 40 + 1, false},
		"a longer one":       {flow{port: 1, flags: TCPAck}.trusted(pattern(100)), 101 + 40 + 1, false},
		"behind PSH":         {flow{port: 1, flags: TCPAck | tcpPsh}.trusted(pattern(100)), 100 + 40 + 1, false},
		"behind FIN":         {flow{port: 1, flags: TCPAck | TCPFin}.trusted(pattern(100)), 100 + 40 + 1, false},
		"behind PSH, joined": {flow{port: 1, flags: TCPAck | tcpPsh}.super(pattern(200), 100), 100 + 40 + 1, false},
		"behind a short one": {flow{port: 1, flags: TCPAck}.super(pattern(150), 100), 50 + 40 + 1, false},
		"behind empty":       {flow{udp: true, port: 1}.trusted(nil), 28 + 1, false},
		"behind untrusted":   {flow{port: 1, flags: TCPAck}.packet(pattern(100)), 100 + 40 + 1, false},
		"after 64 datagrams": {flow{udp: true, port: 1}.super(pattern(640), 10), 10 + 28 + 1, false},
	} {
		j := NewJoiner(8192)
		for _, b := range bodies(t, c.first) {
			if err := take(j, b); err != nil {
				t.Fatal(err)
			}
		}
		if j.Room(c.n); (j.room == j.run.end) != c.behind || (j.room == j.next) == c.behind {
			t.Errorf("%s: room at %d; the packet in progress ends at %d, the next begins at %d", name, j.room, j.run.end, j.next)
		}
	}
}

func TestResetForgetsThePacketInProgress(t *testing.T) {
	b := bodies(t, flow{port: 1, flags: TCPAck}.super(pattern(300), 100))
	j := NewJoiner(4096)
	if err := take(j, b[0]); err != nil {
		t.Fatal(err)
	}
	j.Reset()
	if err := take(j, b[1]); err != nil {
		t.Fatal(err)
	}
	if got := j.Packets(); len(got) != 1 || got[0].GSO != GSONone || !bytes.Equal(got[0].IP()[40:], pattern(300)[100:200]) {
		t.Fatalf("%d packets, %+v", len(got), got)
	}
}

// Whatever the arena's size, it is used to its end and not beyond it, and each packet
// has its room to itself, with the longest headers there are too.
func TestPacketsHaveTheirRoomToThemselves(t *testing.T) {
	options := bytes.Repeat([]byte{1}, 40)
	p := flow{port: 1, id: 1, flags: TCPAck | tcpPsh, options: options}.trusted([]byte("pay"))
	ip := append([]byte{0x4f}, p.IP()[1:20]...)
	ip = append(append(ip, options...), p.IP()[20:]...)
	IPv4(ip[:60]).SetChecksum()
	ip[3] += 40
	IPv4(ip).SetChecksum()
	p.Buf = room(append(make([]byte, Headroom), ip...))
	body := bodies(t, p)[0]
	if len(body) != 3+120+1 {
		t.Fatalf("%d bytes", len(body))
	}
	for size := range 2000 {
		j := NewJoiner(size)
		n := 0
		for ; take(j, body) == nil; n++ {
		}
		packets := j.Packets()
		if len(packets) != n || size >= packetRoom+len(body) && n == 0 {
			t.Fatalf("%d bytes: %d packets, %d taken", size, len(packets), n)
		}
		for i, q := range packets {
			for k := range q.Buf[:Headroom] {
				q.Buf[k] = byte(i)
			}
			for k := range q.Buf[len(q.Buf):][:Tailroom] {
				q.Buf[len(q.Buf):][:Tailroom][k] = byte(i)
			}
		}
		for i, q := range packets {
			if !bytes.Equal(q.Buf[:Headroom], bytes.Repeat([]byte{byte(i)}, Headroom)) || !bytes.Equal(q.IP()[120:], []byte("pay")) ||
				!IPv4(q.IP()).ChecksumOK() || !q.Complete() {
				t.Fatalf("%d bytes: packet %d is %x", size, i, q.Buf)
			}
		}
	}
}
