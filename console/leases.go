package console

import (
	"cmp"
	"container/heap"
	"encoding/base64"
	"encoding/json"
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
// page can go on after it whatever came or went meanwhile. By is what the order begins with,
// text or number; group and address follow.
type leaseKey struct {
	Sort    api.LeaseSort `json:"s,omitempty"`
	Text    string        `json:"t,omitempty"`
	Number  int64         `json:"n,omitempty"`
	Group   string        `json:"g"`
	Address netip.Addr    `json:"a"`
}

// key returns a row's place in the order of q.
func (q leaseQuery) key(w *LeaseRow) leaseKey {
	k := leaseKey{Sort: q.sort, Group: w.Group, Address: w.Address}
	switch strings.TrimPrefix(string(q.sort), "-") {
	case "name":
		k.Text = w.Name
	case "mac":
		for _, b := range w.MAC {
			k.Number = k.Number<<8 | int64(b)
		}
	case "end":
		k.Number = unixNano(w.End.UnixNano(), w.End.IsZero())
	case "changed":
		k.Number = unixNano(w.Changed.UnixNano(), w.Changed.IsZero())
	}
	return k
}

func unixNano(n int64, zero bool) int64 {
	if zero {
		return 0
	}
	return n
}

// compare orders two keys of one sort.
func (k leaseKey) compare(o leaseKey) int {
	c := cmp.Or(strings.Compare(k.Text, o.Text), cmp.Compare(k.Number, o.Number))
	if c == 0 {
		c = cmp.Or(strings.Compare(k.Group, o.Group), k.Address.Compare(o.Address))
	}
	if strings.HasPrefix(string(k.Sort), "-") {
		return -c
	}
	return c
}

// cursor returns the key in the form in which clients hand it back.
func (k leaseKey) cursor() string {
	text, err := json.Marshal(k)
	if err != nil { // unreachable: text and numbers
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(s string) (k leaseKey, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(raw, &k)
	}
	if err != nil || !k.Address.IsValid() {
		return leaseKey{}, fmt.Errorf("cursor %q can't be read", s)
	}
	return k, nil
}

// leaseQuery is a checked request for a page of leases.
type leaseQuery struct {
	search string    // in lower case
	group  string    // a group ID; empty for all
	after  *leaseKey // nil for the first page
	limit  int
	state  api.LeaseFilter // empty: leased and reserved
	kind   api.LeaseKind   // empty for all
	site   api.LeaseSite   // empty: here
	member string          // ID or name, in lower case; empty for all
	sort   api.LeaseSort   // empty: by address
}

// page returns the page that q asks for of the leases. It keeps no more than a page of
// them at a time, however many there are.
func (q leaseQuery) page(leases iter.Seq[LeaseRow]) api.LeaseList {
	list := api.LeaseList{Items: []api.Lease{}}
	var kept lastFirst // which grows with what there is: a page may have a thousand rows
	search := newFinder(q.search)
	for w := range leases {
		if !q.matches(&w, search) {
			continue
		}
		list.Total++
		k := q.key(&w)
		if q.after != nil && k.compare(*q.after) <= 0 {
			continue
		}
		switch full := len(kept) > q.limit; { // one more than the page shows whether another follows
		case !full:
			heap.Push(&kept, &placed{k, w})
		case k.compare(kept[0].key) < 0:
			*kept[0] = placed{k, w}
			heap.Fix(&kept, 0)
		}
	}
	slices.SortFunc(kept, func(a, b *placed) int { return a.key.compare(b.key) })
	if len(kept) > q.limit {
		kept = kept[:q.limit]
		list.Next = kept[q.limit-1].key.cursor()
	}
	for i := range kept {
		list.Items = append(list.Items, kept[i].row.Lease())
	}
	return list
}

func (q leaseQuery) matches(w *LeaseRow, search *finder) bool {
	switch {
	case q.group != "" && w.Group != q.group, q.kind != "" && w.Kind != q.kind,
		(q.site == "" || q.site == api.LeaseSiteHere) && w.Elsewhere, q.site == api.LeaseSiteElsewhere && !w.Elsewhere,
		q.member != "" && !strings.EqualFold(w.Member, q.member) && !strings.EqualFold(w.MemberName, q.member):
		return false
	}
	switch q.state {
	case "":
		if w.State != api.LeaseStateLeased && w.State != api.LeaseStateReserved {
			return false
		}
	case api.LeaseFilterAll:
	case api.LeaseFilterReserved:
		if !w.Reserved {
			return false
		}
	default:
		if string(w.State) != string(q.state) {
			return false
		}
	}
	return search.text == "" || search.in(w)
}

// placed is a row and its place.
type placed struct {
	key leaseKey
	row LeaseRow
}

// lastFirst is a heap of leases whose first is the last in the order of the listing.
type lastFirst []*placed

func (h lastFirst) Len() int           { return len(h) }
func (h lastFirst) Less(i, j int) bool { return h[i].key.compare(h[j].key) > 0 }
func (h lastFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *lastFirst) Push(v any)        { *h = append(*h, v.(*placed)) }
func (h *lastFirst) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
