package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"
)

func TestCausesInPlainWords(t *testing.T) {
	t.Parallel()
	dialled := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, c := range []struct {
		err   error
		want  string
		tried bool
	}{
		{dialled(syscall.ECONNREFUSED), "connection refused", true},
		{dialled(syscall.EHOSTUNREACH), "no route", true},
		{dialled(syscall.ENETUNREACH), "no route", true},
		{dialled(syscall.ETIMEDOUT), "no answer", true},
		{dialled(syscall.EPERM), "a firewall of this machine forbids it", true},
		{fmt.Errorf("failed to negotiate security protocol: %w", syscall.ECONNRESET), "the connection is cut off", true},
		{context.DeadlineExceeded, "no answer", true},
		{&quic.HandshakeTimeoutError{}, "no answer", true},
		{fmt.Errorf("handshake: %w", sec.ErrPeerIDMismatch{}), "another node answers there", true},
		{errors.New("what nobody thought of"), "no answer", true},
		{context.Canceled, "", false},
		{swarm.ErrGaterDisallowedConnection, "", false},
	} {
		got, tried := causeOf(c.err)
		if tried != c.tried || tried && got.String() != c.want {
			t.Errorf("%v: %v, tried %v", c.err, got, tried)
		}
	}
}

// unresolved is a resolver of names that there aren't.
type unresolved struct{}

func (unresolved) ResolveDNSAddr(context.Context, peer.ID, ma.Multiaddr, int, int) ([]ma.Multiaddr, error) {
	return nil, errUnknownName
}

func (unresolved) ResolveDNSComponent(context.Context, ma.Multiaddr, int) ([]ma.Multiaddr, error) {
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

// closedPort is a TCP port of loopback where nobody listens, nor can.
func closedPort(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return at.(*unix.SockaddrInet4).Port
}

func TestAMemberThatCantBeReachedIsToldOfInOneLine(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	a.names.resolver = unresolved{}
	gone, deaf := closedPort(t), newWire(t, 0)
	want := []Attempt{
		{"no-such-host.example:4860", NoName},
		{fmt.Sprintf("127.0.0.1:%d", gone), Refused},
		{fmt.Sprintf("127.0.0.1:%d", deaf.port()), NoAnswer},
	}
	id := "/p2p/" + idOf(3).String()
	a.Add([]string{
		"/dns/no-such-host.example/udp/4860/quic-v1" + id, "/dns/no-such-host.example/tcp/4860" + id,
		fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", gone) + id,
		fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", deaf.port()) + id,
	})
	_, err := a.Call(within(t, 30*time.Second), idOf(3), echoProtocol, nil)
	var unreachable *UnreachableError
	if !errors.Is(err, ErrUnreachable) || !errors.As(err, &unreachable) {
		t.Fatalf("%v", err)
	}
	if !slices.Equal(unreachable.Tried, want) || !unreachable.Alone {
		t.Errorf("tried %v, alone %v; want %v", unreachable.Tried, unreachable.Alone, want)
	}
	line := fmt.Sprintf("member can't be reached (no-such-host.example:4860: the name does not resolve; "+
		"127.0.0.1:%d: connection refused; 127.0.0.1:%d: no answer)", gone, deaf.port())
	if !strings.HasSuffix(err.Error(), line) {
		t.Errorf("got  %v\nwant …%s", err, line)
	}
	for _, p := range a.Peers() {
		if p.Member == idOf(3) && (p.Unreachable == nil || !slices.Equal(p.Unreachable.Tried, want)) {
			t.Errorf("the list of peers says %v", p.Unreachable)
		}
	}
	// Who can't wait is told what was found before.
	a.dialer.heard(idOf(3).Peer())
	_, err = a.Call(within(t, 50*time.Millisecond), idOf(3), echoProtocol, nil)
	if !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("in a hurry: %v", err)
	}
}

func TestWhereAnotherNodeAnswersIsTold(t *testing.T) {
	t.Parallel()
	a, stranger := start(t, 1, nil), start(t, 2, nil)
	a.Add([]string{fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1/p2p/%s", stranger.wire.port(), idOf(3))})
	_, err := a.Call(within(t, 30*time.Second), idOf(3), echoProtocol, nil)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "another node answers there") {
		t.Errorf("%v", err)
	}
}

func TestOfManyAddressesThreeAreTold(t *testing.T) {
	t.Parallel()
	e := &UnreachableError{Tried: []Attempt{{"a:1", NoAnswer}, {"b:1", NoRoute}, {"c:1", NoName}, {"d:1", Refused}, {"e:1", Refused}}}
	if got, want := e.Error(), "member can't be reached (a:1: no answer; b:1: no route; c:1: the name does not resolve; and 2 more)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAMemberOfWhomNothingIsKnownIsToldOf(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	if _, err := a.Call(within(t, 20*time.Second), idOf(4), echoProtocol, nil); err == nil || !strings.Contains(err.Error(), "no address of it is known") {
		t.Errorf("alone: %v", err)
	}
	b := start(t, 2, bootstrap(a))
	eventually(t, "connected", func() bool { return b.connectedTo(a.Self()) })
	_, err := b.Call(within(t, 20*time.Second), idOf(4), echoProtocol, nil)
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || unreachable.Alone || strings.Contains(err.Error(), "\n") {
		t.Errorf("with another: %v", err)
	}
}
