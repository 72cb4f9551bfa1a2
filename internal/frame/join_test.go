package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// trusted makes a segment of the flow that the kernel vouches for.
func (f flow) trusted(payload []byte) Packet { return f.super(payload, len(payload)+1) }

func TestBodiesGolden(t *testing.T) {
	udp := flow{udp: true, port: 0x1234, id: 0x5678, df: true}
	tcp := flow{v6: true, port: 0x1234, seq: 0x01020304, flags: TCPAck | tcpPsh}
	icmp := append(AppendIPv4(make([]byte, Headroom), IPv4Fields{Src: ipA, Dst: ipB, Protocol: ProtocolICMP}, 8), 8, 0, 0xf7, 0xff, 0, 0, 0, 0)
	for name, c := range map[string]struct {
		p    Packet
		want []string
	}{
		"ICMP": {Packet{Buf: room(icmp)},
			[]string{"4500001c 0000 4000 4001 " + hex.EncodeToString(icmp[Headroom+10:Headroom+12]) + " 0a090102 0a090203 0800f7ff 00000000 40"}},
		"UDP": {udp.packet([]byte("payload")),
			[]string{"7061796c6f6164 4500 0000 5678 4000 4011 0000 0a090102 0a090203 1234 0035 0000 1921 87"}},
		"UDP, trusted": {udp.trusted([]byte("payload")),
			[]string{"7061796c6f6164 4500 0000 5678 4000 4011 0000 0a090102 0a090203 1234 0035 0000 0000 c7"}},
		"UDP, GSO": {udp.super([]byte("payload"), 4), []string{
			"7061796c 4500 0000 5678 4000 4011 0000 0a090102 0a090203 1234 0035 0000 0000 c7",
			"6f6164   4500 0000 5679 4000 4011 0000 0a090102 0a090203 1234 0035 0000 0000 c7"}},
		"TCP, GSO": {tcp.super([]byte("payload"), 4), []string{
			"7061796c 60000007 0000 0640 fd00000000000000 000000000000000a fd00000000000000 000000000000000b 1234 0016 01020304 01020304 50 10 1020 0000 0000 cf",
			"6f6164   60000007 0000 0640 fd00000000000000 000000000000000a fd00000000000000 000000000000000b 1234 0016 01020308 01020304 50 18 1020 0000 0000 cf"}},
	} {
		got := bodies(t, c.p)
		for i, want := range c.want {
			if len(got) != len(c.want) || !bytes.Equal(got[i], unhex(t, want)) {
				t.Errorf("%s: body %d of %d\n%x, want\n%x", name, i, len(got), got[i], unhex(t, want))
			}
		}
	}
}

// kindOf reads the trailer of a body.
func kindOf(body []byte) BodyKind { return BodyKind(body[len(body)-1] >> kindShift) }

// What travels whole, and with its checksum as it was, comes out as it went in.
func TestOtherPacketsArriveAsTheyWere(t *testing.T) {
	tcp, udp := flow{port: 1, id: 7, df: true, flags: TCPAck}, flow{udp: true, port: 1, id: 7}
	change := func(p Packet, at int, v byte) Packet { p.IP()[at] = v; return p }
	reseal := func(p Packet) Packet { IPv4(p.IP()).SetChecksum(); return p }
	zero := udp.packet([]byte("no checksum"))
	zero.IP()[26], zero.IP()[27], zero.Trusted = 0, 0, true
	padded := udp.packet([]byte("x"))
	padded.Buf = append(padded.Buf, make([]byte, 17)...)
	for name, c := range map[string]struct {
		p    Packet
		kind BodyKind
	}{
		"TCP":                      {tcp.packet([]byte("payload")), BodySegment},
		"TCP, wrong checksum":      {change(tcp.packet([]byte("payload")), 36, 0xee), BodySegment},
		"TCP, wrong IPv4 checksum": {change(tcp.packet([]byte("payload")), 10, 0xee), BodyPacket},
		"TCP, short data offset":   {change(tcp.packet([]byte("payload")), 32, 0x40), BodyPacket},
		"TCP, long data offset":    {change(tcp.packet([]byte("payload")), 32, 0xf0), BodyPacket},
		"IPv4 fragment":            {reseal(change(tcp.packet([]byte("payload")), 6, flagMF>>8)), BodyPacket},
		"last IPv4 fragment":       {reseal(change(tcp.packet([]byte("payload")), 7, 9)), BodyPacket},
		"UDP without checksum":     {zero, BodySegment},
		"UDP shorter than its IP":  {change(udp.packet([]byte("payload")), 25, 9), BodyPacket},
		"UDP longer than its IP":   {change(udp.packet([]byte("payload")), 24, 9), BodyPacket},
		"UDP with padding behind":  {padded, BodySegment},
		"UDP of no payload":        {udp.packet(nil), BodySegment},
		"IPv6 with a hop-by-hop":   {change(flow{v6: true, port: 1}.packet([]byte("payload")), 6, 0), BodyPacket},
		"another protocol":         {reseal(change(tcp.packet([]byte("payload")), 9, 50)), BodyPacket},
		"IPv4 without payload":     {reseal(change(change(Packet{Buf: room(tcp.packet(nil).Buf[:Headroom+20])}, 2, 0), 3, 20)), BodyPacket},
		"the longest TCP":          {tcp.packet(pattern(maxPacket - 40)), BodySegment},
		"the longest packet":       {reseal(change(tcp.packet(pattern(maxPacket-40)), 9, 50)), BodyPacket},
	} {
		b := bodies(t, c.p)
		if kind := kindOf(b[0]); len(b) != 1 || kind != c.kind {
			t.Errorf("%s: %d bodies, the first of kind %d, want %d", name, len(b), kind, c.kind)
		}
		j := NewJoiner(1 << 17)
		if err := take(j, b[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want, err := parseIP(c.p.IP())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := j.Packets(); len(got) != 1 || !bytes.Equal(got[0].IP(), want) || got[0].Offload != (Offload{}) {
			t.Errorf("%s: arrived as %+v, %x", name, got, got[0].IP())
		}
	}
}

// DATA_VALID: the checksum is right and the kernel says so. It is left out, and done
// again where it is wanted.
func TestAVerifiedChecksumIsNotCarried(t *testing.T) {
	for name, f := range flows() {
		p := f.packet(pattern(100))
		p.Trusted = true
		b := bodies(t, p)
		j := NewJoiner(4096)
		if kind := kindOf(b[0]); kind != BodyTrusted || take(j, b[0]) != nil {
			t.Fatalf("%s: body of kind %d", name, kind)
		}
		got := j.Packets()[0]
		if got.Offload != (Offload{Trusted: true, Partial: true}) || !got.Complete() || !bytes.Equal(got.IP(), p.IP()) {
			t.Errorf("%s: %+v\n%x, want\n%x", name, got.Offload, got.IP(), p.IP())
		}
	}
}

func TestCutLeavesAPacketThatIsNotGSOAsItIs(t *testing.T) {
	for name, f := range flows() {
		p := f.trusted(pattern(100))
		before := bytes.Clone(p.Buf)
		c, err := Cut(p)
		if err != nil || c.Len() != 1 {
			t.Fatalf("%s: %d, %v", name, c.Len(), err)
		}
		if c.Body(0); !bytes.Equal(p.Buf, before) {
			t.Errorf("%s: changed", name)
		}
	}
}

func TestCutRefuses(t *testing.T) {
	tcp := flows()["TCPv4"]
	super := func(o Offload) Packet { p := tcp.super(pattern(5000), 1000); p.Offload = o; return p }
	bad := tcp.super(pattern(5000), 1000)
	bad.IP()[10]++
	for name, c := range map[string]struct {
		p    Packet
		want error
	}{
		"a buffer without Headroom":    {Packet{Buf: make([]byte, 20)}, ErrRoom},
		"no Tailroom":                  {Packet{Buf: tcp.packet(nil).Buf[: Headroom+52 : Headroom+52+Tailroom-1]}, ErrRoom},
		"nothing":                      {Packet{Buf: make([]byte, Headroom, Headroom+Tailroom)}, ErrTruncated},
		"an IP packet cut short":       {Packet{Buf: tcp.packet(pattern(99)).Buf[:Headroom+100]}, ErrTruncated},
		"GSO of another version":       {super(Offload{GSO: GSOTCPv6, Size: 1000, Trusted: true, Partial: true}), ErrOffload},
		"GSO of another protocol":      {super(Offload{GSO: GSOUDP, Size: 1000, Trusted: true, Partial: true}), ErrOffload},
		"GSO of an unknown type":       {super(Offload{GSO: 9, Size: 1000, Trusted: true, Partial: true}), ErrGSOType},
		"GSO without a size":           {super(Offload{GSO: GSOTCPv4, Trusted: true, Partial: true}), ErrGSOSize},
		"too many pieces":              {super(Offload{GSO: GSOTCPv4, Size: 2, Trusted: true, Partial: true}), ErrGSOSize},
		"GSO with a checksum":          {super(Offload{GSO: GSOTCPv4, Size: 1000, Trusted: true}), ErrOffload},
		"GSO with a bad IPv4 checksum": {bad, ErrOffload},
		"partial that isn't TCP": {Packet{Buf: room(append(AppendIPv4(make([]byte, Headroom), IPv4Fields{Src: ipA, Dst: ipB, Protocol: 50}, 8), make([]byte, 8)...)),
			Offload: Offload{Trusted: true, Partial: true}}, ErrOffload},
	} {
		if _, err := Cut(c.p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.p.Offload == (Offload{}) {
			continue // nothing to finish
		}
		if err := Finish(c.p, nil, func(Packet) { t.Errorf("%s: finished", name) }); !errors.Is(err, c.want) {
			t.Errorf("%s: Finish: %v, want %v", name, err, c.want)
		}
	}
}

// joined returns how many packets come of these, given to one joiner one by one.
func joined(t *testing.T, j *Joiner, packets ...Packet) string {
	t.Helper()
	j.Reset()
	var want [][]byte
	for _, p := range packets {
		want = append(want, finished(t, p)...)
		for _, b := range bodies(t, p) {
			if err := take(j, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	var lengths []string
	var got [][]byte
	for _, p := range j.Packets() {
		pieces := finished(t, p)
		got = append(got, pieces...)
		lengths = append(lengths, fmt.Sprint(len(pieces)))
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets became %d", len(want), len(got))
	}
	for i := range got {
		if got[i][0]>>4 == 4 && IPv4(got[i]).DontFragment() { // the ID says nothing then
			got[i][4], got[i][5], want[i][4], want[i][5] = 0, 0, 0, 0
			IPv4(got[i]).SetChecksum()
			IPv4(want[i]).SetChecksum()
		}
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("packet %d:\n%x, want\n%x", i, got[i], want[i])
		}
	}
	return strings.Join(lengths, " ")
}

func TestSegmentsThatFollowOneAnotherAreJoined(t *testing.T) {
	tcp := flow{port: 1, id: 7, df: true, seq: 1000, flags: TCPAck}
	udp := flow{udp: true, port: 1, id: 7}
	// at is the flow later: bytes on in sequence, IDs on.
	at := func(f flow, bytes, ids int, change func(*flow)) flow {
		f.seq, f.id = f.seq+uint32(bytes), f.id+uint16(ids)
		if change != nil {
			change(&f)
		}
		return f
	}
	flags := func(v uint8) func(*flow) { return func(f *flow) { f.flags = v } }
	noDF := func(f *flow) { f.df = false }
	a, b, short := pattern(100), pattern(100)[:100], pattern(60)
	first := tcp.trusted(a)
	options := func(v byte) func(*flow) { return func(f *flow) { f.options = []byte{1, 1, 1, v} } }
	poke := func(p Packet, offset int) Packet { p.IP()[offset] ^= 4; IPv4(p.IP()).SetChecksum(); return p }
	for name, c := range map[string]struct {
		packets []Packet
		want    string
	}{
		"in sequence":                  {[]Packet{first, at(tcp, 100, 1, nil).trusted(b), at(tcp, 200, 2, nil).trusted(short)}, "3"},
		"one ID with DF":               {[]Packet{first, at(tcp, 100, 0, nil).trusted(b), at(tcp, 200, 0, nil).trusted(b)}, "3"},
		"one ID without DF":            {[]Packet{at(tcp, 0, 0, noDF).trusted(a), at(tcp, 100, 0, noDF).trusted(b)}, "1 1"},
		"an ID left out":               {[]Packet{first, at(tcp, 100, 2, nil).trusted(b)}, "1 1"},
		"one ID, then counting":        {[]Packet{first, at(tcp, 100, 0, nil).trusted(b), at(tcp, 200, 2, nil).trusted(b)}, "2 1"},
		"counting, then the first ID":  {[]Packet{first, at(tcp, 100, 1, nil).trusted(b), at(tcp, 200, 0, nil).trusted(b)}, "2 1"},
		"ID wraps":                     {[]Packet{at(tcp, 0, 0xfff8, nil).trusted(a), at(tcp, 100, 0xfff9, nil).trusted(b)}, "2"},
		"a hole":                       {[]Packet{first, at(tcp, 200, 1, nil).trusted(b)}, "1 1"},
		"twice":                        {[]Packet{first, first}, "1 1"},
		"behind a short one":           {[]Packet{first, at(tcp, 100, 1, nil).trusted(short), at(tcp, 160, 2, nil).trusted(short)}, "2 1"},
		"longer":                       {[]Packet{tcp.trusted(short), at(tcp, 60, 1, nil).trusted(a)}, "1 1"},
		"PSH ends":                     {[]Packet{first, at(tcp, 100, 1, flags(TCPAck|tcpPsh)).trusted(b), at(tcp, 200, 2, nil).trusted(b)}, "2 1"},
		"FIN ends":                     {[]Packet{first, at(tcp, 100, 1, flags(TCPAck|TCPFin)).trusted(b), at(tcp, 200, 2, nil).trusted(b)}, "2 1"},
		"PSH on the first":             {[]Packet{at(tcp, 0, 0, flags(TCPAck|tcpPsh)).trusted(a), at(tcp, 100, 1, nil).trusted(b)}, "1 1"},
		"CWR on the first":             {[]Packet{at(tcp, 0, 0, flags(TCPAck|tcpCwr)).trusted(a), at(tcp, 100, 1, nil).trusted(b)}, "2"},
		"CWR on the second":            {[]Packet{first, at(tcp, 100, 1, flags(TCPAck|tcpCwr)).trusted(b)}, "1 1"},
		"CWR on both":                  {[]Packet{at(tcp, 0, 0, flags(TCPAck|tcpCwr)).trusted(a), at(tcp, 100, 1, flags(TCPAck|tcpCwr)).trusted(b)}, "1 1"},
		"ECE on both":                  {[]Packet{at(tcp, 0, 0, flags(TCPAck|0x40)).trusted(a), at(tcp, 100, 1, flags(TCPAck|0x40)).trusted(b)}, "2"},
		"ECE on one":                   {[]Packet{at(tcp, 0, 0, flags(TCPAck|0x40)).trusted(a), at(tcp, 100, 1, nil).trusted(b)}, "1 1"},
		"URG":                          {[]Packet{at(tcp, 0, 0, flags(TCPAck|tcpUrg)).trusted(a), at(tcp, 100, 1, flags(TCPAck|tcpUrg)).trusted(b)}, "1 1"},
		"SYN":                          {[]Packet{at(tcp, 0, 0, flags(TCPSyn)).trusted(a), at(tcp, 100, 1, flags(TCPSyn)).trusted(b)}, "1 1"},
		"RST":                          {[]Packet{at(tcp, 0, 0, flags(TCPRst)).trusted(a), at(tcp, 100, 1, flags(TCPRst)).trusted(b)}, "1 1"},
		"acknowledgements":             {[]Packet{tcp.trusted(nil), at(tcp, 0, 1, nil).trusted(nil)}, "1 1"},
		"an acknowledgement between":   {[]Packet{first, at(tcp, 100, 1, nil).trusted(nil), at(tcp, 100, 2, nil).trusted(b)}, "1 1 1"},
		"the second isn't trusted":     {[]Packet{first, at(tcp, 100, 1, nil).packet(b)}, "1 1"},
		"the first isn't trusted":      {[]Packet{tcp.packet(a), at(tcp, 100, 1, nil).trusted(b)}, "1 1"},
		"same options":                 {[]Packet{at(tcp, 0, 0, options(1)).trusted(a), at(tcp, 100, 1, options(1)).trusted(b)}, "2"},
		"other options":                {[]Packet{at(tcp, 0, 0, options(1)).trusted(a), at(tcp, 100, 1, options(0)).trusted(b)}, "1 1"},
		"options on one":               {[]Packet{at(tcp, 0, 0, options(1)).trusted(a), at(tcp, 100, 1, nil).trusted(b)}, "1 1"},
		"another TOS":                  {[]Packet{first, poke(at(tcp, 100, 1, nil).trusted(b), 1)}, "1 1"},
		"another TTL":                  {[]Packet{first, poke(at(tcp, 100, 1, nil).trusted(b), 8)}, "1 1"},
		"another source":               {[]Packet{first, poke(at(tcp, 100, 1, nil).trusted(b), 15)}, "1 1"},
		"another destination":          {[]Packet{first, poke(at(tcp, 100, 1, nil).trusted(b), 19)}, "1 1"},
		"another source port":          {[]Packet{first, poke(at(tcp, 100, 1, nil).trusted(b), 21)}, "1 1"},
		"another destination port":     {[]Packet{first, poke(at(tcp, 100, 1, nil).trusted(b), 23)}, "1 1"},
		"another acknowledgement":      {[]Packet{first, poke(at(tcp, 100, 1, nil).trusted(b), 31)}, "1 1"},
		"the NS flag on one":           {[]Packet{first, poke(at(tcp, 100, 1, nil).trusted(b), 32)}, "1 1"},
		"another window":               {[]Packet{first, poke(at(tcp, 100, 1, nil).trusted(b), 35)}, "1 1"},
		"another urgent pointer":       {[]Packet{first, poke(at(tcp, 100, 1, nil).trusted(b), 39)}, "1 1"},
		"datagrams of one length":      {[]Packet{udp.trusted(a), at(udp, 0, 1, nil).trusted(b), at(udp, 0, 2, nil).trusted(short), at(udp, 0, 3, nil).trusted(short)}, "3 1"},
		"datagrams, another port":      {[]Packet{udp.trusted(a), poke(at(udp, 0, 1, nil).trusted(b), 21)}, "1 1"},
		"empty datagrams":              {[]Packet{udp.trusted(nil), at(udp, 0, 1, nil).trusted(nil)}, "1 1"},
		"TCP behind UDP":               {[]Packet{udp.trusted(a), at(tcp, 0, 1, nil).trusted(b)}, "1 1"},
		"super-frames in sequence":     {[]Packet{tcp.super(pattern(300), 100), at(tcp, 300, 3, nil).super(pattern(250), 100), at(tcp, 550, 6, nil).super(pattern(200), 100)}, "6 2"},
		"a lone one and a super-frame": {[]Packet{first, at(tcp, 100, 1, nil).super(pattern(250), 100)}, "4"},
	} {
		if got := joined(t, NewJoiner(1<<16), c.packets...); got != c.want {
			t.Errorf("%s: joined as %s, want %s", name, got, c.want)
		}
	}
	v6 := flow{v6: true, port: 1, seq: 1000, flags: TCPAck}
	udp6 := flow{v6: true, udp: true, port: 1}
	if got := joined(t, NewJoiner(1<<16), udp6.trusted(a), udp.trusted(b), udp6.trusted(a)); got != "1 1 1" {
		t.Errorf("IPv4 between IPv6: joined as %s", got)
	}
	for _, offset := range []int{1, 7, 23, 39} { // flow label, hop limit, addresses
		other := at(v6, 100, 0, nil).trusted(b)
		other.IP()[offset] ^= 4
		if got := joined(t, NewJoiner(1<<16), v6.trusted(a), other); got != "1 1" {
			t.Errorf("IPv6, byte %d differs: joined as %s", offset, got)
		}
	}
}

func TestJoiningIsBounded(t *testing.T) {
	tcp, udp := flow{v6: true, port: 1, flags: TCPAck}, flow{udp: true, v6: true, port: 1}
	many := func(f flow, n, length int) (packets []Packet) {
		for i := range n {
			f.seq = uint32(i * length)
			packets = append(packets, f.trusted(pattern(length)))
		}
		return packets
	}
	for name, c := range map[string]struct {
		packets []Packet
		want    string
	}{
		"64 datagrams":   {many(udp, 70, 10), "64 6"},
		"65,535 bytes":   {many(tcp, 70, 1000), "65 5"},
		"2,048 segments": {many(tcp, 2050, 1), "2048 2"},
	} {
		if got := joined(t, NewJoiner(1<<18), c.packets...); got != c.want {
			t.Errorf("%s: joined as %s, want %s", name, got, c.want)
		}
	}
	// 65,535 bytes to the byte, and not one more.
	for last, want := range map[int]string{535 - 60: "66", 535 - 59: "65 1"} {
		packets := append(many(tcp, 65, 1000), flow{v6: true, port: 1, flags: TCPAck, seq: 65_000}.trusted(pattern(last)))
		if got := joined(t, NewJoiner(1<<18), packets...); got != want {
			t.Errorf("%d bytes in the end: joined as %s, want %s", last, got, want)
		}
	}
}

func TestARestKeepsPacketsAndTakesTheMemoryOfNone(t *testing.T) {
	j := NewJoiner(1 << 18)
	f := flow{v6: true, port: 1, flags: TCPAck}
	for _, b := range bodies(t, f.trusted(bytes.Repeat([]byte{1}, 9000))) {
		if err := take(j, b); err != nil {
			t.Fatal(err)
		}
	}
	j.Rest()
	if all := j.Packets(); len(all) != 1 || bytes.Count(all[0].IP(), []byte{1}) < 9000 {
		t.Error("the packet that was there is lost")
	}
	j.Reset()
	if j.Rest(); bytes.ContainsRune(j.arena[:12<<10], 1) {
		t.Error("nobody's memory is kept")
	}
	if got := joined(t, j, f.trusted(pattern(100))); got != "1" {
		t.Errorf("joined as %s after it", got)
	}
}

func TestJoiningCanBeSwitchedOff(t *testing.T) {
	for name, f := range flows() {
		f.flags, f.df = TCPAck, false
		for _, off := range []string{"TCP", "UDP"} {
			j := NewJoiner(1 << 16)
			j.JoinTCP, j.JoinUDP = off != "TCP", off != "UDP"
			want := "3"
			if strings.HasPrefix(name, off) {
				want = "1 1 1"
			}
			if got := joined(t, j, f.super(pattern(300), 100)); got != want {
				t.Errorf("%s without %s: joined as %s", name, off, got)
			}
		}
	}
}

func TestWhatAnotherSendsIsNotJoined(t *testing.T) {
	b := bodies(t, flow{port: 1, flags: TCPAck}.super(pattern(300), 100))
	j := NewJoiner(1 << 16)
	for _, b := range b {
		if err := take(j, b); err != nil {
			t.Fatal(err)
		}
		j.End()
	}
	if n := j.Len(); n != 3 || len(j.Packets()) != n {
		t.Fatalf("%d packets", n)
	}
	// Packets may be asked for in between; they stay where they are.
	first := j.Packets()[0]
	before := bytes.Clone(first.Buf)
	if err := take(j, b[0]); err != nil {
		t.Fatal(err)
	}
	if n := len(j.Packets()); n != 4 || !bytes.Equal(before, first.Buf) || binary.BigEndian.Uint16(first.IP()[2:]) != 140 {
		t.Fatalf("%d packets, the first %x", n, first.Buf)
	}
	if j.Reset(); len(j.Packets()) != 0 {
		t.Fatal("packets after Reset")
	}
}
