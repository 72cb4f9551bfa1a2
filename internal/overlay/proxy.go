package overlay

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	proxyHeadStart = 400 * time.Millisecond // of the direct way
	proxyAnswer    = 16 << 10               // bytes at most of what a proxy says before the connection begins
)

// detour connects by TCP directly, and through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6) where that takes long or
// fails. What comes first is taken. Members see each other by TLS, so the proxy can hold up and no more.
type detour struct{ proxy *url.URL }

// dialer has libp2p's TCP connect by it.
func (d detour) dialer() tcp.Option {
	return tcp.WithDialerForAddr(func(ma.Multiaddr) (tcp.ContextDialer, error) { return d, nil })
}

// DialContext connects to an address, which is literal.
func (d detour) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	var direct net.Dialer
	if !passesProxies(to.Addr()) {
		return direct.DialContext(ctx, network, address)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	straight, around := make(chan dialled, 1), make(chan dialled, 1)
	go func() {
		conn, err := direct.DialContext(ctx, network, address)
		straight <- dialled{conn, err}
	}()
	headStart := time.NewTimer(proxyHeadStart)
	defer headStart.Stop()
	var detoured bool
	for failed := []error(nil); ; {
		var won dialled
		var other <-chan dialled
		select {
		case <-headStart.C:
		case won = <-straight:
			other = around
		case won = <-around:
			other = straight
		}
		switch {
		case won.conn != nil:
			if len(failed) == 0 && (detoured || other == straight) {
				go closeLate(other)
			}
			return won.conn, nil
		case won.err != nil:
			failed = append(failed, won.err)
		}
		if len(failed) == 2 {
			return nil, errors.Join(failed...)
		}
		if !detoured {
			detoured = true
			go func() {
				conn, err := d.connect(ctx, to)
				around <- dialled{conn, err}
			}()
		}
	}
}

// dialled is a connection, or why there is none.
type dialled struct {
	conn net.Conn
	err  error
}

// closeLate closes a connection that nobody needs any more, once it is there.
func closeLate(late <-chan dialled) {
	if d := <-late; d.conn != nil {
		_ = d.conn.Close()
	}
}

// passesProxies reports whether a proxy may know the way to an address: not to those of one host or one link.
func passesProxies(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsLoopback()
}

// connect has the proxy connect to an address.
func (d detour) connect(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", d.proxy.Host)
	if err != nil {
		return nil, fmt.Errorf("the proxy can't be reached: %w", err)
	}
	ended := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	through, err := d.ask(conn, to)
	if !ended() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("the proxy %s: %w", d.proxy.Host, err)
	}
	return through, nil
}

// ask asks for the connection. What follows the proxy's answer is the far end's.
func (d detour) ask(conn net.Conn, to netip.AddrPort) (net.Conn, error) {
	request := fmt.Sprintf("CONNECT %v HTTP/1.1\r\nHost: %[1]v\r\nUser-Agent: landbridge\r\n", to)
	if user := d.proxy.User; user != nil {
		password, _ := user.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: proxyAnswer}
	r := bufio.NewReaderSize(limited, proxyAnswer)
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // the answer to CONNECT has none
	if err != nil {
		return nil, fmt.Errorf("no answer of HTTP: %w", err)
	}
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusProxyAuthRequired:
		return nil, errors.New("it wants a user and a password (407)")
	default:
		return nil, fmt.Errorf("it doesn't connect to %v (%d)", to, answer.StatusCode)
	}
	if r.Buffered() > 0 {
		early, _ := r.Peek(r.Buffered())
		return &proxied{Conn: conn, early: early, remote: net.TCPAddrFromAddrPort(to)}, nil
	}
	return &proxied{Conn: conn, remote: net.TCPAddrFromAddrPort(to)}, nil
}

// proxied is a connection through a proxy, whose other end is the address that was asked for.
type proxied struct {
	net.Conn
	early  []byte // came with the proxy's answer
	remote net.Addr
}

// RemoteAddr is the address that was asked for.
func (c *proxied) RemoteAddr() net.Addr { return c.remote }

func (c *proxied) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
