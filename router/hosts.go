package router

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"landbridge/internal/frame"
)

// Hosts is the host table of one segment: virtual address to MAC. The appliance
// tells it of leases (Learn, Forget); the router tells it what ARP shows (Observe),
// which wins until the lease itself names another MAC.
//
// Readers take no lock and share no cache line with each other's counters: the table
// is a page of 256 entries for each run of addresses in use, and an entry's MAC is one
// atomic word. It is safe for concurrent use. A million leased hosts cost 16 MB.
type Hosts struct {
	first uint32
	count uint32
	mu    sync.Mutex // writers only
	pages []atomic.Pointer[hostPage]
	by6   atomic.Pointer[Hosts] // the same hosts by IPv6: what is known there ends with the lease, too
}

type hostPage [256]hostEntry

// hostEntry holds MACs as macWord makes them; 0 is none.
type hostEntry struct {
	leased   atomic.Uint64 // as the lease has it
	observed atomic.Uint64 // as ARP showed it
}

// NewHosts returns an empty table for the addresses of an IPv4 prefix, /8 or longer.
func NewHosts(prefix netip.Prefix) (*Hosts, error) {
	if !prefix.Addr().Is4() || prefix.Bits() < minPrefixBits {
		return nil, fmt.Errorf("host table for %v: want an IPv4 prefix, /%d or longer", prefix, minPrefixBits)
	}
	count := uint32(1) << (32 - prefix.Bits())
	return &Hosts{
		first: addrWord(prefix.Masked().Addr()),
		count: count,
		pages: make([]atomic.Pointer[hostPage], (count+255)/256),
	}, nil
}

// Learn records the MAC of a lease. It overrides what ARP showed if it differs from what
// the lease said before: a renewal changes nothing, a new network card does.
func (h *Hosts) Learn(addr netip.Addr, mac frame.MAC) {
	if !mac.IsUnicast() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entry(addr, true); e != nil && e.leased.Swap(macWord(mac)) != macWord(mac) {
		e.observed.Store(0)
		if six := h.by6.Load(); six != nil {
			six.Forget(addr)
		}
	}
}

// Observe records the MAC that an ARP packet showed for addr. The caller knows that
// addr is leased on this segment.
func (h *Hosts) Observe(addr netip.Addr, mac frame.MAC) {
	word := macWord(mac)
	if e := h.entry(addr, false); e != nil && e.observed.Load() == word {
		return // the usual case, without the lock
	}
	if !mac.IsUnicast() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entry(addr, true); e != nil {
		e.observed.Store(word)
	}
}

// Forget drops what is known of addr: its lease ended or moved away.
func (h *Hosts) Forget(addr netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entry(addr, false); e != nil {
		e.leased.Store(0)
		e.observed.Store(0)
	}
	if six := h.by6.Load(); six != nil {
		six.Forget(addr)
	}
}

// MAC returns the MAC at which addr is reached. It takes no lock and allocates nothing.
func (h *Hosts) MAC(addr netip.Addr) (frame.MAC, bool) {
	e := h.entry(addr, false)
	if e == nil {
		return frame.MAC{}, false
	}
	word := e.observed.Load()
	if word == 0 {
		word = e.leased.Load()
	}
	return wordMAC(word), word != 0
}

// entry returns addr's entry, nil if addr is outside the prefix or its page isn't
// there. With create the caller holds mu.
func (h *Hosts) entry(addr netip.Addr, create bool) *hostEntry {
	if !addr.Is4() {
		return nil
	}
	offset := addrWord(addr) - h.first
	if offset >= h.count {
		return nil
	}
	page := h.pages[offset/256].Load()
	if page == nil {
		if !create {
			return nil
		}
		page = new(hostPage)
		h.pages[offset/256].Store(page)
	}
	return &page[offset%256]
}

func addrWord(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func macWord(m frame.MAC) uint64 {
	return uint64(binary.BigEndian.Uint16(m[0:2]))<<32 | uint64(binary.BigEndian.Uint32(m[2:6]))
}

func wordMAC(w uint64) (m frame.MAC) {
	binary.BigEndian.PutUint16(m[0:2], uint16(w>>32))
	binary.BigEndian.PutUint32(m[2:6], uint32(w))
	return m
}
