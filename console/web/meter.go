package web

import (
	"sync"
	"time"

	"landbridge/console/api"
)

// rate is traffic in bits per second.
type rate struct{ Sent, Received float64 }

// Sum returns both directions together.
func (r rate) Sum() float64 { return r.Sent + r.Received }

// meter makes rates of the counts that the API gives, out of what pages ask for anyway.
type meter struct {
	mu    sync.Mutex
	at    time.Time
	bytes map[string]api.Peer
	rates map[string]rate
}

// Times between two readings of the counts.
const (
	shortest = time.Second      // or else the rate jumps
	longest  = 90 * time.Second // or else it is not of now
)

// observe returns each member's rate by its ID; none where the counts were not read lately.
func (m *meter) observe(now time.Time, peers []api.Peer) map[string]rate {
	m.mu.Lock()
	defer m.mu.Unlock()
	past := now.Sub(m.at)
	if past < shortest {
		return m.rates
	}
	rates, seen := make(map[string]rate, len(peers)), make(map[string]api.Peer, len(peers))
	for _, p := range peers {
		seen[p.MemberID] = p
		before, known := m.bytes[p.MemberID]
		if !known || past > longest || p.TxBytes < before.TxBytes || p.RxBytes < before.RxBytes {
			continue
		}
		rates[p.MemberID] = rate{
			Sent:     8 * float64(p.TxBytes-before.TxBytes) / past.Seconds(),
			Received: 8 * float64(p.RxBytes-before.RxBytes) / past.Seconds(),
		}
	}
	m.at, m.bytes, m.rates = now, seen, rates
	return rates
}
