package peers

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"time"

	"landbridge/bench/underlay"
	"landbridge/internal/netlab"
)

// wireguard is wireguard-go, with ChaCha20-Poly1305, the only cipher it has.
type wireguard struct {
	ends
	binary string
	pair   *underlay.Pair
	keys   map[*underlay.Side]*ecdh.PrivateKey
}

const (
	wireguardDevice = "wg0"
	wireguardPort   = 51820
)

func (w *wireguard) Version(context.Context) (string, error) { return goVersion(w.binary) }

func (w *wireguard) Setup(_ context.Context, pair *underlay.Pair) (err error) {
	w.pair = pair
	w.number(pair)
	w.keys = make(map[*underlay.Side]*ecdh.PrivateKey)
	for _, s := range pair.Sides() {
		if w.keys[s], err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
			return err
		}
	}
	return nil
}

func (w *wireguard) Start(ctx context.Context, s *underlay.Side) error {
	if _, err := s.Spawn(ctx, "env", "LOG_LEVEL=error", w.binary, "-f", wireguardDevice); err != nil {
		return err
	}
	conn, err := w.control(ctx, s)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := w.configure(conn, s); err != nil {
		return fmt.Errorf("configure wireguard-go on %s: %w", s.Name, err)
	}
	if _, err := s.Run(ctx, "ip", "link", "set", wireguardDevice, "mtu", "1420"); err != nil {
		return err
	}
	return w.up(ctx, s, wireguardDevice)
}

// control connects to the program's configuration socket, as wg(8) does.
func (w *wireguard) control(ctx context.Context, s *underlay.Side) (conn net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err = netlab.WaitFor(ctx, "the socket of wireguard-go", func() (bool, error) {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", s.Path("/run/wireguard/"+wireguardDevice+".sock"))
		return err == nil, err
	})
	return conn, err
}

// configure speaks WireGuard's cross-platform configuration protocol.
func (w *wireguard) configure(conn net.Conn, s *underlay.Side) error {
	other := w.pair.Other(s)
	_, err := fmt.Fprintf(conn, "set=1\nprivate_key=%s\nlisten_port=%d\npublic_key=%s\nendpoint=%v:%d\nallowed_ip=%v/32\n\n",
		hex.EncodeToString(w.keys[s].Bytes()), wireguardPort,
		hex.EncodeToString(w.keys[other].PublicKey().Bytes()), other.Addr, wireguardPort, w.of(other))
	if err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "errno=0" {
		return fmt.Errorf("it answers %q (%w)", answer, err)
	}
	return nil
}
