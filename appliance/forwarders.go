package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	miekg "github.com/miekg/dns"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/dns"
	"landbridge/dns/forward"
	"landbridge/internal/health"
	"landbridge/internal/modes"
	"landbridge/internal/store"
)

// forwards is the zones whose names this appliance asks others: those that the configuration
// names, and those that were set while it ran, which the state remembers.
type forwards struct {
	*forward.Forwarder
	db    *store.DB
	fixed []forward.Zone

	mu  sync.Mutex // who changes it
	set map[string]forwardRecord
}

// forwardRecord is a zone that was set.
type forwardRecord struct {
	Servers []string `cbor:"1,keyasint"`
	By      string   `cbor:"2,keyasint,omitempty"`
	Since   int64    `cbor:"3,keyasint"` // Unix nanoseconds
}

func forwardBucket() store.Bucket[forwardRecord] {
	return store.NewBucket[forwardRecord]("dns forward")
}

// openForwards reads what is forwarded, and begins. told hears of zones that fail.
func openForwards(db *store.DB, fixed []forward.Zone, told func(forward.Report)) (*forwards, error) {
	f := &forwards{Forwarder: forward.New(nil, told), db: db, fixed: fixed, set: make(map[string]forwardRecord)}
	err := db.View(func(tx *store.Tx) error {
		var failed error
		for key, record := range forwardBucket().Scan(tx, nil, &failed) {
			f.set[string(key)] = record
		}
		return failed
	})
	if err != nil {
		return nil, fmt.Errorf("forwarded zones: %w", err)
	}
	f.apply()
	return f, nil
}

// apply has the forwarder go by what is set. The configuration goes before what was set here
// before it named the same zone.
func (f *forwards) apply() {
	zones := slices.Clone(f.fixed)
	for name, record := range f.set {
		if z, err := forward.ParseZone(name, record.Servers); err == nil && !f.isFixed(name) {
			zones = append(zones, z)
		}
	}
	f.Set(zones)
}

func (f *forwards) isFixed(name string) bool {
	return slices.ContainsFunc(f.fixed, func(z forward.Zone) bool { return z.Name == name })
}

// change sets a zone, or removes it where it has no servers: on disk before it counts.
func (f *forwards) change(z forward.Zone, by string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.set[z.Name]
	remove := len(z.Servers) == 0
	switch {
	case f.isFixed(z.Name):
		return console.Conflict(fmt.Errorf("%s is forwarded by the configuration (dns-forward): change it there, and start the appliance anew", z.Label()))
	case remove && !known:
		return console.NotFound(fmt.Errorf("%s isn't forwarded: landbridge forward lists what is", z.Label()))
	case !known && len(f.set)+len(f.fixed) >= forward.MaxZones:
		return console.Conflict(fmt.Errorf("%d zones are forwarded, and that is the most", forward.MaxZones))
	}
	record := forwardRecord{Servers: z.Texts(), By: by, Since: time.Now().UnixNano()}
	err := f.db.Update(func(tx *store.Tx) error {
		if remove {
			return forwardBucket().Delete(tx, []byte(z.Name))
		}
		return forwardBucket().Put(tx, []byte(z.Name), record)
	})
	if err != nil {
		return fmt.Errorf("forward %s: %w", z.Label(), err)
	}
	if remove {
		delete(f.set, z.Name)
	} else {
		f.set[z.Name] = record
	}
	f.apply()
	return nil
}

// describe tells of a zone.
func (f *forwards) describe(r forward.Report) api.Forwarder {
	f.mu.Lock()
	record := f.set[r.Name]
	f.mu.Unlock()
	d := api.Forwarder{
		Zone: r.Label(), Servers: []api.ForwarderServer{}, Configured: f.isFixed(r.Name), Failing: r.Failing,
		Asked: int64(min(r.Asked, 1<<62)), Failed: int64(min(r.Failed, 1<<62)),
	}
	if !d.Configured && record.Since != 0 {
		d.SetBy, d.SetAt = record.By, time.Unix(0, record.Since).UTC()
	}
	for i, text := range r.Texts() {
		s := r.States[i]
		server := api.ForwarderServer{Address: text, State: api.ForwarderStateUnasked, Why: s.Why}
		switch {
		case s.Failing:
			server.State, server.Since = api.ForwarderStateFailing, s.Since.UTC()
		case !s.Last.IsZero():
			server.State = api.ForwarderStateAnswers
		}
		if !s.Last.IsZero() {
			server.LastAnswer = s.Last.UTC()
		}
		d.Servers = append(d.Servers, server)
	}
	return d
}

// Forwarders lists the zones whose names others are asked.
func (n *node) Forwarders(context.Context) ([]api.Forwarder, error) {
	all := []api.Forwarder{}
	for _, r := range n.forwards.Report() {
		all = append(all, n.forwards.describe(r))
	}
	return all, nil
}

// SetForwarder has names of a zone asked of others, or of other ones, from now on.
func (n *node) SetForwarder(_ context.Context, req api.ForwarderSet, by string) (api.Forwarder, error) {
	z, err := forward.ParseZone(req.Zone, req.Servers)
	if err == nil {
		err = n.mayForward(z)
	}
	if wrong := new(forward.FieldError); errors.As(err, &wrong) {
		return api.Forwarder{}, console.Invalid(err, api.FieldError{Field: wrong.Field, Detail: wrong.Error()})
	}
	if err == nil {
		err = n.forwards.change(z, by)
	}
	if err != nil {
		return api.Forwarder{}, err
	}
	return n.forwarder(z), nil
}

// RemoveForwarder ends forwarding a zone.
func (n *node) RemoveForwarder(_ context.Context, name string) (api.Forwarder, error) {
	full, err := forward.ParseName(name)
	if err != nil {
		return api.Forwarder{}, console.Invalid(err, api.FieldError{Field: "zone", Detail: err.Error()})
	}
	was := n.forwarder(forward.Zone{Name: full})
	return was, n.forwards.change(forward.Zone{Name: full}, "")
}

func (n *node) forwarder(z forward.Zone) api.Forwarder {
	for _, r := range n.forwards.Report() {
		if r.Name == z.Name {
			return n.forwards.describe(r)
		}
	}
	return api.Forwarder{Zone: z.Label(), Servers: []api.ForwarderServer{}}
}

// mayForward refuses a zone of which nobody would ever be asked, and servers that this machine
// can't ask.
func (n *node) mayForward(z forward.Zone) error {
	for _, nw := range n.running() {
		d := nw.membership.Descriptor()
		if d.Zone != "" && miekg.IsSubDomain(miekg.CanonicalName(d.Zone), z.Name) {
			return &forward.FieldError{Field: "zone", Err: fmt.Errorf("names of %s are those of the group %s, which are answered here", d.Zone, d.Name)}
		}
		if dns.IsReverse(d.Prefix, z.Name) {
			return &forward.FieldError{Field: "zone", Err: fmt.Errorf("names of %s are those of the addresses of the group %s, %v, which are answered here", z.Label(), d.Name, d.Prefix)}
		}
		for _, s := range z.Servers {
			switch {
			case s.Addr() == d.ServiceAddr():
				return &forward.FieldError{Field: "servers", Err: fmt.Errorf("%v is this resolver itself", s.Addr())}
			case d.Prefix.Contains(s.Addr()) && n.setup().Mode == modes.Router:
				return &forward.FieldError{Field: "servers", Err: fmt.Errorf("%v is an address of the group %s, in which this appliance itself has none in router mode: name a server that this machine reaches by its own network", s.Addr(), d.Name)}
			}
		}
	}
	return nil
}

// tellForwarder puts into the appliance's health that no server of a zone answers.
func (n *node) tellForwarder(r forward.Report) {
	const component = "dns"
	key := "forward " + r.Name
	if !r.Failing {
		n.health.Clear(component, key)
		return
	}
	var said []string
	for _, s := range r.States {
		said = append(said, fmt.Sprintf("%v (%s)", s.Server.Addr(), s.Why))
	}
	what := "names of " + r.Label()
	if r.Name == "." {
		what = "all names that aren't the group's"
	}
	n.health.Report(health.Trouble{Level: health.Warning, Component: component, Key: key, Finding: health.Finding{
		Text:   fmt.Sprintf("No server to which %s are forwarded answers: %s. Hosts that ask for them get no answer.", what, strings.Join(said, ", ")),
		Remedy: "See that these servers run and that this machine reaches them by UDP and TCP port 53, or name others: landbridge forward set, or dns-forward in the configuration.",
	}}, time.Now())
	n.log.Warn("no server of a forwarded zone answers", "zone", r.Label())
}
