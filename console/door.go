package console

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"landbridge/console/access"
	"landbridge/console/web"
)

// Limits of the HTTPS door.
const (
	maxMultiplexed = 64 // requests at a time on one HTTP/2 connection
	listenRetry    = 5 * time.Second
)

// Door is the HTTPS door: where it is, and for whom.
type Door struct {
	// Listen is where persons find the console. An address that can't be had now is tried
	// again until it can.
	Listen []netip.AddrPort
	// Certificates is what the door shows of itself.
	Certificates *Certificates
	// Allow reports whether remote may connect to this host's address local.
	Allow func(local, remote netip.Addr) bool
	// Known reports whether a name, in lower case, is one of the console's besides those of its certificate;
	// nil: none is.
	Known func(name string) bool
	// Trouble is told of an address that can't be listened at, and with nil of one that can.
	Trouble func(addr netip.AddrPort, err error)
}

// ServeHTTPS serves persons at the door until ctx is done, and returns when all that it
// started has ended. Nothing that happens at the door ends it.
func (s *Server) ServeHTTPS(ctx context.Context, d Door) {
	secure, plain := newEntrance(), newEntrance()
	s.door.Store(&d)
	server := s.newHTTPServer(ctx, http.HandlerFunc(s.serveStranger))
	server.ConnContext = withConn
	server.TLSConfig = d.Certificates.config()
	server.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxMultiplexed}
	redirect := s.newHTTPServer(ctx, http.HandlerFunc(d.redirectToHTTPS))
	redirect.SetKeepAlivesEnabled(false)

	var serving, accepting sync.WaitGroup
	serving.Go(func() { s.tell(server.ServeTLS(secure, "", "")) })
	serving.Go(func() { s.tell(redirect.Serve(plain)) })
	a := acceptor{door: d, secure: secure, plain: plain, crowd: newCrowd()}
	for _, addr := range d.Listen {
		accepting.Go(func() { a.listen(ctx, addr) })
	}
	<-ctx.Done()
	accepting.Wait()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	for _, srv := range []*http.Server{server, redirect} {
		if err := srv.Shutdown(grace); err != nil {
			_ = srv.Close()
		}
	}
	serving.Wait()
}

// urls returns where a browser finds the door, by every address of this host where it
// listens at all of them.
func (d *Door) urls() []string {
	var all []string
	add := func(a netip.AddrPort) {
		if u := "https://" + a.String() + "/"; !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	for _, a := range d.Listen {
		if !a.Addr().IsUnspecified() {
			add(a)
			continue
		}
		own, _ := net.InterfaceAddrs() // none where the kernel doesn't say
		for _, o := range own {
			p, err := netip.ParsePrefix(o.String())
			if err == nil && !p.Addr().IsLinkLocalUnicast() && (p.Addr().Is4() || a.Addr().Is6()) {
				add(netip.AddrPortFrom(p.Addr(), a.Port()))
			}
		}
	}
	return all
}

// tell logs why a server of the door has ended, where nobody asked it to.
func (s *Server) tell(err error) {
	if !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("the console's HTTPS door has ended: restart the appliance to have it back", "err", err)
	}
}

// serveStranger answers a request that came by the door: from nobody, until it shows a
// credential.
func (s *Server) serveStranger(w http.ResponseWriter, r *http.Request) {
	remote, _ := netip.ParseAddrPort(r.RemoteAddr)
	if d := s.door.Load(); !d.known(r.Host) {
		web.SetHeaders(w.Header())
		if web.WantsPage(r) { // whose looks are at the same name
			http.Error(w, errMisdirected.Error(), http.StatusMisdirectedRequest)
			return
		}
		s.writeProblem(errMisdirected, s.api.NewContext(r, w))
		return
	}
	s.serve(w, r, access.ForStranger(remote.Addr()))
}

// redirectToHTTPS sends a browser that came by plain HTTP to the same place by HTTPS.
func (d *Door) redirectToHTTPS(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if host == "" { // HTTP/1.0
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			host = local.String()
		}
	}
	web.SetHeaders(w.Header())
	w.Header().Del("Strict-Transport-Security") // only over TLS (RFC 6797 section 7.2)
	if !d.known(host) {
		http.Error(w, errMisdirected.Error(), http.StatusMisdirectedRequest)
		return
	}
	http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusPermanentRedirect)
}

// acceptor takes connections and tells TLS from plain HTTP.
type acceptor struct {
	door          Door
	secure, plain *entrance
	crowd         *crowd
}

// listen listens at addr until ctx is done, and returns when all that came is handed on.
func (a *acceptor) listen(ctx context.Context, addr netip.AddrPort) {
	var sorting sync.WaitGroup
	defer sorting.Wait()
	for ctx.Err() == nil {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", addr.String())
		if ctx.Err() != nil && err != nil {
			return
		}
		a.door.Trouble(addr, err)
		if err == nil {
			err = a.accept(ctx, l, &sorting)
			if ctx.Err() != nil {
				return
			}
			a.door.Trouble(addr, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(listenRetry):
		}
	}
}

// accept takes connections from l until ctx is done or l fails, and closes l.
func (a *acceptor) accept(ctx context.Context, l net.Listener, sorting *sync.WaitGroup) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer l.Close()
	for {
		conn, err := l.Accept()
		if err != nil {
			if temporary(err) && wait(ctx, 50*time.Millisecond) {
				continue
			}
			return err
		}
		remote := addrOf(conn.RemoteAddr())
		if !a.door.Allow(addrOf(conn.LocalAddr()), remote) {
			_ = conn.Close()
			continue
		}
		c := &doorConn{Conn: conn, crowd: a.crowd, from: access.ForStranger(remote).Source()}
		a.crowd.enter(c)
		sorting.Go(func() { a.sort(ctx, c) })
	}
}

// temporary reports whether accepting may work again in a moment, as when the process has
// no file descriptor left.
func temporary(err error) bool {
	var timeout interface{ Temporary() bool }
	return errors.As(err, &timeout) && timeout.Temporary()
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// sort hands a connection to who speaks its protocol: a TLS record that begins a
// connection is a handshake, type 22 (RFC 8446 section 5.1), which is no letter.
func (a *acceptor) sort(ctx context.Context, c *doorConn) {
	const handshake = 22
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	_ = c.SetReadDeadline(time.Now().Add(headerTimeout))
	if n, err := c.Conn.Read(c.first[:]); n != 1 || err != nil {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	c.unread = true
	to := a.plain
	if c.first[0] == handshake {
		to = a.secure
	}
	to.hand(c)
}

// doorConn is a connection whose first byte has been looked at.
type doorConn struct {
	net.Conn
	first  [1]byte
	unread bool // first is still to be read

	crowd  *crowd
	from   string // its host, as access.Identity.Source has it
	isUser bool   // the crowd's
}

// Read reads the first byte, then the rest.
func (c *doorConn) Read(b []byte) (int, error) {
	if c.unread && len(b) > 0 {
		c.unread = false
		b[0] = c.first[0]
		return 1, nil
	}
	return c.Conn.Read(b)
}

// Close closes the connection and makes room for another.
func (c *doorConn) Close() error {
	defer c.crowd.leave(c)
	return c.Conn.Close()
}

// entrance is a net.Listener whose connections others hand in.
type entrance struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newEntrance() *entrance {
	e := &entrance{conns: make(chan net.Conn), closed: make(chan struct{})}
	e.close = sync.OnceFunc(func() { close(e.closed) })
	return e
}

// hand gives a connection to who accepts.
func (e *entrance) hand(c net.Conn) {
	select {
	case e.conns <- c:
	case <-e.closed:
		_ = c.Close()
	}
}

// Accept returns the next connection.
func (e *entrance) Accept() (net.Conn, error) {
	select {
	case c := <-e.conns:
		return c, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// Close has Accept return.
func (e *entrance) Close() error { e.close(); return nil }

// Addr returns no address: the entrance has many.
func (e *entrance) Addr() net.Addr { return &net.TCPAddr{} }

func addrOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return t.AddrPort().Addr().Unmap()
}
