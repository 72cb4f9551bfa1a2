package console

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/internal/store"
)

// fake is an Appliance whose answers a test sets.
type fake struct {
	ordered []string // of leases
	checked []string // without being done
	mu      sync.Mutex
	err     error // what every method returns, if set
	panics  bool
	block   chan struct{} // if set, Join waits for it or its context

	entered chan struct{} // if block is set, Join says here that it waits

	status   api.Status
	peers    []api.Peer
	leases   []api.Lease
	made     iter.Seq[LeaseRow] // of leases, where they are many
	blocks   []api.Block
	counters []api.Counter
	segments []api.Segment
	groups   []api.Group

	created []api.GroupCreate
	invited []api.InvitationCreate
	issued  []api.IssuedInvitation
	revoked []string

	settings api.GroupSettings
	set      []api.GroupSettingsChange

	waits   []api.JoinApplication
	decided []string

	applicants []api.Applicant

	joined    []api.JoinRequest
	removed   []string
	left      []string
	mode      api.ModeStatus
	hosts     []api.RegisteredHost
	switched  []api.ModeRequest
	nameFixed bool
	restarts  int
	rounds    int   // HearAll was called this often
	restored  int64 // bytes that CheckRestore was given
	already   bool  // what Join says of the membership
	events    *Events
	answers
	named
}

func (f *fake) answer() error {
	if f.panics {
		panic("the fake was told to")
	}
	return f.err
}

func (f *fake) Events() *Events { return f.events }

func (f *fake) Status(context.Context) (api.Status, error) { return f.status, f.answer() }
func (f *fake) Peers(context.Context) ([]api.Peer, error) {
	return slices.Clone(f.peers), f.answer()
}
func (f *fake) Leases(context.Context, bool) (iter.Seq[LeaseRow], error) {
	if f.made != nil {
		return f.made, f.answer()
	}
	return rows(f.leases), f.answer()
}
func (f *fake) HearAll(context.Context) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rounds++
	return []string{"porto"}
}
func (f *fake) Blocks(context.Context) ([]api.Block, error) {
	return slices.Clone(f.blocks), f.answer()
}
func (f *fake) Throughput(context.Context) (api.Throughput, error) {
	none := api.RateSeries{StepSeconds: 1, Sent: []int64{}, Received: []int64{}}
	return api.Throughput{FiveMinutes: none, Day: none}, f.answer()
}
func (f *fake) Segments(context.Context) ([]api.Segment, error) {
	return slices.Clone(f.segments), f.answer()
}
func (f *fake) PlanSegment(context.Context, string, api.SegmentChange) (api.SegmentPlan, error) {
	return api.SegmentPlan{}, f.answer()
}
func (f *fake) SetSegment(context.Context, string, api.SegmentChange, string) (api.SegmentPlan, error) {
	return api.SegmentPlan{}, f.answer()
}
func (f *fake) Counters(context.Context) ([]api.Counter, error) {
	return slices.Clone(f.counters), f.answer()
}
func (f *fake) Groups(context.Context) ([]api.Group, error) {
	return slices.Clone(f.groups), f.answer()
}

func (f *fake) CreateGroup(_ context.Context, req api.GroupCreate) (api.Group, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.created = append(f.created, req)
	return api.Group{ID: "aa", Name: req.Name, Prefix: netip.MustParsePrefix("10.9.0.0/16")}, f.answer()
}

func (f *fake) Invite(_ context.Context, group string, req api.InvitationCreate) (api.Invitation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.invited = append(f.invited, req)
	return api.Invitation{Token: "lb1", Group: group}, f.answer()
}

func (f *fake) Invitations(context.Context, string) ([]api.IssuedInvitation, error) {
	return slices.Clone(f.issued), f.answer()
}

func (f *fake) GroupSettings(context.Context, string) (api.GroupSettings, error) {
	return f.settings, f.answer()
}

func (f *fake) SetGroupSettings(_ context.Context, _ string, req api.GroupSettingsChange) (api.GroupSettings, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set = append(f.set, req)
	return f.settings, f.answer()
}

func (f *fake) CheckGroupSettings(_ context.Context, group string, _ api.GroupSettingsChange) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked = append(f.checked, "settings "+group)
	return f.answer()
}

func (f *fake) RevokeInvitation(_ context.Context, group, id string) (api.IssuedInvitation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked = append(f.revoked, group+"/"+id)
	return api.IssuedInvitation{ID: id, State: api.InvitationStateRevoked}, f.answer()
}

func (f *fake) Remove(_ context.Context, group, member, reason string) (api.Removal, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removed = append(f.removed, group+"/"+member+" "+reason)
	return api.Removal{Group: group, Name: member, DescriptorVersion: 3}, f.answer()
}

func (f *fake) Leave(_ context.Context, group string, destroyCA bool) (api.Departure, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = append(f.left, fmt.Sprintf("%s %t", group, destroyCA))
	return api.Departure{Group: group, Name: "site-b", BlocksReleased: 2, InRoster: true}, f.answer()
}

func (f *fake) Name() (string, bool) { return cmp.Or(f.status.Name, "site-a"), f.nameFixed }

func (f *fake) CheckName(name string) error {
	if strings.Contains(name, " ") {
		return errors.New("want no spaces")
	}
	return nil
}

func (f *fake) Rename(_ context.Context, name string) error { f.status.Name = name; return f.answer() }

func (f *fake) Mode(context.Context) (api.ModeStatus, error) { return f.mode, f.answer() }

func (f *fake) PlanMode(_ context.Context, req api.ModeRequest) (api.ModePlan, error) {
	return api.ModePlan{To: api.ModeSetup{Mode: api.Mode(req.Mode), LanPort: req.LanPort}}, f.answer()
}

func (f *fake) SwitchMode(_ context.Context, req api.ModeRequest) (api.ModeStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.switched = append(f.switched, req)
	return f.mode, f.answer()
}

func (f *fake) ConfirmMode(context.Context) (api.ModeStatus, error) { return f.mode, f.answer() }

func (f *fake) RollbackMode(context.Context) (api.ModeStatus, error) { return f.mode, f.answer() }

func (f *fake) Requests(context.Context, string) ([]api.Applicant, error) {
	return slices.Clone(f.applicants), f.answer()
}

func (f *fake) Approve(_ context.Context, group, member string) (api.GroupMember, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decided = append(f.decided, "approve "+group+"/"+member)
	return api.GroupMember{MemberID: member}, f.answer()
}

func (f *fake) Deny(_ context.Context, group, member, reason string) (api.Applicant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decided = append(f.decided, "deny "+group+"/"+member+" "+reason)
	return api.Applicant{MemberID: member}, f.answer()
}

func (f *fake) Applications(context.Context) ([]api.JoinApplication, error) {
	return slices.Clone(f.waits), f.answer()
}

func (f *fake) WithdrawApplication(_ context.Context, group string) (api.JoinApplication, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decided = append(f.decided, "withdraw "+group)
	return api.JoinApplication{Group: group}, f.answer()
}

func (f *fake) Join(ctx context.Context, req api.JoinRequest) (api.Joined, error) {
	f.mu.Lock()
	f.joined = append(f.joined, req)
	f.mu.Unlock()
	if f.block != nil {
		f.entered <- struct{}{}
		select {
		case <-f.block:
		case <-ctx.Done():
			return api.Joined{}, ctx.Err()
		}
	}
	if len(f.waits) > 0 {
		return api.Joined{Waiting: &f.waits[0]}, f.answer()
	}
	return api.Joined{Group: api.Group{ID: "aa", Name: "office"}, Already: f.already}, f.answer()
}

// newServer returns a server of f on a new state.
func newServer(t testing.TB, f *fake) *Server {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	users, err := access.Open(db, access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return New(f, users, slog.New(slog.DiscardHandler))
}

// serve runs a server of f on a real socket until the test ends, and returns a client.
func serve(t *testing.T, f *fake) *api.Local {
	t.Helper()
	path := filepath.Join(t.TempDir(), api.SocketName)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, f)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	client, err := api.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// someLeases returns n leases of a group at consecutive addresses.
func someLeases(group string, n int) []api.Lease {
	leases := make([]api.Lease, n)
	addr := netip.MustParseAddr("10.9.0.2")
	for i := range leases {
		leases[i] = api.Lease{
			Group: group, Address: addr, Name: fmt.Sprintf("host-%d", i), ClientID: fmt.Sprintf("01020304%04x", i),
			MAC: fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8&0xff, i&0xff), MemberID: "12D3", MemberName: "site-a", State: api.LeaseStateLeased, Kind: api.LeaseKindDhcp,
			Start: time.Unix(1_800_000_000, 0).UTC(), End: time.Unix(1_800_003_600, 0).UTC(),
		}
		addr = addr.Next()
	}
	return leases
}

func (f *fake) Hosts(context.Context) ([]api.RegisteredHost, error) { return f.hosts, f.answer() }

func (f *fake) RegisterHost(_ context.Context, mac string, req api.HostRegistration, by string) (api.RegisteredHost, error) {
	h := api.RegisteredHost{MAC: mac, By: by}
	if req.Group != nil {
		h.Group = *req.Group
	}
	if req.Note != nil {
		h.Note = *req.Note
	}
	f.hosts = append(f.hosts, h)
	return h, f.answer()
}

func (f *fake) ForgetHost(_ context.Context, mac, _ string) (api.RegisteredHost, error) {
	f.hosts = slices.DeleteFunc(f.hosts, func(h api.RegisteredHost) bool { return h.MAC == mac })
	return api.RegisteredHost{MAC: mac}, f.answer()
}

// rows makes leases what an appliance yields.
func rows(leases []api.Lease) iter.Seq[LeaseRow] {
	all := make([]LeaseRow, len(leases))
	for i, l := range leases {
		mac, _ := net.ParseMAC(l.MAC)
		id, _ := hex.DecodeString(l.ClientID)
		all[i] = LeaseRow{
			Group: l.Group, Address: l.Address, Name: l.Name, Note: l.Note, Client: id, Member: l.MemberID, MemberName: l.MemberName, State: l.State, Kind: l.Kind,
			Elsewhere: l.Elsewhere, Reserved: l.Reserved, ByMAC: l.ReservedFor == api.ReservedForMAC, Start: l.Start, End: l.End, Changed: l.Changed,
		}
		copy(all[i].MAC[:], mac)
	}
	return slices.Values(all)
}

func (f *fake) done(what string, addr netip.Addr, more ...string) (api.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ordered = append(f.ordered, strings.Join(append([]string{what, addr.String()}, more...), " "))
	return api.Lease{Address: addr, State: api.LeaseStateLeased, Kind: api.LeaseKindDhcp}, f.answer()
}

func (f *fake) Lease(_ context.Context, addr netip.Addr) (api.Lease, error) {
	return f.done("get", addr)
}
func (f *fake) Reserve(_ context.Context, addr netip.Addr, r api.ReservationCreate, by string) (api.Lease, error) {
	return f.done("reserve", addr, r.MAC, r.Name, by)
}
func (f *fake) Unreserve(_ context.Context, addr netip.Addr, by string) (api.Lease, error) {
	return f.done("unreserve", addr, by)
}
func (f *fake) EndLease(_ context.Context, addr netip.Addr, evict bool, by string) (api.LeaseEnd, error) {
	l, err := f.done("end", addr, fmt.Sprint(evict), by)
	return api.LeaseEnd{Lease: l}, err
}
func (f *fake) RenameLease(_ context.Context, addr netip.Addr, name, by string) (api.Lease, error) {
	return f.done("rename", addr, name, by)
}
func (f *fake) NoteLease(_ context.Context, addr netip.Addr, note, by string) (api.Lease, error) {
	return f.done("note", addr, note, by)
}
func (f *fake) History(_ context.Context, q HistoryQuery) (api.LeaseHistory, error) {
	_, err := f.done("history", q.Address, q.Group, q.MAC, q.Since.Format(time.RFC3339))
	return api.LeaseHistory{}, err
}
func (f *fake) ImportReservations(_ context.Context, all []api.Reservation, dry bool, by string) (api.ReservationPlan, error) {
	_, err := f.done("import", netip.Addr{}, fmt.Sprint(len(all), dry), by)
	return api.ReservationPlan{Applied: !dry}, err
}

func (f *fake) Restart(context.Context) error {
	f.restarts++
	return f.answer()
}

func (f *fake) CheckRestore(_ context.Context, r io.Reader) (api.Restore, error) {
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return api.Restore{}, err
	}
	f.restored = n
	return api.Restore{ID: "a copy", Bytes: n}, f.answer()
}

func (f *fake) WaitingRestore(context.Context) (api.Restore, error) {
	return api.Restore{ID: "a copy", Bytes: f.restored}, f.answer()
}

func (f *fake) ForgetRestore(context.Context) error { return f.answer() }

func (f *fake) ApplyRestore(_ context.Context, id string) error {
	if id != "a copy" {
		return Conflict(errors.New("another copy"))
	}
	return f.Restart(context.Background())
}

// What a fake finds wrong is what its orders would be refused for.
func (f *fake) CheckGroup(_ context.Context, req api.GroupCreate) error {
	f.checked = append(f.checked, "group "+req.Name)
	return f.answer()
}
func (f *fake) CheckReservation(_ context.Context, addr netip.Addr, r api.ReservationCreate) error {
	f.checked = append(f.checked, "reservation "+addr.String()+" "+r.MAC)
	return f.answer()
}
func (f *fake) CheckLeaseName(_ context.Context, addr netip.Addr, name string) error {
	f.checked = append(f.checked, "name "+addr.String()+" "+name)
	return f.answer()
}

func (f *fake) CheckHost(_ context.Context, mac string, _ api.HostRegistration) error {
	f.checked = append(f.checked, "host "+mac)
	return f.answer()
}
func (f *fake) CheckJoin(_ context.Context, req api.JoinRequest) error {
	f.checked = append(f.checked, "join "+req.Token)
	return f.answer()
}

func (f *fake) Time(context.Context) (api.Time, error) { return api.Time{}, f.answer() }
