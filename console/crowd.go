package console

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"

	"landbridge/console/access"
)

// How many connections the door has: of strangers, on which no valid credential has been shown
// yet, and of users. A connection that is held but not used costs 20 KiB or so.
const (
	maxStrangerConns     = 640
	maxStrangerConnsEach = 512 // from one address: as many event streams may begin at a time
	maxUserConns         = maxConnections
	maxUserConnsEach     = maxConnections * 3 / 4
)

// crowd is the connections at the door. A stranger's place is never held against a newcomer: where
// there is none the connection that has been a stranger's for longest, of the address that has the
// most of them, is closed. So nobody can keep others from showing who they are. It is safe for
// concurrent use. Use newCrowd.
type crowd struct {
	mu        sync.Mutex
	strangers map[string][]*doorConn // by address, the oldest first
	users     map[string]int         // by address
	nStranger int
	nUser     int
}

func newCrowd() *crowd {
	return &crowd{strangers: make(map[string][]*doorConn), users: make(map[string]int)}
}

// enter takes in a connection, as a stranger's.
func (w *crowd) enter(c *doorConn) {
	if out := w.add(c); out != nil {
		_ = out.Close()
	}
}

// add takes in a connection, and returns the one that must close for it.
func (w *crowd) add(c *doorConn) (out *doorConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.strangers[c.from]) >= maxStrangerConnsEach:
		out = w.strangers[c.from][0]
	case w.nStranger >= maxStrangerConns:
		most := c.from
		for from, conns := range w.strangers {
			if len(conns) > len(w.strangers[most]) {
				most = from
			}
		}
		out = w.strangers[most][0]
	}
	if out != nil {
		w.drop(out)
	}
	w.strangers[c.from] = append(w.strangers[c.from], c)
	w.nStranger++
	return out
}

// meet makes a connection a user's, where there is room for one more.
func (w *crowd) meet(c *doorConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.nUser < maxUserConns && w.users[c.from] < maxUserConnsEach && w.drop(c) {
		c.isUser = true
		w.users[c.from]++
		w.nUser++
	}
}

// leave forgets a connection that has closed.
func (w *crowd) leave(c *doorConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !c.isUser {
		w.drop(c)
		return
	}
	c.isUser = false
	w.nUser--
	if w.users[c.from]--; w.users[c.from] == 0 {
		delete(w.users, c.from)
	}
}

// drop removes a connection from the strangers', and reports whether it was there. Called with mu
// held.
func (w *crowd) drop(c *doorConn) bool {
	at := slices.Index(w.strangers[c.from], c)
	if at < 0 {
		return false
	}
	w.strangers[c.from] = slices.Delete(w.strangers[c.from], at, at+1)
	if len(w.strangers[c.from]) == 0 {
		delete(w.strangers, c.from)
	}
	w.nStranger--
	return true
}

type connKey struct{}

// withConn has the context of a TLS connection's requests know it.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if secured, ok := c.(*tls.Conn); ok {
		if conn, ok := secured.NetConn().(*doorConn); ok {
			return context.WithValue(ctx, connKey{}, conn)
		}
	}
	return ctx
}

// met notes that a request's connection is a user's, where it is one at the door.
func met(r *http.Request, id access.Identity) {
	if c, ok := r.Context().Value(connKey{}).(*doorConn); ok && id.Known() {
		c.crowd.meet(c)
	}
}
