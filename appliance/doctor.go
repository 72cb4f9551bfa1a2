package appliance

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
	"landbridge/internal/store"
)

// Bounds of what the doctor finds well.
const (
	diskLow         = 256 << 20 // bytes free
	diskFull        = 16 << 20
	certificateSoon = 20 * 24 * time.Hour // it is renewed with 30 days left
	poolFull        = 90                  // percent
	maxBadPaths     = 50                  // members that are told one by one
)

// Doctor checks what commonly goes wrong. It asks nobody: all of it is known here.
func (n *node) Doctor(ctx context.Context) (api.DoctorReport, error) {
	st, err := n.Status(ctx)
	if err != nil {
		return api.DoctorReport{}, err
	}
	peers, err := n.Peers(ctx)
	if err != nil {
		return api.DoctorReport{}, err
	}
	blocks, err := n.Blocks(ctx)
	if err != nil {
		return api.DoctorReport{}, err
	}
	counters, err := n.Counters(ctx)
	if err != nil {
		return api.DoctorReport{}, err
	}
	x := examination{status: st, peers: peers, blocks: blocks, counters: counts(counters), now: time.Now(),
		synced: clockSynced(), port: n.socket.LocalAddr().Port()}
	x.disk = freeSpace(n.state.dir)
	x.store = n.state.db.View(func(*store.Tx) error { return nil })
	x.nat = natUnknown
	for _, nw := range n.running() {
		x.nat = max(x.nat, natKindOf(st.Observed, localAddrs(nw)))
		for _, s := range nw.tunnel.Peers() {
			if s.Narrow {
				x.narrow = append(x.narrow, nw.memberName(s.Member))
			}
		}
	}
	return x.report(), nil
}

func counts(all []api.Counter) map[string]uint64 {
	m := make(map[string]uint64, len(all))
	for _, c := range all {
		m[c.Component+" "+c.Name] = c.Value
	}
	return m
}

// clockSynced reports whether something keeps the clock right, as the kernel was told; known is false where it doesn't say.
func clockSynced() (synced *bool) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return nil
	}
	ok := t.Status&unix.STA_UNSYNC == 0
	return &ok
}

// space is room on a disk.
type space struct {
	free, total uint64
	readOnly    bool
	err         error
	path        string
}

func freeSpace(dir string) space {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return space{err: err, path: dir}
	}
	return space{free: fs.Bavail * uint64(fs.Bsize), total: fs.Blocks * uint64(fs.Bsize), readOnly: fs.Flags&unix.ST_RDONLY != 0, path: filepath.Clean(dir)}
}

// examination is what the doctor looks at. Its judgement is pure.
type examination struct {
	status   api.Status
	peers    []api.Peer
	blocks   []api.Block
	counters map[string]uint64
	now      time.Time
	synced   *bool
	disk     space
	store    error
	nat      natKind
	narrow   []string // members to which only small datagrams pass
	port     uint16   // of the data socket
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
	slices.SortStableFunc(r.Checks, func(a, b api.DoctorCheck) int {
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

// health takes what the appliance reports by itself: each says what to do in its own words.
func (x *examination) health() {
	for _, h := range x.status.Health {
		state := api.CheckStateWarning
		if h.Level == api.HealthLevelError {
			state = api.CheckStateFailed
		}
		x.bad(state, "health", h.Component, "", "%s", h.Text)
	}
	if len(x.status.Health) == 0 {
		x.ok("health", "What the appliance reports", "Nothing.")
	}
}

// ails reports whether the appliance itself reports something of these components.
func (x *examination) ails(components ...string) bool {
	return slices.ContainsFunc(x.status.Health, func(h api.HealthItem) bool { return slices.Contains(components, h.Component) })
}

func (x *examination) clock() {
	const name, title = "clock", "Clock"
	switch {
	case x.now.Year() < 2024:
		x.bad(api.CheckStateFailed, name, title, "Set the clock (timedatectl set-ntp true).", "This host believes that it is %s: certificates seem not to be valid yet, and members refuse each other.", x.now.UTC().Format("2006-01-02"))
	case x.synced == nil:
		x.ok(name, title, "It is %s; whether something keeps it right the kernel doesn't say.", x.now.UTC().Format("2006-01-02 15:04:05 UTC"))
	case !*x.synced:
		x.bad(api.CheckStateWarning, name, title, "Let a time service run (timedatectl set-ntp true, or chrony); in a virtual machine or container that of its host serves.",
			"Nothing keeps this host's clock right, as far as its kernel knows. Certificates are judged by it; leases and holds are not.")
	default:
		x.ok(name, title, "It is kept right.")
	}
}

// machine looks at disk, state and what the kernel can't do.
func (x *examination) machine() {
	const disk, title = "disk", "Disk space"
	switch {
	case x.disk.err != nil:
		x.bad(api.CheckStateWarning, disk, title, "", "The space left for the state can't be found out: %v.", x.disk.err)
	case x.disk.readOnly:
		x.bad(api.CheckStateFailed, disk, title, "See the kernel's log for the reason, as a failing disk; mount it writable again, and restart the appliance.", "The file system of %s is read-only: no lease can be given, as each is written before it is told.", x.disk.path)
	case x.disk.free < diskFull:
		x.bad(api.CheckStateFailed, disk, title, "Make room on it.", "%d MB are left at %s: soon no lease can be written, and none be given.", x.disk.free>>20, x.disk.path)
	case x.disk.free < diskLow:
		x.bad(api.CheckStateWarning, disk, title, "Make room on it.", "%d MB are left at %s.", x.disk.free>>20, x.disk.path)
	default:
		x.ok(disk, title, "%d MB are left at %s.", x.disk.free>>20, x.disk.path)
	}
	if x.store != nil {
		x.bad(api.CheckStateFailed, "store", "State", "Look at the log and the disk, and restart the appliance.", "The state can't be read: %v.", x.store)
	} else {
		x.ok("store", "State", "It can be read.")
	}
	x.offloads()
}

// offloads says what the kernel doesn't do for us, which costs speed alone.
func (x *examination) offloads() {
	lost := false
	for _, c := range []struct{ counter, text string }{
		{"socket lacks_udp_gro", "The kernel doesn't join datagrams that arrive (UDP GRO, from 5.0 on)."},
		{"socket lacks_udp_segment", "The kernel doesn't take joined datagrams (UDP segmentation, from 4.18 on)."},
	} {
		if x.counters[c.counter] > 0 {
			lost = true
			x.bad(api.CheckStateWarning, "offloads", "Offloads", "A newer kernel is quicker; nothing else is wrong with this one.", "%s", c.text)
		}
	}
	if n := x.counters["socket send_unjoined"]; n > 0 {
		lost = true
		x.bad(api.CheckStateWarning, "offloads", "Offloads", "A network card, or driver, with UDP segmentation is quicker (ethtool -k shows tx-udp-segmentation).", "A device refused %d runs of datagrams, which then went one by one.", n)
	}
	if !lost {
		x.ok("offloads", "Offloads", "Kernel and devices take joined datagrams.")
	}
}
