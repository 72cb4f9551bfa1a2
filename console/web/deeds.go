package web

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// What is done with a lease. actUndo stands for several of the others.
const (
	actReserve   = "reserve"
	actUnreserve = "unreserve"
	actRelease   = "release"
	actEvict     = "evict"
	actRename    = "rename"
	actNote      = "note"
	actUndo      = "undo"
	actImport    = "import"
)

// order is one thing to be done with one address.
type order struct {
	Do, Address               string
	MAC, ClientID, Name, Note string // what it needs of them
}

// known reports whether an act can be ordered for many leases.
func known(do string) bool {
	switch do {
	case actReserve, actUnreserve, actRelease, actEvict, actNote:
		return true
	}
	return false
}

// outcome is an order and what became of it.
type outcome struct {
	order
	Host  string // what people call the host
	Flaws flaws  // why it wasn't done; zero where it was
	Undo  *order // what takes it back; nil where nothing does
}

// Done reports whether an order was carried out.
func (o outcome) Done() bool { return o.Flaws.Detail == "" && len(o.Flaws.Fields) == 0 }

// orderFor returns the order for a lease as it is. A reservation has the name and the note that
// operators gave: what isn't sent along is dropped.
func orderFor(do string, l api.Lease) order {
	o := order{Do: do, Address: l.Address.String()}
	if do != actReserve {
		return o
	}
	o.MAC, o.Note, o.Name = l.MAC, l.Note, given(l)
	if l.ReservedFor == api.ReservedForClientID || l.MAC == "" {
		o.ClientID = l.ClientID
	}
	return o
}

// given is the name that an operator gave to a host; empty where it has its own.
func given(l api.Lease) string {
	if l.HostName != "" || l.State == api.LeaseStateReserved {
		return l.Name
	}
	return ""
}

// inverse returns what takes an order back, for a lease as it was before; nil where nothing does.
func inverse(o order, before api.Lease) *order {
	back := order{Address: o.Address}
	switch o.Do {
	case actReserve:
		if before.Reserved {
			back = orderFor(actReserve, before)
		} else {
			back.Do = actUnreserve
		}
	case actUnreserve:
		if !before.Reserved {
			return nil
		}
		back = orderFor(actReserve, before)
	case actRename:
		back.Do, back.Name = actRename, given(before)
	case actNote:
		back.Do, back.Note = actNote, before.Note
	default:
		return nil
	}
	return &back
}

// carryOut has the API do what is ordered, and notes how that is undone.
func (p *Pages) carryOut(c echo.Context, o order) outcome {
	made := outcome{order: o}
	before, unknown := p.lease(c, o.Address)
	if unknown == nil {
		made.Host = nameOf(before)
	}
	if err := p.obey(c, o); err != nil {
		made.Flaws, _ = p.flawsOf(err)
		if made.Done() {
			made.Flaws.Detail = err.Error()
		}
		return made
	}
	made.Undo = p.undoOf(o, before, unknown)
	return made
}

// undoOf returns what takes an order back, for a lease as it was, if there was one; nil where nothing does, and
// where it couldn't be read what there was (unknown), as undoing would then take that away.
func (p *Pages) undoOf(o order, before api.Lease, unknown error) *order {
	if unknown != nil && p.problem(unknown).Status != http.StatusNotFound {
		return nil
	}
	return inverse(o, before)
}

// obey has the API do what is ordered.
func (p *Pages) obey(c echo.Context, o order) (err error) {
	ctx := c.Request().Context()
	switch o.Do {
	case actReserve:
		_, err = p.api.ReserveLease(ctx, api.ReserveLeaseRequestObject{
			Address: o.Address, Body: &api.ReservationCreate{MAC: o.MAC, ClientID: o.ClientID, Name: o.Name, Note: o.Note},
		})
	case actUnreserve:
		_, err = p.api.UnreserveLease(ctx, api.UnreserveLeaseRequestObject{Address: o.Address})
	case actRelease:
		_, err = p.api.ReleaseLease(ctx, api.ReleaseLeaseRequestObject{Address: o.Address})
	case actEvict:
		_, err = p.api.EvictLease(ctx, api.EvictLeaseRequestObject{Address: o.Address})
	case actRename:
		_, err = p.api.RenameLease(ctx, api.RenameLeaseRequestObject{Address: o.Address, Body: &api.LeaseName{Name: o.Name}})
	case actNote:
		_, err = p.api.NoteLease(ctx, api.NoteLeaseRequestObject{Address: o.Address, Body: &api.LeaseNote{Note: o.Note}})
	}
	return err
}

// deed is what somebody has done with leases, or with a name.
type deed struct {
	Name   *nameDone // nil where it was done with leases
	ID, Do string
	Rows   []outcome
	Many   int    // how many it was, where the rows aren't kept
	Back   string // the page from which it was done
	by     string
	at     time.Time
}

// Failed is how many orders were not carried out.
func (d deed) Failed() (n int) {
	for _, r := range d.Rows {
		if !r.Done() {
			n++
		}
	}
	return n
}

// Did is how many were.
func (d deed) Did() int { return max(d.Many, len(d.Rows)-d.Failed()) }

// CanUndo reports whether any of it can be taken back.
func (d deed) CanUndo() bool {
	for _, r := range d.Rows {
		if r.Undo != nil {
			return true
		}
	}
	return false
}

// deeds remembers what was done lately, so that pages can say so and take it back: the last
// few, for a while, each for who did it. It isn't written into pages or addresses, where a
// stranger could put something else to be "undone".
type deeds struct {
	mu   sync.Mutex
	last []deed
}

const (
	deedsKept = 16
	deedKept  = 15 * time.Minute
)

// add remembers a deed, and returns its ID.
func (d *deeds) add(by Who, now time.Time, done deed) string {
	done.ID, done.by, done.at = rand.Text(), by.Name, now
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = append(d.last, done)
	if len(d.last) > deedsKept {
		d.last = append([]deed(nil), d.last[1:]...)
	}
	return done.ID
}

// find returns somebody's deed; nil where it is forgotten.
func (d *deeds) find(by Who, now time.Time, id string) *deed {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.last {
		if id != "" && one.ID == id && one.by == by.Name && now.Sub(one.at) < deedKept {
			return &one
		}
	}
	return nil
}
