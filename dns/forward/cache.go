package forward

import (
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	cacheEntries = 1024
	cacheBytes   = 256 << 10
	maxPositive  = time.Hour       // an answer is kept no longer
	maxNegative  = 5 * time.Minute // likewise that there is none (RFC 2308 section 5)
)

// key is a question, and what its asker said of DNSSEC, which changes the answer.
type key struct {
	name          string // in lower case
	qtype, qclass uint16
	do, cd        bool
}

// entry is an answer as it came, without OPT.
type entry struct {
	packed       []byte
	kept, expire time.Time
}

// cache remembers answers for as long as they say, within bounds.
type cache struct {
	mu    sync.Mutex
	all   map[key]entry
	bytes int
}

// get returns an answer with what is left of its times; nil for none.
func (c *cache) get(k key, now time.Time) *dns.Msg {
	c.mu.Lock()
	e, ok := c.all[k]
	if ok && !now.Before(e.expire) {
		c.drop(k, e)
		ok = false
	}
	c.mu.Unlock()
	if !ok {
		return nil
	}
	m := new(dns.Msg)
	if m.Unpack(e.packed) != nil {
		return nil
	}
	age := uint32(now.Sub(e.kept) / time.Second)
	for _, rrs := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range rrs {
			rr.Header().Ttl -= min(rr.Header().Ttl, age)
		}
	}
	return m
}

// put keeps an answer, if it may be kept.
func (c *cache) put(k key, m *dns.Msg, now time.Time) {
	life := lifeOf(m)
	packed, err := m.Pack()
	if life <= 0 || err != nil || len(packed) > cacheBytes/16 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.all[k]; ok {
		c.drop(k, old)
	}
	if c.all == nil {
		c.all = make(map[key]entry)
	}
	if len(c.all) >= cacheEntries || c.bytes+len(packed) > cacheBytes {
		c.makeRoom(len(packed), now)
	}
	c.all[k] = entry{packed, now, now.Add(life)}
	c.bytes += len(packed)
}

// makeRoom drops what is over, and where that isn't enough whatever comes first. Called with
// mu held.
func (c *cache) makeRoom(size int, now time.Time) {
	for k, e := range c.all {
		if !now.Before(e.expire) {
			c.drop(k, e)
		}
	}
	for k, e := range c.all {
		if len(c.all) < cacheEntries && c.bytes+size <= cacheBytes {
			return
		}
		c.drop(k, e)
	}
}

func (c *cache) drop(k key, e entry) {
	delete(c.all, k)
	c.bytes -= len(e.packed)
}

// clear forgets everything.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all, c.bytes = nil, 0
}

// size returns how many answers are kept, and their bytes.
func (c *cache) size() (entries, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all), c.bytes
}

// lifeOf returns for how long an answer may be kept: the least time of its records; that there
// is none, for as long as the zone's SOA says; 0 for what may not.
func lifeOf(m *dns.Msg) time.Duration {
	if m.Truncated || m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return 0
	}
	if len(m.Answer) > 0 && m.Rcode == dns.RcodeSuccess {
		least := uint32(maxPositive / time.Second)
		for _, rrs := range [][]dns.RR{m.Answer, m.Ns} {
			for _, rr := range rrs {
				least = min(least, rr.Header().Ttl)
			}
		}
		return time.Duration(least) * time.Second
	}
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second, maxNegative)
		}
	}
	return 0
}
