package forward

import (
	"context"

	"github.com/miekg/dns"

	service "landbridge/dns"
)

// question is one to a zone's servers, for all who ask it meanwhile.
type question struct {
	done   chan struct{} // closed when it is over
	answer *dns.Msg      // nil where nobody answered; set before done is closed, and then only read
}

// enter takes a place for who asks about a zone, if there is one. While the zone fails there is one
// alone, by which it is noticed soon that a server is back (probeAll asks too): all others are answered
// at once (RFC 9520), and take no place from zones that do well.
func (f *Forwarder) enter(z *zone) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	most := zoneUnderWay
	if z.failing() {
		most = 1
	}
	if z.open >= most {
		return false
	}
	select {
	case f.slots <- struct{}{}:
		z.open++
		return true
	default:
		return false
	}
}

func (f *Forwarder) leave(z *zone) {
	f.mu.Lock()
	defer f.mu.Unlock()
	z.open--
	<-f.slots
}

// answer asks a zone's servers; nil where none answers. Where the same is being asked already its answer
// is waited for: asked twice at a time, a question has twice the ports and IDs that somebody who forges
// answers has to guess (RFC 5452 section 5). The answer is the caller's own.
func (f *Forwarder) answer(ctx context.Context, z *zone, k key, q dns.Question, o service.Wish) *dns.Msg {
	f.mu.Lock()
	asking, known := z.asking[k]
	if !known {
		asking = &question{done: make(chan struct{})}
		z.asking[k] = asking
	}
	f.mu.Unlock()
	if known {
		select {
		case <-asking.done:
		case <-ctx.Done():
			return nil
		}
	} else {
		asking.answer = f.ask(ctx, z, q, o)
		f.mu.Lock()
		if asking.answer != nil && f.zones[z.Name] == z { // not set anew meanwhile, with other servers
			f.cache.put(k, asking.answer, f.now())
		}
		delete(z.asking, k)
		f.mu.Unlock()
		close(asking.done)
	}
	if asking.answer == nil {
		return nil
	}
	return asking.answer.Copy()
}
