package dhcp

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

var (
	clientMAC = frame.MAC{0x52, 0x54, 0, 0, 0, 1}
	service   = netip.MustParseAddr("10.9.0.1")
	first     = netip.MustParseAddr("10.9.1.1")
	all       = netip.MustParseAddr("255.255.255.255")
	began     = time.Unix(1_700_000_000, 0)
)

type bench struct {
	*Server
	leaser *fakeLeaser
	prober *fakeProber
}

func newBench() *bench {
	b := &bench{leaser: newFakeLeaser("10.9.1.1"), prober: &fakeProber{used: make(map[netip.Addr]bool)}}
	b.Server = NewServer(Config{
		Prefix: netip.MustParsePrefix("10.9.0.0/16"), ServiceAddr: service, MTU: 1376, Zone: "demo.example",
		Options: Options{LeaseTime: time.Hour, Domain: "demo.example."}, Leaser: b.leaser, Prober: b.prober,
		Now: func() time.Time { return began },
	})
	return b
}

// captured reads a message that a real client sent.
func captured(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for line := range strings.Lines(string(text)) {
		digits, _, _ := strings.Cut(line[10:], "|")
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, b...)
	}
	return out
}

// build makes a message of type kind from the test's client.
func build(kind dhcpv4.MessageType, edit ...func(*dhcpv4.DHCPv4)) []byte {
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootRequest, HWType: 1, TransactionID: dhcpv4.TransactionID{1, 2, 3, 4},
		ClientHWAddr: clientMAC.HardwareAddr(), Options: dhcpv4.OptionsFromList(dhcpv4.OptMessageType(kind)),
	}
	for _, e := range edit {
		e(m)
	}
	return m.ToBytes()
}

func with(code dhcpv4.OptionCode, value ...byte) func(*dhcpv4.DHCPv4) {
	return func(m *dhcpv4.DHCPv4) { m.Options[code.Code()] = value }
}

func wants(addr string) func(*dhcpv4.DHCPv4) {
	return with(dhcpv4.OptionRequestedIPAddress, netip.MustParseAddr(addr).AsSlice()...)
}

func chooses(addr string) func(*dhcpv4.DHCPv4) {
	return with(dhcpv4.OptionServerIdentifier, netip.MustParseAddr(addr).AsSlice()...)
}

func has(addr string) func(*dhcpv4.DHCPv4) {
	return func(m *dhcpv4.DHCPv4) { m.ClientIPAddr = net.ParseIP(addr) }
}

func broadcasts(m *dhcpv4.DHCPv4) { m.SetBroadcast() }

// answer is a reply as gopacket, not our codec, reads it.
type answer struct {
	Reply
	*layers.DHCPv4
	kind    layers.DHCPMsgType
	codes   []layers.DHCPOpt
	options map[layers.DHCPOpt][]byte
}

func read(t testing.TB, r Reply) answer {
	t.Helper()
	d := new(layers.DHCPv4)
	if err := d.DecodeFromBytes(r.Payload, gopacket.NilDecodeFeedback); err != nil {
		t.Fatalf("%x: %v", r.Payload, err)
	}
	a := answer{Reply: r, DHCPv4: d, options: make(map[layers.DHCPOpt][]byte)}
	for _, o := range d.Options {
		if o.Type != layers.DHCPOptPad && o.Type != layers.DHCPOptEnd {
			a.codes, a.options[o.Type] = append(a.codes, o.Type), o.Data
		}
	}
	if kind := a.options[layers.DHCPOptMessageType]; len(kind) == 1 {
		a.kind = layers.DHCPMsgType(kind[0])
	}
	if a.Operation != layers.DHCPOpReply || !bytes.Equal(a.options[layers.DHCPOptServerID], service.AsSlice()) || len(r.Payload) < 300 {
		t.Fatalf("reply %x", r.Payload)
	}
	return a
}

// send handles a message that must be answered.
func (b *bench) send(t testing.TB, message []byte) answer {
	t.Helper()
	reply, ok, err := b.Handle(t.Context(), message, clientMAC)
	if !ok || err != nil {
		t.Fatalf("no reply: %v", err)
	}
	return read(t, reply)
}

// refuse handles a message that must get no reply, and returns why.
func (b *bench) refuse(t testing.TB, message []byte) error {
	t.Helper()
	reply, ok, err := b.Handle(t.Context(), message, clientMAC)
	if ok {
		t.Fatalf("reply %x", reply.Payload)
	}
	return err
}

func addrOf(ip net.IP) netip.Addr { return fieldAddr(ip) }

func TestDORAWithCapturedClients(t *testing.T) {
	for _, c := range []struct {
		client, name string
		codes        []layers.DHCPOpt // behind 53, 54
	}{
		{"udhcpc", "box", []layers.DHCPOpt{61, 51, 58, 59, 1, 6, 15, 26, 28, 119}},
		{"dhclient", "alpha", []layers.DHCPOpt{51, 58, 59, 1, 28, 15, 6, 119, 26}},
		{"dhcpcd", "beta", []layers.DHCPOpt{61, 51, 58, 59, 1, 6, 15, 26, 28, 119}},
	} {
		b := newBench()
		discover := captured(t, c.client+"-discover")
		for i, message := range [][]byte{discover, captured(t, c.client+"-select")} {
			a := b.send(t, message)
			if want := []layers.DHCPMsgType{layers.DHCPMsgTypeOffer, layers.DHCPMsgTypeAck}[i]; a.kind != want {
				t.Fatalf("%s: %v, want %v", c.client, a.kind, want)
			}
			if a.Xid != binary.BigEndian.Uint32(message[4:]) || !bytes.Equal(a.ClientHWAddr, clientMAC[:]) || addrOf(a.YourClientIP) != first {
				t.Errorf("%s: %+v", c.client, a.DHCPv4)
			}
			if want := append([]layers.DHCPOpt{53, 54}, c.codes...); !slices.Equal(a.codes, want) {
				t.Errorf("%s: options %v, want %v", c.client, a.codes, want)
			}
			if a.Dst != first || a.DstMAC != clientMAC {
				t.Errorf("%s: sent to %v %v", c.client, a.Dst, a.DstMAC)
			}
		}
		if got := b.leaser.names[first]; got != c.name || len(b.prober.probed) != 1 {
			t.Errorf("%s: name %q, probes %v", c.client, got, b.prober.probed)
		}
	}
}

func TestOptionValues(t *testing.T) {
	a := newBench().send(t, captured(t, "dhclient-discover"))
	for code, want := range map[layers.DHCPOpt]string{
		51: "00000e10", 58: "00000708", 59: "00000c4e", 1: "ffff0000", 28: "0a09ffff", 6: "0a090001",
		26: "0560", 15: hex.EncodeToString([]byte("demo.example")), 119: "0464656d6f076578616d706c6500",
	} {
		if got := hex.EncodeToString(a.options[code]); got != want {
			t.Errorf("option %d: %s, want %s", code, got, want)
		}
	}
}

func TestGoldenOffer(t *testing.T) {
	got := newBench().send(t, captured(t, "dhclient-discover")).Payload
	options := "350102 36040a090001 330400000e10 3a0400000708 3b0400000c4e 0104ffff0000 1c040a09ffff" +
		"0f0c64656d6f2e6578616d706c65 06040a090001 770e0464656d6f076578616d706c6500 1a020560 ff"
	want := make([]byte, offsetOptions)
	copy(want, []byte{2, 1, 6, 0})
	copy(want[4:8], captured(t, "dhclient-discover")[4:8])
	copy(want[16:], first.AsSlice())
	copy(want[28:], clientMAC[:])
	copy(want[236:], []byte{99, 130, 83, 99})
	b, err := hex.DecodeString(strings.ReplaceAll(options, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	want = slices.Concat(want, b, make([]byte, minReply-offsetOptions))[:max(minReply, offsetOptions+len(b))]
	if !bytes.Equal(got, want) {
		t.Fatalf("%x, want\n%x", got, want)
	}
}

func TestCapturedRenewalsAndReboots(t *testing.T) {
	for _, name := range []string{"udhcpc-renew", "dhclient-renew", "dhclient-reboot", "dhcpcd-rebind"} {
		b := newBench()
		a := b.send(t, captured(t, name))
		if a.kind != layers.DHCPMsgTypeAck || addrOf(a.YourClientIP) != first || a.Dst != first || b.leaser.seen("commit") != 1 || len(b.prober.probed) != 0 {
			t.Errorf("%s: %v of %v to %v, calls %v", name, a.kind, a.YourClientIP, a.Dst, b.leaser.calls)
		}
		if !bytes.Equal(a.ClientIP.To4(), captured(t, name)[12:16]) {
			t.Errorf("%s: ciaddr %v", name, a.ClientIP)
		}
	}
}

func TestACapturedRebootFromElsewhereGetsABroadcastNAK(t *testing.T) {
	b := newBench()
	a := b.send(t, captured(t, "dhclient-reboot-elsewhere"))
	if a.kind != layers.DHCPMsgTypeNak || a.Dst != all || a.DstMAC != frame.Broadcast() || !addrOf(a.YourClientIP).IsUnspecified() || len(b.leaser.calls) != 0 {
		t.Fatalf("%v to %v, yiaddr %v, calls %v", a.kind, a.Dst, a.YourClientIP, b.leaser.calls)
	}
	if !slices.Equal(a.codes, []layers.DHCPOpt{53, 54, 56}) {
		t.Fatalf("options %v", a.codes)
	}
}

func TestCapturedReleasesAndDeclines(t *testing.T) {
	for _, c := range []struct{ message, call string }{
		{"udhcpc-release", "release 10.9.1.1"}, {"dhclient-release", "release 10.9.1.1"},
		{"dhcpcd-release", "release 10.9.1.1"}, {"udhcpc-decline", "decline 10.9.1.1"},
	} {
		b := newBench()
		if err := b.refuse(t, captured(t, c.message)); err != nil || b.leaser.seen(c.call) != 1 {
			t.Errorf("%s: %v, calls %v", c.message, err, b.leaser.calls)
		}
	}
}

// The table of doc.go: when the answer is NAK and when silence.
func TestNAKOrSilence(t *testing.T) {
	otherFault := errors.New("no majority")
	for _, c := range []struct {
		name string
		fail error
		edit []func(*dhcpv4.DHCPv4)
		kind layers.DHCPMsgType // 0: silence
		err  error
	}{
		{"SELECTING", nil, []func(*dhcpv4.DHCPv4){wants("10.9.1.1"), chooses("10.9.0.1")}, layers.DHCPMsgTypeAck, nil},
		{"SELECTING, address in ciaddr", nil, []func(*dhcpv4.DHCPv4){has("10.9.1.1"), chooses("10.9.0.1")}, layers.DHCPMsgTypeAck, nil},
		{"SELECTING another server", nil, []func(*dhcpv4.DHCPv4){wants("10.9.1.1"), chooses("10.9.0.2")}, 0, ErrOtherServer},
		{"SELECTING, taken", ErrTaken, []func(*dhcpv4.DHCPv4){wants("10.9.1.1"), chooses("10.9.0.1")}, layers.DHCPMsgTypeNak, nil},
		{"SELECTING, unsure", ErrUnsure, []func(*dhcpv4.DHCPv4){wants("10.9.1.1"), chooses("10.9.0.1")}, layers.DHCPMsgTypeNak, nil},
		{"INIT-REBOOT, unsure", ErrUnsure, []func(*dhcpv4.DHCPv4){wants("10.9.1.1")}, 0, ErrUnsure},
		{"RENEWING, unsure", ErrUnsure, []func(*dhcpv4.DHCPv4){has("10.9.1.1")}, 0, ErrUnsure},
		{"INIT-REBOOT", nil, []func(*dhcpv4.DHCPv4){wants("10.9.1.1")}, layers.DHCPMsgTypeAck, nil},
		{"INIT-REBOOT, refused", ErrNotOurs, []func(*dhcpv4.DHCPv4){wants("10.9.1.1")}, layers.DHCPMsgTypeNak, nil},
		{"INIT-REBOOT, other network", nil, []func(*dhcpv4.DHCPv4){wants("192.168.1.5")}, layers.DHCPMsgTypeNak, nil},
		{"INIT-REBOOT, service address", nil, []func(*dhcpv4.DHCPv4){wants("10.9.0.1")}, layers.DHCPMsgTypeNak, nil},
		{"INIT-REBOOT, broadcast address", nil, []func(*dhcpv4.DHCPv4){wants("10.9.255.255")}, layers.DHCPMsgTypeNak, nil},
		{"INIT-REBOOT, can't tell", otherFault, []func(*dhcpv4.DHCPv4){wants("10.9.1.1")}, 0, otherFault},
		{"RENEWING", nil, []func(*dhcpv4.DHCPv4){has("10.9.1.1")}, layers.DHCPMsgTypeAck, nil},
		{"RENEWING, refused", ErrNoAddress, []func(*dhcpv4.DHCPv4){has("10.9.1.1")}, layers.DHCPMsgTypeNak, nil},
		{"RENEWING, can't tell", otherFault, []func(*dhcpv4.DHCPv4){has("10.9.1.1")}, 0, otherFault},
		{"REBINDING elsewhere", nil, []func(*dhcpv4.DHCPv4){has("192.168.1.5")}, 0, ErrOtherNetwork},
		{"RENEWING, option 50 too", nil, []func(*dhcpv4.DHCPv4){has("10.9.1.1"), wants("10.9.1.9")}, layers.DHCPMsgTypeAck, nil},
		{"no address at all", nil, nil, 0, ErrMalformed},
		{"no address, but our identifier", nil, []func(*dhcpv4.DHCPv4){chooses("10.9.0.1")}, 0, ErrMalformed},
	} {
		b := newBench()
		b.leaser.fail = c.fail
		reply, ok, err := b.Handle(t.Context(), build(dhcpv4.MessageTypeRequest, c.edit...), clientMAC)
		if ok != (c.kind != 0) || !errors.Is(err, c.err) {
			t.Errorf("%s: replied %v, %v", c.name, ok, err)
			continue
		}
		if !ok {
			continue
		}
		a := read(t, reply)
		if a.kind != c.kind {
			t.Errorf("%s: %v", c.name, a.kind)
		}
		if a.kind == layers.DHCPMsgTypeNak && (a.Dst != all || !addrOf(a.ClientIP).IsUnspecified() || a.options[layers.DHCPOptLeaseTime] != nil) {
			t.Errorf("%s: NAK to %v, ciaddr %v, options %v", c.name, a.Dst, a.ClientIP, a.codes)
		}
		if a.kind == layers.DHCPMsgTypeAck && addrOf(a.YourClientIP) != first {
			t.Errorf("%s: ACK of %v", c.name, a.YourClientIP)
		}
	}
}

func TestWhereRepliesGo(t *testing.T) {
	for _, c := range []struct {
		name    string
		message []byte
		dst     string
	}{
		{"OFFER", build(dhcpv4.MessageTypeDiscover), "10.9.1.1"},
		{"OFFER, broadcast flag", build(dhcpv4.MessageTypeDiscover, broadcasts), "255.255.255.255"},
		{"OFFER, ciaddr of somebody", build(dhcpv4.MessageTypeDiscover, has("192.0.2.7")), "10.9.1.1"},
		{"ACK", build(dhcpv4.MessageTypeRequest, wants("10.9.1.1")), "10.9.1.1"},
		{"ACK, broadcast flag", build(dhcpv4.MessageTypeRequest, wants("10.9.1.1"), broadcasts), "255.255.255.255"},
		{"ACK, ciaddr of somebody", build(dhcpv4.MessageTypeRequest, wants("10.9.1.1"), chooses("10.9.0.1"), has("192.0.2.7")), "10.9.1.1"},
		{"renewal, broadcast flag", build(dhcpv4.MessageTypeRequest, has("10.9.1.1"), broadcasts), "10.9.1.1"},
		{"INFORM", build(dhcpv4.MessageTypeInform, has("10.9.7.7")), "10.9.7.7"},
		{"NAK", build(dhcpv4.MessageTypeRequest, wants("192.168.1.1")), "255.255.255.255"},
	} {
		a := newBench().send(t, c.message)
		mac := clientMAC
		if c.dst == "255.255.255.255" {
			mac = frame.Broadcast()
		}
		if a.Dst.String() != c.dst || a.DstMAC != mac {
			t.Errorf("%s: to %v %v, want %s", c.name, a.Dst, a.DstMAC, c.dst)
		}
	}
}

// What Windows sends after it set a static address (options as Microsoft documents them).
func TestInformGetsParametersAndNoLease(t *testing.T) {
	b := newBench()
	a := b.send(t, build(dhcpv4.MessageTypeInform, has("10.9.7.7"),
		with(dhcpv4.OptionClientIdentifier, append([]byte{1}, clientMAC[:]...)...),
		with(dhcpv4.OptionHostName, []byte("WIN-PC")...), with(dhcpv4.OptionClassIdentifier, []byte("MSFT 5.0")...),
		with(dhcpv4.OptionParameterRequestList, 1, 15, 3, 6, 44, 46, 47, 31, 33, 121, 249, 43, 252)))
	if a.kind != layers.DHCPMsgTypeAck || !addrOf(a.YourClientIP).IsUnspecified() || len(b.leaser.calls) != 0 {
		t.Fatalf("%v, yiaddr %v, calls %v", a.kind, a.YourClientIP, b.leaser.calls)
	}
	if !slices.Equal(a.codes, []layers.DHCPOpt{53, 54, 61, 1, 15, 6}) {
		t.Fatalf("options %v", a.codes)
	}
	for _, addr := range []string{"192.168.1.1", "0.0.0.0", "10.9.0.1"} {
		if err := b.refuse(t, build(dhcpv4.MessageTypeInform, has(addr))); !errors.Is(err, ErrOtherNetwork) {
			t.Errorf("from %s: %v", addr, err)
		}
	}
}

func TestLeaseTimesNeverOutlastTheLease(t *testing.T) {
	for _, c := range []struct {
		end     time.Duration
		seconds uint32
	}{{time.Hour + 7*time.Millisecond, 3600}, {90*time.Second + 900*time.Millisecond, 90}, {-time.Hour, 1}, {1000 * time.Hour, 3600}} {
		b := newBench()
		b.leaser.end = func() time.Time { return began.Add(c.end) }
		a := b.send(t, build(dhcpv4.MessageTypeRequest, wants("10.9.1.1")))
		if got := binary.BigEndian.Uint32(a.options[layers.DHCPOptLeaseTime]); got != c.seconds {
			t.Errorf("ends in %v: %d s", c.end, got)
		}
	}
}

func TestDeclineOfAnothersAddressIsIgnored(t *testing.T) {
	b := newBench()
	b.leaser.leased[first] = "somebody"
	if err := b.refuse(t, build(dhcpv4.MessageTypeDecline, wants("10.9.1.1"))); !errors.Is(err, ErrTaken) || b.leaser.declined[first] {
		t.Fatalf("%v, declined %v", err, b.leaser.declined)
	}
	if err := b.refuse(t, build(dhcpv4.MessageTypeDecline, wants("10.9.0.1"))); !errors.Is(err, ErrOtherNetwork) {
		t.Fatalf("service address: %v", err)
	}
}

func TestReleaseOutsideThePrefixIsIgnored(t *testing.T) {
	b := newBench()
	for _, addr := range []string{"192.0.2.1", "0.0.0.0", "10.9.0.1"} {
		if err := b.refuse(t, build(dhcpv4.MessageTypeRelease, has(addr))); !errors.Is(err, ErrOtherNetwork) || len(b.leaser.calls) != 0 {
			t.Errorf("%s: %v, calls %v", addr, err, b.leaser.calls)
		}
	}
}

func TestParametersComeInTheClientsOrderAndOnce(t *testing.T) {
	a := newBench().send(t, build(dhcpv4.MessageTypeDiscover, with(dhcpv4.OptionParameterRequestList, 119, 26, 26, 3, 51, 53, 54, 255, 0, 6, 1, 119)))
	if !slices.Equal(a.codes, []layers.DHCPOpt{53, 54, 51, 58, 59, 119, 26, 6, 1}) {
		t.Fatalf("options %v", a.codes)
	}
	a = newBench().send(t, build(dhcpv4.MessageTypeDiscover))
	if !slices.Equal(a.codes, []layers.DHCPOpt{53, 54, 51, 58, 59, 1, 6, 15, 26}) {
		t.Fatalf("none asked for: options %v", a.codes)
	}
}

func TestRepliesFitTheClientsMessageSize(t *testing.T) {
	b := newBench()
	search := make([]string, 0, 12)
	for i := range 12 {
		search = append(search, strings.Repeat(string(rune('a'+i)), 50)+".example")
	}
	b.SetOptions(Options{LeaseTime: time.Hour, Search: search}) // 12 x 60 bytes
	ask := with(dhcpv4.OptionParameterRequestList, 119, 1, 6)
	a := b.send(t, build(dhcpv4.MessageTypeDiscover, ask))
	if len(a.Payload) > 548 || a.options[119] != nil || a.options[6] == nil {
		t.Fatalf("%d bytes, options %v", len(a.Payload), a.codes)
	}
	a = b.send(t, build(dhcpv4.MessageTypeDiscover, ask, with(dhcpv4.OptionMaximumDHCPMessageSize, 0x05, 0xdc)))
	split := 0
	for _, code := range a.codes {
		if code == 119 {
			split++
		}
	}
	if split != 3 || len(a.Payload) > 1472 {
		t.Fatalf("%d bytes, search list in %d options", len(a.Payload), split)
	}
	m, err := dhcpv4.FromBytes(a.Payload)
	if err != nil || !slices.Equal(m.DomainSearch().Labels, search) {
		t.Fatalf("search list read back: %v, %v", m.DomainSearch(), err)
	}
	for _, size := range []byte{0, 100} { // below 576: not allowed
		if a := newBench().send(t, build(dhcpv4.MessageTypeDiscover, with(dhcpv4.OptionMaximumDHCPMessageSize, 0, size))); a.options[layers.DHCPOptLeaseTime] == nil {
			t.Errorf("size %d: options %v", size, a.codes)
		}
	}
}

func TestHandleIgnoresItsCallersBuffer(t *testing.T) {
	b := newBench()
	message := captured(t, "udhcpc-discover")
	before := bytes.Clone(message)
	roomy := append(make([]byte, 0, 2048), message...)
	roomy = roomy[:len(message)]
	beyond := roomy[:len(message)+1]
	beyond[len(message)] = 0x5a
	b.send(t, roomy)
	if !bytes.Equal(roomy, before) || beyond[len(message)] != 0x5a {
		t.Fatal("Handle wrote into the request's buffer")
	}
}

func BenchmarkRenew(b *testing.B) {
	s := newBench()
	message := captured(b, "udhcpc-renew")
	b.ReportAllocs()
	for b.Loop() {
		s.leaser.calls = nil
		if _, ok, err := s.Handle(context.Background(), message, clientMAC); !ok {
			b.Fatal(err)
		}
	}
}
