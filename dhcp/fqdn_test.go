package dhcp

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

const optFQDN layers.DHCPOpt = 81

// What dhclient sends with `send fqdn.fqdn "alpha.example.com."`, as text and in wire format.
func TestARealClientThatSaysItsFullNameIsToldTheOneThatItHas(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{"dhclient-fqdn-select", "\x03\xff\xffalpha.demo.example"},
		{"dhclient-fqdn-wire-select", "\x05\xff\xff\x05alpha\x04demo\x07example\x00"},
	} {
		b := newBench()
		if a := b.send(t, captured(t, c.message)); a.kind != layers.DHCPMsgTypeAck || string(a.options[optFQDN]) != c.want {
			t.Errorf("%s: %v, option 81 is %q, want %q", c.message, a.kind, a.options[optFQDN], c.want)
		}
	}
}

func TestOption81SaysWhoKeepsTheRecordsOfTheName(t *testing.T) {
	for sent, want := range map[string]string{
		"\x01\x00\x00Alpha.example.com":   "\x01\xff\xffalpha.demo.example",               // the server is to
		"\x00\x00\x00alpha":               "\x03\xff\xffalpha.demo.example",               // the client would, and isn't to
		"\x08\x00\x00alpha":               "\x03\xff\xffalpha.demo.example",               // nobody would be to
		"\x04\x00\x00\x05alpha\x00":       "\x07\xff\xff\x05alpha\x04demo\x07example\x00", // the encoding is the client's
		"\xf5\x07\x08\x05alpha\x00":       "\x05\xff\xff\x05alpha\x04demo\x07example\x00", // what must be 0 counts for nothing
		"\x01\x00\x00localhost":           "\x0a\xff\xfflocalhost",                        // a name that no host can have
		"\x00\x00\x00":                    "\x08\xff\xff",                                 // none
		"\x05\x00\x00\x04wpad\x03com\x00": "\x0e\xff\xff\x04wpad\x03com\x00",
	} {
		b := newBench()
		option := with(dhcpv4.OptionFQDN, []byte(sent)...)
		if a := b.send(t, build(dhcpv4.MessageTypeDiscover, option)); a.options[optFQDN] != nil {
			t.Errorf("%q: an OFFER says %q of a name that nobody has yet", sent, a.options[optFQDN])
		}
		for _, message := range [][]byte{build(dhcpv4.MessageTypeRequest, option, wants("10.9.1.1"), chooses("10.9.0.1")), build(dhcpv4.MessageTypeRequest, option, has("10.9.1.1"))} {
			if a := b.send(t, message); string(a.options[optFQDN]) != want {
				t.Errorf("%q is answered %q, want %q", sent, a.options[optFQDN], want)
			}
		}
	}
}

func TestWithoutALeaseOrTheOptionNothingIsSaidOfFullNames(t *testing.T) {
	b := newBench()
	option := with(dhcpv4.OptionFQDN, []byte("\x01\x00\x00alpha")...)
	for name, message := range map[string][]byte{
		"no option":      build(dhcpv4.MessageTypeRequest, wants("10.9.1.1"), with(dhcpv4.OptionParameterRequestList, 81)),
		"half an option": build(dhcpv4.MessageTypeRequest, wants("10.9.1.1"), with(dhcpv4.OptionFQDN, 1, 0)),
		"an INFORM":      build(dhcpv4.MessageTypeInform, has("10.9.7.7"), option),
		"a NAK":          build(dhcpv4.MessageTypeRequest, wants("192.168.7.5"), option),
	} {
		if a := b.send(t, message); a.options[optFQDN] != nil {
			t.Errorf("%s: %q", name, a.options[optFQDN])
		}
	}
	b.config.Zone = ""
	if a := b.send(t, build(dhcpv4.MessageTypeRequest, wants("10.9.1.1"), option)); a.options[optFQDN] != nil {
		t.Errorf("without a zone: %q", a.options[optFQDN])
	}
}

// An operator may have called the host otherwise: the lease says how.
func TestTheFullNameIsThatOfTheLease(t *testing.T) {
	b := newBench()
	b.config.Leaser = renaming{b.leaser}
	a := b.send(t, build(dhcpv4.MessageTypeRequest, wants("10.9.1.1"), with(dhcpv4.OptionFQDN, []byte("\x01\x00\x00alpha")...)))
	if string(a.options[optFQDN]) != "\x01\xff\xfftill.demo.example" {
		t.Errorf("%q", a.options[optFQDN])
	}
}

// renaming has an operator's name for each client.
type renaming struct{ *fakeLeaser }

func (r renaming) Commit(ctx context.Context, c Client, addr netip.Addr) (Lease, error) {
	l, err := r.fakeLeaser.Commit(ctx, c, addr)
	l.Name = "till"
	return l, err
}

func TestDhclientTakesTheFullNameThatItIsTold(t *testing.T) {
	if inOwnNamespaces(t, "dhclient") {
		takesFullName(newWire(t, "dhclient-fqdn", time.Hour), "off")
	}
}

func TestDhclientTakesTheFullNameInWireFormatThatItIsTold(t *testing.T) {
	if inOwnNamespaces(t, "dhclient") {
		takesFullName(newWire(t, "dhclient-fqdn-wire", time.Hour), "on")
	}
}

// takesFullName has dhclient say a full name, as text or encoded.
func takesFullName(w *wire, encoded string) {
	w.t.Helper()
	dir := w.t.TempDir()
	out, config := filepath.Join(dir, "out"), filepath.Join(dir, "dhclient.conf")
	text := `send fqdn.fqdn "alpha.example.com."; send fqdn.encoded ` + encoded + `; send fqdn.server-update ` + encoded + `;
request subnet-mask, domain-name-servers, domain-name;
`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	hook := w.script("echo $reason $(env | grep fqdn) >>" + out + "\nexit 0\n")
	w.client("dhclient", "-4", "-d", "-cf", config, "-sf", hook, "-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), "cli")
	w.wait(0, "ACK", acked)
	w.expectFile(out, "BOUND", "new_fqdn_fqdn=alpha.demo.example", "new_fqdn_server_update=true")
}
