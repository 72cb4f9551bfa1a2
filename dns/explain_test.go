package dns

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// book is a directory of one host.
type book struct{ err error }

func (b book) LookupName(_ context.Context, name string) (netip.Addr, error) {
	if name == "printer" {
		return netip.MustParseAddr("10.9.0.7"), b.err
	}
	return netip.Addr{}, ErrAbsent
}

func (b book) ReverseName(context.Context, netip.Addr) (string, error) { return "printer", b.err }

func (b book) HasIPv6(context.Context, netip.Addr) bool { return true }

func (b book) Alias(name string) (Alias, bool) {
	a, ok := map[string]Alias{"copier": {Target: "printer"}, "gate": {Addr: netip.MustParseAddr("192.0.2.7")}}[name]
	return a, ok
}

func TestAnAnswerComesWithItsReasons(t *testing.T) {
	for _, c := range []struct {
		name, kind, code, data, reason string
		err                            error
	}{
		{"printer.office.internal", "", "NOERROR", "10.9.0.7", `calls itself "printer"`, nil},
		{"copier.office.internal", "", "NOERROR", "printer.office.internal.", "copier.office.internal. is an alias, which an operator has set. It stands for the host", nil},
		{"gate.office.internal", "", "NOERROR", "192.0.2.7", "an alias, which an operator has set, of the address 192.0.2.7", nil},
		{"10.9.0.7", "", "NOERROR", "printer.office.internal.", "asks for the name of 10.9.0.7", nil},
		{"C009000007.office.internal", "a", "NOERROR", "10.9.0.7", "by arithmetic", nil},
		{"office.internal", "SOA", "NOERROR", "ns.office.internal.", "a zone of the group itself", nil},
		{"ns.office.internal", "A", "NOERROR", "10.9.0.1", "service address", nil},
		{"printer.office.internal", "MX", "NOERROR", "", "no record of the type MX", nil},
		{"nobody.office.internal", "A", "NXDOMAIN", "", "no such name", nil},
		{"a.b.office.internal", "A", "NXDOMAIN", "", "can't be a host's name", nil},
		{"example.com", "A", "REFUSED", "", "ask their next server", nil},
		{"office.internal", "AXFR", "REFUSED", "", "given away as a whole", nil},
		{"printer.office.internal", "A", "SERVFAIL", "", "in time", errors.New("nobody answers")},
	} {
		h := NewHandler(Config{Zone: "office.internal", Prefix: netip.MustParsePrefix("10.9.0.0/16"), ServiceAddr: netip.MustParseAddr("10.9.0.1"), Directory: book{c.err}})
		e, err := h.Explain(t.Context(), c.name, c.kind)
		data := ""
		if len(e.Answer) > 0 {
			data = e.Answer[0].Data
		}
		if err != nil || e.Code != c.code || !strings.Contains(data, c.data) || c.data == "" && data != "" || !strings.Contains(strings.Join(e.Reasons, " "), c.reason) {
			t.Errorf("%s %s: %+v, %v; want %s %q, because of %q", c.name, c.kind, e, err, c.code, c.data, c.reason)
		}
	}
}

func TestWhatCannotBeAskedIsRefused(t *testing.T) {
	h := NewHandler(Config{Prefix: netip.MustParsePrefix("10.9.0.0/16"), Directory: book{}})
	for _, q := range [][2]string{{"a..b", "A"}, {"a", "NOSUCH"}, {strings.Repeat("a", 64), "A"}} {
		if e, err := h.Explain(t.Context(), q[0], q[1]); !errors.Is(err, ErrQuestion) {
			t.Errorf("%q: %+v, %v", q, e, err)
		}
	}
	if e, err := h.Explain(t.Context(), "example.com", ""); err != nil || e.Code != "REFUSED" || strings.Contains(e.Reasons[0], " and ") {
		t.Errorf("without a zone: %+v, %v", e, err)
	}
}
