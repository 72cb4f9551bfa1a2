package dhcp

import (
	"bytes"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

func TestBadMessagesAreDropped(t *testing.T) {
	discover := build(dhcpv4.MessageTypeDiscover)
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(discover)) }
	set := func(at int, v ...byte) []byte {
		return edit(func(b []byte) []byte { copy(b[at:], v); return b })
	}
	for _, c := range []struct {
		name    string
		message []byte
		want    error
	}{
		{"empty", nil, ErrMalformed},
		{"no options", discover[:240], ErrMalformed},
		{"cut in the header", discover[:100], ErrMalformed},
		{"no cookie", set(236, 0), ErrMalformed},
		{"a reply", set(0, 2), ErrMalformed},
		{"BOOTP", set(240, 255), ErrMalformed},
		{"message type of no bytes", set(240, 53, 0, 255), ErrMalformed},
		{"message type of two bytes", set(240, 53, 2, 1, 1, 255), ErrMalformed},
		{"message type twice", set(240, 53, 1, 1, 53, 1, 3, 255), ErrMalformed},
		{"message type 0", set(242, 0), ErrMalformed},
		{"message type OFFER", set(242, 2), ErrMalformed},
		{"message type LEASEQUERY", set(242, 10), ErrMalformed},
		{"option past the end", edit(func(b []byte) []byte { return append(b[:243], 12, 200, 'a') }), ErrMalformed},
		{"option without a length", edit(func(b []byte) []byte { return append(b[:243], 12) }), ErrMalformed},
		{"longer than a frame", edit(func(b []byte) []byte { return append(b, make([]byte, 1500)...) }), ErrMalformed},
		{"token ring", set(1, 6), ErrHardware},
		{"chaddr of 16 bytes", set(2, 16), ErrHardware},
		{"chaddr of 255 bytes", set(2, 255), ErrHardware},
		{"chaddr of no bytes", set(2, 0), ErrHardware},
		{"chaddr of another host", set(28, 0x52, 0x54, 0, 0, 0, 2), ErrHardware},
		{"giaddr", set(24, 10, 9, 0, 1), ErrRelayed},
		{"overload 0", set(243, 52, 1, 0, 255), ErrMalformed},
		{"overload 4", set(243, 52, 1, 4, 255), ErrMalformed},
		{"overload of two bytes", set(243, 52, 2, 1, 1, 255), ErrMalformed},
		{"overloaded option past the end", func() []byte { b := set(243, 52, 1, 1, 255); b[offsetFile+126], b[offsetFile+127] = 12, 9; return b }(), ErrMalformed},
		{"server identifier of no bytes", build(dhcpv4.MessageTypeRequest, wants("10.9.1.1"), with(dhcpv4.OptionServerIdentifier)), ErrMalformed},
		{"server identifier of 8 bytes", build(dhcpv4.MessageTypeRequest, wants("10.9.1.1"), with(dhcpv4.OptionServerIdentifier, 10, 9, 0, 1, 10, 9, 0, 1)), ErrMalformed},
		{"requested address of no bytes", build(dhcpv4.MessageTypeRequest, with(dhcpv4.OptionRequestedIPAddress)), ErrMalformed},
	} {
		b := newBench()
		if err := b.refuse(t, c.message); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if len(b.leaser.calls) != 0 {
			t.Errorf("%s: calls %v", c.name, b.leaser.calls)
		}
	}
}

func TestAGroupMACIsNoClient(t *testing.T) {
	for _, mac := range []frame.MAC{{}, frame.Broadcast(), {1, 0, 0x5e, 0, 0, 1}} {
		if _, ok, err := newBench().Handle(t.Context(), from(mac), mac); ok || !errors.Is(err, ErrHardware) {
			t.Errorf("%v: %v", mac, err)
		}
	}
}

func TestAMessageWithoutEndOptionIsRead(t *testing.T) {
	b := append(build(dhcpv4.MessageTypeDiscover)[:243], 12, 3, 'b', 'o', 'x')
	if m, err := parse(b); err != nil || hostName(m) != "box" {
		t.Fatal(err)
	}
}

func TestOverloadedOptionsAreRead(t *testing.T) {
	b := build(dhcpv4.MessageTypeRequest, with(dhcpv4.OptionOptionOverload, 3), with(dhcpv4.OptionHostName, 'a'))
	copy(b[offsetFile:], []byte{12, 1, 'b', 255})
	copy(b[offsetSname:], []byte{12, 1, 'c', 50, 4, 10, 9, 1, 1, 255})
	m, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	addr, ok := addrOption(m, dhcpv4.OptionRequestedIPAddress)
	if !ok || addr != first || hostName(m) != "abc" { // in the order of RFC 3396
		t.Fatalf("address %v %v, name %q", addr, ok, hostName(m))
	}
	b = build(dhcpv4.MessageTypeRequest, wants("10.9.1.1"))
	copy(b[offsetFile:], []byte{12, 1, 'b', 255}) // a file name, not options
	if m, err := parse(b); err != nil || hostName(m) != "" {
		t.Fatalf("without option 52: %v, name %q", err, hostName(m))
	}
}

func TestEncodeFillsTheLimitAndNoMore(t *testing.T) {
	header := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootReply, HWType: 1, ClientHWAddr: clientMAC.HardwareAddr()}
	for _, n := range []int{0, 1, 255, 256, 510} {
		parts := 2 * max(1, (n+254)/255)
		fits := offsetOptions + parts + n + 1
		o := []option{{dhcpv4.OptionDomainName, bytes.Repeat([]byte{'x'}, n)}}
		if b := encode(header, o, fits); len(b) != max(fits, minReply) || b[offsetOptions] != 15 {
			t.Errorf("%d bytes: left out, though it fits", n)
		}
		if b := encode(header, o, fits-1); b[offsetOptions] != optionEnd {
			t.Errorf("%d bytes: put in, though it doesn't fit", n)
		}
	}
}

func TestClientIdentifiers(t *testing.T) {
	byMAC := string(append([]byte{1}, clientMAC[:]...))
	long := bytes.Repeat([]byte{7}, 255)
	for _, c := range []struct {
		name string
		edit []func(*dhcpv4.DHCPv4)
		want string
		back bool // comes back in the reply
	}{
		{"none", nil, byMAC, false},
		{"the usual", []func(*dhcpv4.DHCPv4){with(dhcpv4.OptionClientIdentifier, []byte(byMAC)...)}, byMAC, true},
		{"of no bytes", []func(*dhcpv4.DHCPv4){with(dhcpv4.OptionClientIdentifier)}, byMAC, false},
		{"of one byte", []func(*dhcpv4.DHCPv4){with(dhcpv4.OptionClientIdentifier, 9)}, byMAC, true},
		{"of 255 bytes", []func(*dhcpv4.DHCPv4){with(dhcpv4.OptionClientIdentifier, long...)}, string(long), true},
		{"of 256 bytes, in two options", []func(*dhcpv4.DHCPv4){with(dhcpv4.OptionClientIdentifier, append(long, 7)...)}, byMAC, false},
	} {
		b := newBench()
		a := b.send(t, build(dhcpv4.MessageTypeDiscover, c.edit...))
		if _, ok := b.leaser.by[c.want]; !ok || len(b.leaser.by) != 1 {
			t.Errorf("%s: client %x", c.name, b.leaser.by)
		}
		if (a.options[61] != nil) != c.back {
			t.Errorf("%s: came back as %x", c.name, a.options[61])
		}
		if a.options[51] == nil || a.options[1] == nil {
			t.Errorf("%s: no room for the rest: %v", c.name, a.codes)
		}
	}
}

func TestHostNames(t *testing.T) {
	for in, want := range map[string]string{
		"alpha": "alpha", "Alpha": "alpha", "alpha.example.com": "alpha", "my box": "my-box", "my_box": "my-box",
		"-alpha-": "alpha", "--": "", "": "", ".": "", "..a": "", "café": "caf", "日本": "", "a日b": "a-b",
		"alpha\x00\x00": "alpha", "\x00alpha": "", "a\nb": "a-b", "\xff\xfe": "", "007": "007",
		strings.Repeat("x", 255): strings.Repeat("x", 63), strings.Repeat("x", 62) + "-y": strings.Repeat("x", 62),
		"localhost": "", "WPAD": "", "isatap": "", "ns": "", "C005032155": "", "c00503215": "c00503215", "c00503215x": "c00503215x",
		"pc;rm -rf": "pc-rm--rf",
	} {
		m := &dhcpv4.DHCPv4{Options: dhcpv4.Options{12: []byte(in)}}
		if got := hostName(m); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestHostNameOfOption81(t *testing.T) {
	for in, want := range map[string]string{
		"\x00\x00\x00alpha.example.com":               "alpha",
		"\x04\x00\x00\x05alpha\x07example\x03com\x00": "alpha",
		"\x04\x00\x00\x05alpha":                       "alpha", // a partial name has no end
		"\x04\x00\x00\x3f":                            "",
		"\x04\x00\x00\xc0\x0c":                        "",
		"\x04\x00\x00":                                "",
		"\x04":                                        "",
		"":                                            "",
		"\x00\x00\x00" + strings.Repeat("y", 200) + ".x": strings.Repeat("y", 63),
	} {
		m := &dhcpv4.DHCPv4{Options: dhcpv4.Options{81: []byte(in)}}
		if got := hostName(m); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	both := &dhcpv4.DHCPv4{Options: dhcpv4.Options{12: []byte("one"), 81: []byte("\x00\x00\x00two")}}
	if got := hostName(both); got != "one" {
		t.Errorf("both: %q", got)
	}
}

// FuzzHandle holds that a reply is a sound DHCP message for the client that asked,
// and that whatever it says of addresses is about the prefix.
func FuzzHandle(f *testing.F) {
	files, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(files) == 0 {
		f.Fatalf("no captured messages: %v", err)
	}
	for _, file := range files {
		f.Add(captured(f, strings.TrimSuffix(filepath.Base(file), ".hex")))
	}
	f.Add(build(dhcpv4.MessageTypeInform, has("10.9.7.7")))
	f.Add(build(dhcpv4.MessageTypeRequest, with(dhcpv4.OptionOptionOverload, 3), with(dhcpv4.OptionClientIdentifier, make([]byte, 300)...)))
	prefix := netip.MustParsePrefix("10.9.0.0/16")
	f.Fuzz(func(t *testing.T, message []byte) {
		b := newBench()
		source := clientMAC
		if len(message) > 34 {
			source = frame.MAC(message[28:34])
		}
		reply, ok, err := b.Handle(t.Context(), message, source)
		if !ok {
			return
		}
		if err != nil {
			t.Fatalf("reply and error: %v", err)
		}
		a := read(t, reply)
		if len(reply.Payload) > 1472 || !bytes.Equal(reply.Payload[4:8], message[4:8]) || !bytes.Equal(reply.Payload[28:44], append(source[:], make([]byte, 10)...)) {
			t.Fatalf("%x -> %x", message, reply.Payload)
		}
		if y := addrOf(a.YourClientIP); !y.IsUnspecified() && !b.leasable(y) {
			t.Fatalf("%x grants %v", message, y)
		}
		if reply.Dst != all && !prefix.Contains(reply.Dst) {
			t.Fatalf("%x answered to %v", message, reply.Dst)
		}
		if (reply.Dst == all) != (reply.DstMAC == frame.Broadcast()) {
			t.Fatalf("%x answered to %v %v", message, reply.Dst, reply.DstMAC)
		}
	})
}
