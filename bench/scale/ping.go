package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"landbridge/internal/netlab"
)

// every is the time between two pings of one address that hasn't answered.
const every = 50 * time.Millisecond

const pingID = 0x4c42

// pinger sends ICMP echo requests from a host and hears the replies, until its socket is closed. A round is all
// that is asked at one time: replies to an earlier one count for nothing.
type pinger struct {
	conn net.PacketConn

	mu    sync.Mutex
	round uint16
	heard map[netip.Addr]time.Time // of this round
	news  chan struct{}            // of capacity 1
}

func newPinger(h *netlab.Host) (*pinger, error) {
	conn, err := h.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		return nil, err
	}
	p := &pinger{conn: conn, news: make(chan struct{}, 1)}
	go p.listen()
	return p, nil
}

// listen hears replies until the socket is closed.
func (p *pinger) listen() {
	buf := make([]byte, 2048)
	for {
		n, from, err := p.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		m, err := icmp.ParseMessage(ipv4.ICMPTypeEchoReply.Protocol(), buf[:n])
		if err != nil || m.Type != ipv4.ICMPTypeEchoReply {
			continue
		}
		echo, ok := m.Body.(*icmp.Echo)
		addr, err := netip.ParseAddr(from.String())
		if ok && err == nil && echo.ID == pingID {
			p.reply(addr, uint16(echo.Seq))
		}
	}
}

func (p *pinger) reply(addr netip.Addr, round uint16) {
	p.mu.Lock()
	if _, again := p.heard[addr]; !again && round == p.round {
		p.heard[addr] = time.Now()
	}
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// begin begins a round.
func (p *pinger) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.round++
	p.heard = make(map[netip.Addr]time.Time)
}

// silent returns those that haven't answered in this round, and when the last of the others did.
func (p *pinger) silent(of []*node) (silent []*node, last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range of {
		at, ok := p.heard[n.addr]
		if !ok {
			silent = append(silent, n)
		} else if at.After(last) {
			last = at
		}
	}
	return silent, last
}

// send sends a request. Without a device or a route it is as good as lost.
func (p *pinger) send(to netip.Addr) error {
	p.mu.Lock()
	round := p.round
	p.mu.Unlock()
	request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: pingID, Seq: int(round), Data: make([]byte, 56)}}
	packet, err := request.Marshal(nil)
	if err != nil {
		return err
	}
	_, _ = p.conn.WriteTo(packet, &net.IPAddr{IP: to.AsSlice()})
	return nil
}

// reach pings others until each has answered, and returns how long the last took. The error names
// those that didn't within that time.
func (n *node) reach(ctx context.Context, within time.Duration, others ...*node) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := time.Now()
	n.ping.begin()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		silent, last := n.ping.silent(others)
		if len(silent) == 0 {
			return last.Sub(began), nil
		}
		for _, to := range silent {
			if err := n.ping.send(to.addr); err != nil {
				return 0, err
			}
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return 0, fmt.Errorf("%s doesn't reach %s within %v", n.Name, names(silent), within)
			case <-n.ping.news:
				silent, _ = n.ping.silent(others)
				waiting = len(silent) > 0
			case <-tick.C:
				waiting = false
			}
		}
	}
}

func names(nodes []*node) string {
	words := make([]string, 0, len(nodes))
	for _, n := range nodes {
		words = append(words, n.Name)
	}
	return strings.Join(words, ", ")
}

// reachAll has each ping each other, at once, and returns when the last of them had all answers.
func reachAll(ctx context.Context, within time.Duration, nodes []*node) (time.Duration, []error) {
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		last time.Duration
		errs []error
	)
	for i, n := range nodes {
		others := append(append([]*node(nil), nodes[:i]...), nodes[i+1:]...)
		all.Go(func() {
			took, err := n.reach(ctx, within, others...)
			mu.Lock()
			defer mu.Unlock()
			last = max(last, took)
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	all.Wait()
	return last, errs
}
