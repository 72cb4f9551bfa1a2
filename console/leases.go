package console

import (
	"cmp"
	"container/heap"
	"encoding/base64"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"landbridge/console/api"
)

// Sizes of a page of leases.
const (
	defaultPage = 100
	maxPage     = 1000
)

// leaseKey is a lease's place in the order of the listing. It names one lease, so that a
// page can go on after it whatever came or went meanwhile.
type leaseKey struct {
	group   string
	address netip.Addr
}

func keyOf(l api.Lease) leaseKey { return leaseKey{group: l.Group, address: l.Address} }

func (k leaseKey) compare(o leaseKey) int {
	return cmp.Or(strings.Compare(k.group, o.group), k.address.Compare(o.address))
}

// cursor returns the key in the form in which clients hand it back.
func (k leaseKey) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(k.address.String() + " " + k.group))
}

func parseCursor(s string) (leaseKey, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return leaseKey{}, fmt.Errorf("cursor %q: %w", s, err)
	}
	text, group, _ := strings.Cut(string(raw), " ")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return leaseKey{}, fmt.Errorf("cursor %q: %w", s, err)
	}
	return leaseKey{group: group, address: addr}, nil
}

// leaseQuery is a checked request for a page of leases.
type leaseQuery struct {
	search string    // in lower case
	group  string    // a group ID; empty for all
	after  *leaseKey // nil for the first page
	limit  int
}

// page returns the page that q asks for of the leases. It keeps no more than a page of
// them at a time, however many there are.
func (q leaseQuery) page(leases iter.Seq[api.Lease]) api.LeaseList {
	list := api.LeaseList{}
	kept := make(lastFirst, 0, q.limit+2)
	for l := range leases {
		if !q.matches(l) {
			continue
		}
		list.Total++
		if q.after != nil && keyOf(l).compare(*q.after) <= 0 {
			continue
		}
		// One more than the page shows whether another follows.
		if len(kept) > q.limit && keyOf(l).compare(keyOf(kept[0])) >= 0 {
			continue
		}
		heap.Push(&kept, l)
		if len(kept) > q.limit+1 {
			heap.Pop(&kept)
		}
	}
	slices.SortFunc(kept, func(a, b api.Lease) int { return keyOf(a).compare(keyOf(b)) })
	if len(kept) > q.limit {
		kept = kept[:q.limit]
		list.Next = keyOf(kept[q.limit-1]).cursor()
	}
	list.Items = kept
	return list
}

func (q leaseQuery) matches(l api.Lease) bool {
	if q.group != "" && l.Group != q.group {
		return false
	}
	if q.search == "" {
		return true
	}
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), q.search) }
	return has(l.Name) || has(l.Address.String()) || has(l.MAC) || has(l.ClientID) || has(l.MemberName)
}

// lastFirst is a heap of leases whose first is the last in the order of the listing.
type lastFirst []api.Lease

func (h lastFirst) Len() int           { return len(h) }
func (h lastFirst) Less(i, j int) bool { return keyOf(h[i]).compare(keyOf(h[j])) > 0 }
func (h lastFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *lastFirst) Push(v any)        { *h = append(*h, v.(api.Lease)) }
func (h *lastFirst) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
