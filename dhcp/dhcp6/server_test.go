package dhcp6

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"landbridge/dhcp"
	"landbridge/internal/frame"
	"landbridge/internal/ula"
)

// What clients said in the lab, from the MAC 02:00:5e:00:00:0b; ISC dhclient 4.4.3 and dhcpcd 9.4.1.
const (
	dhclientFirst = "01acc12a0001000e000100013296a27602005e00000b00060004001700180008000200000027000500026831000003000c5e00000b00000e1000001518"
	dhclientThird = "01acc12a0001000e000100013296a27602005e00000b000600040017001800080002014d0027000500026831000003000c5e00000b00000e1000001518"
	dhcpcdSecond  = "01d802370001000e000100013296a27a02005e00000b0003000c5e00000b00000000000000000006000a001700180027005200530008000200640010003c00009f0800366468637063642d392e342e313a4c696e75782d362e31382e34342d66632d763636393a7838365f36343a41757468656e746963414d44002700040102766d"
)

var (
	station = frame.MAC{0x02, 0, 0x5e, 0, 0, 0x0b}
	begun   = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	ownID   = [16]byte{1, 2, 3}
)

// leases is a Leaser and Holdings in memory.
type leases struct {
	refused error
	held    map[netip.Addr]Holding
	next    netip.Addr
	commits int
	ends    time.Duration
	classes bool // DHCPv4 alone renews
	has     map[netip.Addr]bool
	ended   map[string][]netip.Addr
}

func newLeases() *leases {
	return &leases{held: make(map[netip.Addr]Holding), has: make(map[netip.Addr]bool), ended: make(map[string][]netip.Addr), next: netip.MustParseAddr("10.77.0.5"), ends: time.Hour}
}

func (l *leases) Admits(_ context.Context, _ frame.MAC, _ bool) error { return l.refused }

func (l *leases) Offer(_ context.Context, _ dhcp.Client) (dhcp.Lease, error) {
	return dhcp.Lease{Addr: l.next, End: begun.Add(l.ends)}, nil
}

func (l *leases) Commit(_ context.Context, c dhcp.Client, addr netip.Addr) (dhcp.Lease, error) {
	if l.classes {
		return dhcp.Lease{}, dhcp.ErrVendorClass
	}
	if h, taken := l.held[addr]; taken && string(h.Client.ID) != string(c.ID) {
		return dhcp.Lease{}, dhcp.ErrTaken
	}
	if addr != l.next && len(l.held) == 0 {
		return dhcp.Lease{}, dhcp.ErrNotOurs
	}
	l.commits++
	l.has[addr] = c.IPv6
	end := begun.Add(l.ends)
	l.held[addr] = Holding{Client: c, Addr: addr, End: end}
	return dhcp.Lease{Addr: addr, Held: true, Name: c.Name, End: end}, nil
}

func (l *leases) At(addr netip.Addr, mac frame.MAC) (Holding, bool) {
	h, ok := l.held[addr]
	return h, ok && h.Client.MAC.String() == mac.String()
}

func (l *leases) Of(mac frame.MAC, _ ...[]byte) (Holding, bool) {
	for _, h := range l.held {
		if h.Client.MAC.String() == mac.String() {
			return h, true
		}
	}
	return Holding{}, false
}

func (l *leases) Took(_ context.Context, h Holding) error {
	l.has[h.Addr] = true
	return nil
}

func (l *leases) end(how string, h Holding) error {
	if !l.has[h.Addr] {
		return dhcp.ErrNotOurs
	}
	delete(l.has, h.Addr)
	l.ended[how] = append(l.ended[how], h.Addr)
	return nil
}

func (l *leases) Released(_ context.Context, h Holding) error { return l.end("released", h) }
func (l *leases) Declined(_ context.Context, h Holding) error { return l.end("declined", h) }

func newServer(t testing.TB, l *leases, adjust ...func(*Config)) *Server {
	t.Helper()
	c := Config{ID: ownID, Zone: "e2e.internal", Leaser: l, Holdings: l, Now: func() time.Time { return begun }}
	for _, f := range adjust {
		f(&c)
	}
	prefix, err := ula.Parse(netip.MustParsePrefix("fd12:3456:789a::/64"))
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(c)
	s.SetGiven(Given{
		Net: prefix, LeaseTime: 2 * time.Hour, Renew: time.Hour, Rebind: 105 * time.Minute,
		DNS: []netip.Addr{netip.MustParseAddr("fd12:3456:789a::a4d:1")}, Search: []string{"e2e.internal"},
	})
	return s
}

func raw(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// says returns what the server answers; nil for silence.
func says(t *testing.T, s *Server, message []byte) (*dhcpv6.Message, error) {
	t.Helper()
	b, err := s.Handle(t.Context(), message, station)
	if b == nil {
		return nil, err
	}
	m, parsed := dhcpv6.MessageFromBytes(b)
	if parsed != nil || err != nil {
		t.Fatalf("% x: %v, %v", b, parsed, err)
	}
	if id := m.Options.ServerID(); id == nil || !id.Equal(&dhcpv6.DUIDUUID{UUID: ownID}) {
		t.Fatalf("server identifier %v", id)
	}
	return m, nil
}

// address returns the one address of an answer and for how long it is valid.
func address(t *testing.T, m *dhcpv6.Message) (netip.Addr, time.Duration) {
	t.Helper()
	ia := m.Options.OneIANA()
	if ia == nil || len(ia.Options.Addresses()) == 0 {
		t.Fatalf("no address: %v", m)
	}
	a := ia.Options.OneAddress()
	addr, _ := netip.AddrFromSlice(a.IPv6Addr)
	return addr, a.ValidLifetime
}

// follow makes the message with which the client goes on from an answer.
func follow(t *testing.T, kind dhcpv6.MessageType, from *dhcpv6.Message, solicit string, but ...dhcpv6.OptionCode) []byte {
	t.Helper()
	m, err := dhcpv6.MessageFromBytes(raw(t, solicit))
	if err != nil {
		t.Fatal(err)
	}
	m.MessageType = kind
	m.UpdateOption(dhcpv6.OptServerID(from.Options.ServerID()))
	if ia := from.Options.OneIANA(); ia != nil {
		m.UpdateOption(ia)
	}
	for _, code := range but {
		m.Options.Del(code)
	}
	return m.ToBytes()
}

func TestDhclientGetsTheAddressOfItsLease(t *testing.T) {
	t.Parallel()
	l := newLeases()
	s := newServer(t, l)
	if m, err := says(t, s, raw(t, dhclientFirst)); m != nil || !errors.Is(err, ErrFirstIPv4) || !errors.Is(err, dhcp.ErrNotServed) {
		t.Fatalf("DHCPv4 has no head start: %v, %v", m, err)
	}
	// DHCPv4 has leased it another address than the next meanwhile.
	addr := netip.MustParseAddr("10.77.0.99")
	l.held[addr] = Holding{Client: dhcp.Client{ID: append([]byte{1}, station[:]...), MAC: net.HardwareAddr(station[:]), Name: "h4"}, Addr: addr, End: begun.Add(time.Hour)}
	advertise, err := says(t, s, raw(t, dhclientFirst))
	if err != nil || advertise.MessageType != dhcpv6.MessageTypeAdvertise || l.commits != 0 {
		t.Fatalf("%v, %v; %d commits", advertise, err, l.commits)
	}
	reply, err := says(t, s, follow(t, dhcpv6.MessageTypeRequest, advertise, dhclientFirst))
	if err != nil || reply.MessageType != dhcpv6.MessageTypeReply || l.commits != 1 {
		t.Fatalf("%v, %v; %d commits", reply, err, l.commits)
	}
	got, valid := address(t, reply)
	if got != netip.MustParseAddr("fd12:3456:789a::a4d:63") || valid != time.Hour {
		t.Errorf("%v for %v", got, valid)
	}
	ia := reply.Options.OneIANA()
	if ia.T1 != 30*time.Minute || ia.T2 != 52*time.Minute+30*time.Second || ia.IaId != [4]byte{0x5e, 0, 0, 0x0b} {
		t.Errorf("T1 %v, T2 %v, IAID %x", ia.T1, ia.T2, ia.IaId)
	}
	if dns := reply.Options.DNS(); len(dns) != 1 || dns[0].String() != "fd12:3456:789a::a4d:1" {
		t.Errorf("DNS %v", dns)
	}
	if search := reply.Options.DomainSearchList(); search == nil || search.Labels[0] != "e2e.internal" {
		t.Errorf("search %v", search)
	}
	if f := reply.Options.FQDN(); f == nil || f.DomainName.Labels[0] != "h4.e2e.internal" || f.Flags != 3 {
		t.Errorf("name %v: the one by which DHCPv4 knows it stays", f)
	}
	if h := l.held[addr]; h.Client.Name != "h4" || len(h.Client.ID) != 7 {
		t.Errorf("the lease became %+v", h.Client)
	}
}

func TestAHostWithoutIPv4GetsALeaseOfItsOwn(t *testing.T) {
	t.Parallel()
	l := newLeases()
	s := newServer(t, l)
	advertise, err := says(t, s, raw(t, dhclientThird))
	if err != nil || l.commits != 0 {
		t.Fatalf("%v; %d commits", err, l.commits)
	}
	reply, err := says(t, s, follow(t, dhcpv6.MessageTypeRequest, advertise, dhclientThird))
	if got, valid := address(t, reply); err != nil || got != netip.MustParseAddr("fd12:3456:789a::a4d:5") || valid != time.Hour {
		t.Fatalf("%v for %v, %v", got, valid, err)
	}
	c := l.held[l.next].Client
	if want := "ff5e00000b000100013296a27602005e00000b"; hex.EncodeToString(c.ID) != want || c.Name != "h1" {
		t.Errorf("leased to %x, %q; want %s (RFC 4361)", c.ID, c.Name, want)
	}
	for _, again := range []struct {
		kind dhcpv6.MessageType
		but  []dhcpv6.OptionCode
	}{{kind: dhcpv6.MessageTypeRenew}, {dhcpv6.MessageTypeRebind, []dhcpv6.OptionCode{dhcpv6.OptionServerID}}} {
		commits := l.commits
		renewed, err := says(t, s, follow(t, again.kind, reply, dhclientThird, again.but...))
		if got, valid := address(t, renewed); err != nil || got != s.given.Load().Net.Of(l.next) || valid != time.Hour || l.commits != commits+1 {
			t.Errorf("%v: %v for %v, %v", again.kind, got, valid, err)
		}
	}
}

func TestRapidCommitIsOneExchange(t *testing.T) {
	t.Parallel()
	l := newLeases()
	s := newServer(t, l)
	m, _ := dhcpv6.MessageFromBytes(raw(t, dhclientThird))
	m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
	reply, err := says(t, s, m.ToBytes())
	if err != nil || reply.MessageType != dhcpv6.MessageTypeReply || reply.GetOneOption(dhcpv6.OptionRapidCommit) == nil || l.commits != 1 {
		t.Fatalf("%v, %v; %d commits", reply, err, l.commits)
	}
}

func TestDhcpcdIsOffered(t *testing.T) {
	t.Parallel()
	l := newLeases()
	l.held[l.next] = Holding{Client: dhcp.Client{ID: []byte("x"), MAC: net.HardwareAddr(station[:])}, Addr: l.next, End: begun.Add(time.Hour)}
	advertise, err := says(t, newServer(t, l), raw(t, dhcpcdSecond))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := address(t, advertise); got != netip.MustParseAddr("fd12:3456:789a::a4d:5") || advertise.TransactionID != (dhcpv6.TransactionID{0xd8, 0x02, 0x37}) {
		t.Errorf("%v", advertise)
	}
}

func TestAnAddressThatIsOverHasNoLifetime(t *testing.T) {
	t.Parallel()
	l := newLeases()
	s := newServer(t, l)
	advertise, _ := says(t, s, raw(t, dhclientThird))
	reply, err := says(t, s, follow(t, dhcpv6.MessageTypeRequest, advertise, dhclientThird))
	if err != nil {
		t.Fatal(err)
	}
	// Another host has it now, and this one another address.
	other := netip.MustParseAddr("10.77.0.6")
	l.held[other] = Holding{Client: l.held[l.next].Client, Addr: other, End: begun.Add(time.Hour)}
	l.held[l.next] = Holding{Client: dhcp.Client{ID: []byte("other"), MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}}, Addr: l.next}
	renewed, err := says(t, s, follow(t, dhcpv6.MessageTypeRenew, reply, dhclientThird))
	if err != nil {
		t.Fatal(err)
	}
	all := renewed.Options.OneIANA().Options.Addresses()
	if len(all) != 2 || all[0].ValidLifetime != time.Hour || all[1].ValidLifetime != 0 || all[1].IPv6Addr.String() != "fd12:3456:789a::a4d:5" {
		t.Errorf("%v", all)
	}
	delete(l.held, other)
	renewed, err = says(t, s, follow(t, dhcpv6.MessageTypeRenew, reply, dhclientThird))
	if status := renewed.Options.OneIANA().Options.Status(); err != nil || status == nil || status.StatusCode != iana.StatusNoBinding {
		t.Errorf("%v, %v", renewed, err)
	}
	rebound, err := says(t, s, follow(t, dhcpv6.MessageTypeRebind, reply, dhclientThird, dhcpv6.OptionServerID))
	if all := rebound.Options.OneIANA().Options.Addresses(); err != nil || len(all) != 1 || all[0].ValidLifetime != 0 {
		t.Errorf("%v, %v", rebound, err)
	}
}

func TestConfirmAndInformation(t *testing.T) {
	t.Parallel()
	l := newLeases()
	s := newServer(t, l)
	advertise, _ := says(t, s, raw(t, dhclientThird))
	status := func(m *dhcpv6.Message, err error) iana.StatusCode {
		t.Helper()
		if err != nil || m.Options.Status() == nil {
			t.Fatalf("%v, %v", m, err)
		}
		return m.Options.Status().StatusCode
	}
	if got := status(says(t, s, follow(t, dhcpv6.MessageTypeConfirm, advertise, dhclientThird, dhcpv6.OptionServerID))); got != iana.StatusSuccess {
		t.Errorf("confirm: %v", got)
	}
	info := follow(t, dhcpv6.MessageTypeInformationRequest, advertise, dhclientThird, dhcpv6.OptionServerID, dhcpv6.OptionIANA, dhcpv6.OptionClientID)
	if m, err := says(t, s, info); err != nil || len(m.Options.DNS()) != 1 || m.Options.OneIANA() != nil {
		t.Errorf("information: %v, %v", m, err)
	}
}

func TestMessagesThatAreDiscarded(t *testing.T) {
	t.Parallel()
	s := newServer(t, newLeases())
	advertise, _ := says(t, s, raw(t, dhclientThird))
	otherServer, _ := dhcpv6.MessageFromBytes(advertise.ToBytes())
	otherServer.UpdateOption(dhcpv6.OptServerID(&dhcpv6.DUIDUUID{UUID: [16]byte{9}}))
	relayed := append([]byte{12, 0}, make([]byte, 32)...)
	for name, c := range map[string]struct {
		message []byte
		want    error
	}{
		"empty":                        {nil, ErrMalformed},
		"relayed":                      {append(relayed, 0, 9, 0, 4, 1, 0, 0, 1), ErrMalformed},
		"an answer":                    {advertise.ToBytes(), ErrMalformed},
		"without a client":             {follow(t, dhcpv6.MessageTypeRequest, advertise, dhclientThird, dhcpv6.OptionClientID), ErrMalformed},
		"without a server":             {follow(t, dhcpv6.MessageTypeRequest, advertise, dhclientThird, dhcpv6.OptionServerID), dhcp.ErrOtherServer},
		"for another server":           {follow(t, dhcpv6.MessageTypeRequest, otherServer, dhclientThird), dhcp.ErrOtherServer},
		"rebind for one server":        {follow(t, dhcpv6.MessageTypeRebind, advertise, dhclientThird), ErrMalformed},
		"for no address":               {follow(t, dhcpv6.MessageTypeRequest, advertise, dhclientThird, dhcpv6.OptionIANA), ErrMalformed},
		"torn":                         {raw(t, dhclientThird)[:50], ErrMalformed},
		"longer than a frame":          {append(raw(t, dhclientThird), make([]byte, 1500)...), ErrMalformed},
		"information of other servers": {follow(t, dhcpv6.MessageTypeInformationRequest, otherServer, dhclientThird), dhcp.ErrOtherServer},
	} {
		if m, err := says(t, s, c.message); m != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, m, err, c.want)
		}
	}
}

func TestWhoIsntServed(t *testing.T) {
	t.Parallel()
	l := newLeases()
	l.refused = dhcp.ErrDenied
	advertise, err := says(t, newServer(t, newLeases()), raw(t, dhclientThird))
	if err != nil {
		t.Fatal(err)
	}
	toAll := []dhcpv6.OptionCode{dhcpv6.OptionServerID}
	for kind, but := range map[dhcpv6.MessageType][]dhcpv6.OptionCode{
		dhcpv6.MessageTypeSolicit: toAll, dhcpv6.MessageTypeConfirm: toAll, dhcpv6.MessageTypeRebind: toAll, dhcpv6.MessageTypeInformationRequest: toAll,
		dhcpv6.MessageTypeRequest: nil, dhcpv6.MessageTypeRenew: nil,
	} {
		if m, err := says(t, newServer(t, l), follow(t, kind, advertise, dhclientThird, but...)); m != nil || !errors.Is(err, dhcp.ErrDenied) {
			t.Errorf("denied %v: %v, %v", kind, m, err)
		}
	}
	other := newServer(t, newLeases(), func(c *Config) { c.Ours = func(context.Context, frame.MAC, netip.Addr) bool { return false } })
	if m, err := says(t, other, raw(t, dhclientThird)); m != nil || !errors.Is(err, dhcp.ErrOtherRouter) {
		t.Errorf("another router's: %v, %v", m, err)
	}
}

// FuzzMessage has a server answer anything: what it says is a sound answer, and names no address but those of its group.
func FuzzMessage(f *testing.F) {
	for _, text := range []string{dhclientFirst, dhclientThird, dhcpcdSecond} {
		f.Add(raw(f, text))
	}
	for kind := byte(1); kind < 14; kind++ {
		b := raw(f, dhclientThird)
		b[0] = kind
		f.Add(append(b, 0, 2, 0, 18, 0, 4, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		s := newServer(t, newLeases())
		b, _ := s.Handle(t.Context(), message, station)
		if b == nil {
			return
		}
		m, err := dhcpv6.MessageFromBytes(b)
		if err != nil || m.MessageType != dhcpv6.MessageTypeReply && m.MessageType != dhcpv6.MessageTypeAdvertise {
			t.Fatalf("% x: %v", b, err)
		}
		for _, ia := range m.Options.IANA() {
			for _, a := range ia.Options.Addresses() {
				addr, _ := netip.AddrFromSlice(a.IPv6Addr)
				if _, ok := s.given.Load().Net.Host(addr); !ok && a.ValidLifetime != 0 {
					t.Fatalf("grants %v", addr)
				}
			}
		}
	})
}
