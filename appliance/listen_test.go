package appliance

import (
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"landbridge/internal/loop"
	"landbridge/internal/overlay"
	"landbridge/internal/tunnel"
)

func TestWhatCannotBeListenedAtIsExplainedOnce(t *testing.T) {
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := loop.Open(false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	listen := map[string]func(netip.AddrPort) error{
		"udp": func(at netip.AddrPort) error {
			_, err := tunnel.OpenSocket(l, at, slog.New(slog.DiscardHandler))
			return explainListen(err, "udp", at, "listen")
		},
		"tcp": func(at netip.AddrPort) error {
			_, err := overlay.Open(t.Context(), overlay.Config{Key: key, ListenTCP: at})
			return explainListen(err, "tcp", at, "tcp")
		},
	}
	const elsewhere = "192.0.2.77:4860" // RFC 5737
	for _, c := range []struct{ transport, at, want string }{
		{"udp", udp.LocalAddr().String(), "address already in use; another program may use the port: choose another with --listen"},
		{"udp", elsewhere, "this host has no address 192.0.2.77: name one that it has with --listen"},
		{"tcp", tcp.Addr().String(), "address already in use; another program may use the port: choose another with --tcp"},
		{"tcp", elsewhere, "this host has no address 192.0.2.77: name one that it has with --tcp"},
	} {
		err := listen[c.transport](netip.MustParseAddrPort(c.at))
		if err == nil {
			t.Fatalf("%s at %s was had", c.transport, c.at)
		}
		text := err.Error()
		if !strings.HasPrefix(text, "listen on "+c.transport+" "+c.at+": ") || !strings.Contains(text, c.want) {
			t.Errorf("got %q, want it to say %q", text, c.want)
		}
		if strings.Count(text, "choose") > 1 || strings.Count(text, c.at) > 1 || strings.Contains(text, elsewhere) && strings.Contains(text, "another program") {
			t.Errorf("advice twice or besides the point: %q", text)
		}
	}
	if other := errors.New("other"); explainListen(other, "tcp", netip.AddrPort{}, "tcp") != other {
		t.Error("another error was changed")
	}
}
