package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"landbridge/console/api"
	"landbridge/internal/sorting"
)

// Bounds of what the doctor finds well.
const (
	diskLow         = 256 << 20 // bytes free
	diskFull        = 16 << 20
	certificateSoon = 20 * 24 * time.Hour // it is renewed with 30 days left
	poolFull        = 90                  // percent
	maxBadPaths     = 50                  // members that are told one by one
)

// Appliance tells what it knows of itself.
type Appliance interface {
	Status(ctx context.Context) (api.Status, error)
	Peers(ctx context.Context) ([]api.Peer, error)
	Blocks(ctx context.Context) ([]api.Block, error)
	Counters(ctx context.Context) ([]api.Counter, error)
}

// Place is where the appliance runs, and what surrounds it.
type Place struct {
	StateDir string
	State    error // why the state can't be read; nil: it can
	Port     uint16
	NAT      NAT
	Mapped   netip.AddrPort // where the router before this host passes UDP on from; invalid: nowhere
	MapFault string         // what it says of that and can't be
	Narrow   []string       // members to which only small datagrams pass
	Agree    int            // other members whose clocks are known, where this host's agrees with most of them
}

// Examine checks what commonly goes wrong. It asks nobody: all of it is known here.
func Examine(ctx context.Context, a Appliance, p Place) (api.DoctorReport, error) {
	st, err := a.Status(ctx)
	if err != nil {
		return api.DoctorReport{}, err
	}
	peers, err := a.Peers(ctx)
	if err != nil {
		return api.DoctorReport{}, err
	}
	blocks, err := a.Blocks(ctx)
	if err != nil {
		return api.DoctorReport{}, err
	}
	counters, err := a.Counters(ctx)
	if err != nil {
		return api.DoctorReport{}, err
	}
	x := examination{Place: p, status: st, peers: peers, blocks: blocks, counters: counts(counters), now: time.Now(),
		synced: clockSynced(), disk: freeSpace(p.StateDir)}
	return x.report(), nil
}

func counts(all []api.Counter) map[string]uint64 {
	m := make(map[string]uint64, len(all))
	for _, c := range all {
		m[c.Component+" "+c.Name] = c.Value
	}
	return m
}

// examination is what the doctor looks at. Its judgement is pure.
type examination struct {
	Place
	status   api.Status
	peers    []api.Peer
	blocks   []api.Block
	counters map[string]uint64
	now      time.Time
	synced   *bool
	disk     space
	checks   []api.DoctorCheck
}

// report makes all checks.
func (x *examination) report() api.DoctorReport {
	x.health()
	x.clock()
	x.reach()
	x.paths()
	x.mtu()
	x.lan()
	x.groups()
	x.machine()
	r := api.DoctorReport{At: x.now.UTC(), State: api.CheckStateOK, Checks: x.checks}
	for _, c := range x.checks {
		if worse(c.State, r.State) {
			r.State = c.State
		}
	}
	sorting.StablyBy(r.Checks, func(a, b api.DoctorCheck) int {
		switch {
		case worse(a.State, b.State):
			return -1
		case worse(b.State, a.State):
			return 1
		}
		return 0
	})
	return r
}

// worse reports whether a is worse than b.
func worse(a, b api.CheckState) bool {
	order := []api.CheckState{api.CheckStateOK, api.CheckStateWarning, api.CheckStateFailed}
	return slices.Index(order, a) > slices.Index(order, b)
}

func (x *examination) ok(name, title, format string, args ...any) {
	x.checks = append(x.checks, api.DoctorCheck{Name: name, Title: title, State: api.CheckStateOK, Text: fmt.Sprintf(format, args...)})
}

func (x *examination) bad(state api.CheckState, name, title, remedy, format string, args ...any) {
	x.checks = append(x.checks, api.DoctorCheck{Name: name, Title: title, State: state, Remedy: remedy, Text: fmt.Sprintf(format, args...)})
}

// health takes what the appliance reports by itself.
func (x *examination) health() {
	for _, h := range x.status.Health {
		state := api.CheckStateWarning
		if h.Level == api.HealthLevelError {
			state = api.CheckStateFailed
		}
		x.bad(state, "health", h.Component, h.Remedy, "%s", h.Text)
	}
	if len(x.status.Health) == 0 {
		x.ok("health", "What the appliance reports", "Nothing.")
	}
}

// ails reports whether the appliance itself reports something of these components.
func (x *examination) ails(components ...string) bool {
	return slices.ContainsFunc(x.status.Health, func(h api.HealthItem) bool { return slices.Contains(components, h.Component) })
}
