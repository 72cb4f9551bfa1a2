package forward

import (
	"net/netip"
	"sync"
	"time"
)

// limiter bounds how much each host asks: hostRate a second, and hostBurst at once.
type limiter struct {
	mu    sync.Mutex
	hosts map[netip.Addr]bucket
}

// bucket is what a host may ask yet.
type bucket struct {
	left float64
	at   time.Time
}

// allow reports whether a host may ask once more.
func (l *limiter) allow(from netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.hosts[from]
	if !known {
		if l.hosts == nil || len(l.hosts) >= hostsKnown {
			l.hosts = make(map[netip.Addr]bucket) // who is forgotten may ask a burst more
		}
		b.left = hostBurst
	} else {
		b.left = min(hostBurst, b.left+hostRate*now.Sub(b.at).Seconds())
	}
	b.at = now
	ok := b.left >= 1
	if ok {
		b.left--
	}
	l.hosts[from] = b
	return ok
}
