package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/config"
	"landbridge/internal/modes"
)

// result is what a command line did.
type result struct {
	code     int
	out, err string
}

// command runs a command line against an engine.
func command(t *testing.T, e engine, in string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := execute(t.Context(), args, streams{in: strings.NewReader(in), out: &out, err: &errs}, e)
	return result{code: code, out: out.String(), err: errs.String()}
}

// answerOK is a canned answer with status 200, to whatever method.
type answerOK struct{ body any }

// daemon serves canned answers, by "METHOD path", on the socket of a new state, and
// returns the state.
func daemon(t *testing.T, answers map[string]any) string {
	t.Helper()
	state := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(state, api.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := answers[r.Method+" "+r.URL.Path]
		if f, is := v.(func(*http.Request) any); is {
			v = f(r)
		}
		code, kind := http.StatusOK, "application/json"
		if r.Method == http.MethodPost {
			code = http.StatusCreated
		}
		if ok200, is := v.(answerOK); is {
			v, code = ok200.body, http.StatusOK
		}
		if p, is := v.(api.Problem); is || !ok {
			if !ok {
				p = api.Problem{Status: http.StatusNotFound, Detail: "no answer to " + r.URL.Path}
			}
			v, code, kind = p, p.Status, "application/problem+json"
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() { _ = srv.Close(); serving.Wait() })
	return state
}

// fakeState is a state without a daemon.
type fakeState struct {
	groups  []api.Group
	err     error
	created api.GroupCreate
	invited api.InvitationCreate
	issued  []api.IssuedInvitation
	revoked string
	waits   []api.JoinApplication // as Join, and then Applications, say one after the other
	decided string

	applicants []api.Applicant
	joined     api.JoinRequest
	removed    string
	left       string
	already    bool   // what Join says of the membership
	taken      string // what Join says of the name
	mode       api.ModeStatus
	closed     int
	changed    []string // users, with their new passwords
	restored   string

	settings api.GroupSettings
	set      []api.GroupSettingsChange
	setErr   error
	arriving int // after so many looks those who are on the way to the settings have them
}

func (f *fakeState) Groups(context.Context) ([]api.Group, error) { return f.groups, f.err }
func (f *fakeState) CreateGroup(_ context.Context, req api.GroupCreate) (api.Group, error) {
	f.created = req
	return office(), f.err
}
func (f *fakeState) Invite(_ context.Context, _ string, req api.InvitationCreate) (api.Invitation, error) {
	f.invited = req
	return api.Invitation{Token: "lb1token", GroupName: "office", Expires: time.Now().Add(time.Hour), Addresses: []string{"/ip4/203.0.113.5/tcp/1"}}, f.err
}
func (f *fakeState) Invitations(context.Context, string) ([]api.IssuedInvitation, error) {
	return f.issued, f.err
}
func (f *fakeState) RevokeInvitation(_ context.Context, group, id string) (api.IssuedInvitation, error) {
	f.revoked = group + "/" + id
	return api.IssuedInvitation{ID: id, Uses: 3, Users: []api.InvitationUse{{MemberID: "x"}}}, f.err
}
func (f *fakeState) GroupSettings(context.Context, string) (api.GroupSettings, error) {
	if f.arriving--; f.arriving == 0 {
		f.settings.Behind = slices.DeleteFunc(slices.Clone(f.settings.Behind), func(b api.MemberBehind) bool { return b.Underway })
	}
	return f.settings, f.err
}
func (f *fakeState) SetGroupSettings(_ context.Context, group string, req api.GroupSettingsChange) (api.GroupSettings, error) {
	f.set = append(f.set, req)
	return f.settings, cmp.Or(f.setErr, f.err)
}
func (f *fakeState) Join(_ context.Context, req api.JoinRequest) (api.Joined, error) {
	f.joined = req
	g := office()
	g.NameTaken = f.taken
	if len(f.waits) > 0 {
		return api.Joined{Waiting: &f.waits[0]}, f.err
	}
	return api.Joined{Group: g, Already: f.already}, f.err
}
func (f *fakeState) Applications(context.Context) (all []api.JoinApplication, err error) {
	if len(f.waits) > 1 { // one look, one step
		f.waits = f.waits[1:]
		return f.waits[:1], f.err
	}
	return nil, f.err
}
func (f *fakeState) WithdrawApplication(_ context.Context, group string) (api.JoinApplication, error) {
	return api.JoinApplication{Group: group}, f.err
}
func (f *fakeState) Requests(context.Context, string) ([]api.Applicant, error) {
	return f.applicants, f.err
}
func (f *fakeState) Approve(_ context.Context, group, member string) (api.GroupMember, error) {
	f.decided = "approve " + group + "/" + member
	return api.GroupMember{MemberID: "12D3KooWsiteb", Name: "site-b"}, f.err
}
func (f *fakeState) Deny(_ context.Context, group, member, reason string) (api.Applicant, error) {
	f.decided = "deny " + group + "/" + member + ": " + reason
	return api.Applicant{Name: "site-b", Fingerprint: member}, f.err
}
func (f *fakeState) Leave(_ context.Context, group string, destroyCA bool) (api.Departure, error) {
	f.left = fmt.Sprintf("%s %t", group, destroyCA)
	return api.Departure{Group: group, GroupName: "office", Name: "site-a", Authority: destroyCA, InRoster: true, BlocksReleased: 2, BlocksLapsing: 1, LapseSeconds: 7 * 86400}, f.err
}
func (f *fakeState) Remove(_ context.Context, group, member, reason string) (api.Removal, error) {
	f.removed = strings.TrimSpace(group + "/" + member + " " + reason)
	return api.Removal{Group: group, GroupName: "office", MemberID: member, Name: "site-b", DescriptorVersion: 3}, f.err
}
func (f *fakeState) ChangeUser(_ context.Context, name string, change api.UserChange) (api.User, error) {
	f.changed = append(f.changed, name+" "+change.Password)
	return api.User{Name: name}, f.err
}
func (f *fakeState) CheckRestore(_ context.Context, r io.Reader) (api.Restore, error) {
	b, err := io.ReadAll(r)
	return api.Restore{ID: string(b), SameAppliance: true, Dangers: []string{"It forgets what it has promised."}}, errors.Join(err, f.err)
}
func (f *fakeState) ApplyRestore(_ context.Context, id string) error {
	f.restored = id
	return f.err
}
func (f *fakeState) Mode(context.Context) (api.ModeStatus, error) { return f.mode, f.err }
func (f *fakeState) Close() error                                 { f.closed++; return nil }

// at returns an engine whose state without a daemon is f.
func (f *fakeState) engine() engine {
	return engine{offline: func(string, *slog.Logger) (offline, error) { return f, nil }}
}

func office() api.Group {
	return api.Group{
		ID: strings.Repeat("1a2b3c4d", 8), Name: "office", Prefix: netip.MustParsePrefix("10.9.0.0/16"),
		ServiceAddress: netip.MustParseAddr("10.9.0.1"), Zone: "office.internal", LeaseSeconds: 3600, HoldSeconds: 7 * 86400,
		MTU: 1376, DescriptorVersion: 2, Authority: true,
		Members: []api.GroupMember{{MemberID: "12D3KooWsitea", Name: "site-a", Self: true, Authority: true}, {MemberID: "12D3KooWsiteb", Name: "site-b"}},
	}
}

func TestGroupCommandsWorkOnTheStateWithoutADaemon(t *testing.T) {
	f := &fakeState{groups: []api.Group{office()}}
	state := "--state=" + t.TempDir()

	r := command(t, f.engine(), "", state, "group", "create", "--name", "office", "--prefix", "10.9.0.0/16", "--hold-time", "2d", "--member-name", "a")
	want := api.GroupCreate{Name: "office", Prefix: "10.9.0.0/16", LeaseSeconds: 3600, HoldSeconds: 2 * 86400, MTU: 1376, MemberName: "a"}
	if r.code != 0 || f.created != want || !strings.Contains(r.out, "10.9.0.0/16") || !strings.Contains(r.err, "landbridge run") {
		t.Errorf("create: %+v asked %+v", r, f.created)
	}
	r = command(t, f.engine(), "", state, "group", "invite", "--expires", "90m", "--address", "a.example:1", "--address", "[2001:db8::1]:2")
	wantInvite := api.InvitationCreate{TTLSeconds: 5400, Uses: 1, Addresses: []string{"a.example:1", "[2001:db8::1]:2"}}
	if r.code != 0 || r.out != "lb1token\n" || !reflect.DeepEqual(f.invited, wantInvite) {
		t.Errorf("invite: %+v asked %+v", r, f.invited)
	}
	r = command(t, f.engine(), "", state, "join", "lb1xyz", "--name", "b")
	if r.code != 0 || f.joined != (api.JoinRequest{Token: "lb1xyz", MemberName: "b"}) {
		t.Errorf("join: %+v asked %+v", r, f.joined)
	}
	r = command(t, f.engine(), " lb1fromstdin\n", state, "join", "-")
	if r.code != 0 || f.joined.Token != "lb1fromstdin" {
		t.Errorf("join -: %+v asked %+v", r, f.joined)
	}
	r = command(t, f.engine(), "", state, "group", "show", "--json")
	var list api.GroupList
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || !reflect.DeepEqual(list.Items, f.groups) {
		t.Errorf("show: %v, %+v", err, r)
	}
	if f.closed != 5 {
		t.Errorf("the state was closed %d times of 5", f.closed)
	}
}

func TestGroupCommandsAskTheDaemonThatRuns(t *testing.T) {
	var asked api.JoinRequest
	state := daemon(t, map[string]any{
		"GET /api/v1/groups": api.GroupList{Items: []api.Group{office()}},
		"POST /api/v1/groups/" + office().ID + "/invitations": api.Invitation{Token: "lb1fromdaemon"},
		"POST /api/v1/join": func(r *http.Request) any {
			_ = json.NewDecoder(r.Body).Decode(&asked)
			return api.Problem{Status: 409, Detail: "the invitation was used by another node"}
		},
	})
	none := engine{offline: func(string, *slog.Logger) (offline, error) { return nil, errors.New("the state was opened") }}
	if r := command(t, none, "", "--state", state, "group", "invite", "OFFICE"); r.code != 0 || r.out != "lb1fromdaemon\n" {
		t.Errorf("invite: %+v", r)
	}
	if r := command(t, none, "", "--state", state, "group", "invite", "lab"); r.code != 1 || !strings.Contains(r.err, `in no group "lab"`) {
		t.Errorf("invite to a foreign group: %+v", r)
	}
	r := command(t, none, "", "--state", state, "join", "lb1xyz")
	if r.code != 1 || r.err != "landbridge: the invitation was used by another node\n" || asked.Token != "lb1xyz" {
		t.Errorf("join: %+v, asked %+v", r, asked)
	}
}

func TestAMemberIsRemovedByNameOrID(t *testing.T) {
	f := &fakeState{groups: []api.Group{office()}}
	state := "--state=" + t.TempDir()
	want := office().ID + "/12D3KooWsiteb"
	for _, args := range [][]string{{"Site-B"}, {"12D3KooWsiteb", "office"}} {
		f.removed = ""
		r := command(t, f.engine(), "", append([]string{state, "group", "remove"}, args...)...)
		if r.code != 0 || f.removed != want {
			t.Errorf("remove %v: %+v asked %q, want %q", args, r, f.removed, want)
		}
		for _, part := range []string{"site-b (12D3KooWsiteb) is removed from group office by version 3", "once this appliance runs", "leases", "certificate is worthless", "group invite"} {
			if !strings.Contains(r.out+r.err, part) {
				t.Errorf("remove %v doesn't say %q: %+v", args, part, r)
			}
		}
	}
	f.removed = ""
	r := command(t, f.engine(), "", state, "group", "remove", "site-c")
	if r.code != 1 || f.removed != "" || !strings.Contains(r.err, `has no member "site-c"`) {
		t.Errorf("who isn't a member: %+v", r)
	}

	running := daemon(t, map[string]any{
		"GET /api/v1/groups": api.GroupList{Items: []api.Group{office()}},
		"DELETE /api/v1/groups/" + office().ID + "/members/12D3KooWsiteb": api.Removal{GroupName: "office", MemberID: "12D3KooWsiteb", Name: "site-b", DescriptorVersion: 3},
	})
	if r := command(t, engine{}, "", "--state", running, "group", "remove", "site-b"); r.code != 0 || !strings.Contains(r.err, "sessions are cut, here now") {
		t.Errorf("with the daemon: %+v", r)
	}
	r = command(t, engine{}, "", "--state", running, "group", "remove", "site-b", "--json")
	var got api.Removal
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || got.Name != "site-b" || r.err != "" {
		t.Errorf("--json: %+v, %v", r, err)
	}
}

func TestBadCommandLinesGetOneSentenceAndChangeNothing(t *testing.T) {
	never := engine{
		run:     func(context.Context, config.Config, *slog.Logger) error { panic("run") },
		offline: func(string, *slog.Logger) (offline, error) { panic("the state was opened") },
	}
	tests := []struct {
		args string
		code int
		err  string
	}{
		{"bogus", 2, `unknown command "bogus"`},
		{"stauts", 2, "status"},
		{"group bogus", 2, `landbridge group has no command "bogus": its commands are approve, create, deny, invitations, invite, leave, remove, requests, set, show`},
		{"group lst", 2, "did you mean show or set?"},
		{"group creat", 2, "did you mean create?"},
		{"run --lan-prot eth1", 2, "unknown flag: --lan-prot: did you mean --lan-port?"},
		{"leases --limit x", 2, "--limit x: want a whole number\n"},
		{"status --json=x", 2, "--json x: want true or false\n"},
		{"group create --mtu 70", 2, "--mtu 70: want 576 to 9000"},
		{"group invite --uses 0", 2, "--uses 0: want 1 to 1000"},
		{"group invitations revoke", 2, "want the ID of one INVITATION"},
		{"group invite --expires 0s", 2, "--expires 0s: want 1s to 365d in whole seconds"},
		{"group invite --expires 400d", 2, "--expires 400d: want 1s to 365d"},
		{"join lb1abc def", 2, "the invitation is in 2 pieces, and must be one argument"},
		{"join LB1abc def gh", 2, "the invitation is in 3 pieces"},
		{"join two tokens", 2, "want one TOKEN"},
		{"group leave a b", 2, `"b" is another`},
		{"group leave --state /nonexistent/landbridge", 1, "there is no state in /nonexistent/landbridge"},
		{"group invite --expires 1.5s", 2, "--expires 1.5s: want 1s to 365d"},
		{"completion powershell", 2, `no command "powershell"`},
		{"status now", 2, `landbridge status takes no arguments, and "now" is one`},
		{"leases a b", 2, `"b" is another`},
		{"leases --limit -1", 2, "--limit -1: want 0 (no limit) or more"},
		{"join", 2, "want one TOKEN"},
		{"join -", 2, "the token is empty"},
		{"group create --lease-time 0s", 2, "--lease-time 0s: want 10s to 30d in whole seconds"},
		{"group create --hold-time 1.5d", 2, "want a number of days"},
		{"group remove", 2, "want one MEMBER"},
		{"group remove a b c", 2, `"c" is another`},
		{"group invite --expires soon", 2, "want a duration"},
		{"run --bogus", 2, "unknown flag: --bogus"},
		{"run --mode router", 2, "--mode: router mode needs lan-port"},
		{"run --mode x --listen y --log-level z", 2, "3 errors"},
		{"run --config /nonexistent/landbridge.yaml", 2, "there is no such file"},
		{"group show --state /nonexistent/landbridge", 1, "there is no state in /nonexistent/landbridge"},
		{"status", 1, "no appliance is running on the state in "},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			r := command(t, never, "", append([]string{"--state", t.TempDir()}, strings.Fields(tt.args)...)...)
			if r.code != tt.code || !strings.HasPrefix(r.err, "landbridge: ") || !strings.Contains(r.err, tt.err) || r.out != "" {
				t.Errorf("got %+v, want %d with %q", r, tt.code, tt.err)
			}
		})
	}
}

func TestRunGetsFlagsOverFileOverDefaults(t *testing.T) {
	var got config.Config
	e := engine{run: func(_ context.Context, cfg config.Config, log *slog.Logger) error {
		got = cfg
		log.Info("started", "mode", string(cfg.Mode))
		return errors.New("lan-port lan9: there is no such interface")
	}}
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	writeFile(t, file, "state: /from/file\nname: from-file\nmode: router\nlan-port: lan9\nlan-discovery: true\n")
	r := command(t, e, "", "run", "--config", file, "--name", "from-flag", "--listen", ":5000",
		"--announce", "a.example:1", "--announce", "b.example:2", "--lan-discovery", "false", "--log-format", "json")
	if r.code != 1 || !strings.HasSuffix(r.err, "landbridge: lan-port lan9: there is no such interface\n") || !strings.Contains(r.err, `"msg":"started"`) {
		t.Errorf("%+v", r)
	}
	want := config.Default()
	want.State, want.Name, want.Mode, want.LANPort, want.ModeGiven, want.NameGiven = "/from/file", "from-flag", modes.Router, "lan9", true, true
	want.Listen, want.Announce = netip.MustParseAddrPort("[::]:5000"), []string{"a.example:1", "b.example:2"}
	want.LANDiscovery, want.LogFormat, want.Version = false, config.LogJSON, programVersion()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if command(t, e, "", "run", "--state", dir); got.State != dir {
		t.Errorf("--state gave %q, want %q", got.State, dir)
	}
}

func TestEveryListingPrintsTheAPIsObjectsAsJSON(t *testing.T) {
	answers := map[string]any{
		"status":     api.Status{Name: "site-a", Mode: api.ModeRouter},
		"peers":      api.PeerList{Items: []api.Peer{{Name: "site-b", Path: api.PathKindLAN, Session: api.SessionStateEstablished}}},
		"leases":     api.LeaseList{Items: []api.Lease{{Name: "printer", Address: netip.MustParseAddr("10.9.0.7")}}, Total: 1},
		"blocks":     api.BlockList{Items: []api.Block{{Prefix: netip.MustParsePrefix("10.9.0.0/26"), State: api.BlockStateHeld}}},
		"counters":   api.CounterList{Items: []api.Counter{{Component: "router", Name: "frames_in", Value: 7}}},
		"group show": api.GroupList{Items: []api.Group{office()}},
	}
	routes := make(map[string]any)
	for name, v := range answers {
		routes["GET /api/v1/"+strings.Replace(name, "group show", "groups", 1)] = v
	}
	state := daemon(t, routes)
	for name, want := range answers {
		r := command(t, engine{}, "", append(strings.Fields(name), "--json", "--state", state)...)
		got := reflect.New(reflect.TypeOf(want))
		if err := json.Unmarshal([]byte(r.out), got.Interface()); err != nil || r.code != 0 || r.err != "" {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
		if name != "status" && !reflect.DeepEqual(got.Elem().Interface(), want) {
			t.Errorf("%s: got %+v, want %+v", name, got.Elem(), want)
		}
		if r := command(t, engine{}, "", append(strings.Fields(name), "--state", state)...); r.code != 0 || r.out == "" || r.out[0] == '{' {
			t.Errorf("%s for people: %+v", name, r)
		}
	}
}

func TestLeasesAreFetchedPageByPage(t *testing.T) {
	const total = 2500
	page := func(r *http.Request) any {
		var from, limit int
		_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &from)
		_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
		list := api.LeaseList{Total: total}
		for i := from; i < min(from+limit, total); i++ {
			list.Items = append(list.Items, api.Lease{Address: netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})})
		}
		if from+limit < total {
			list.Next = fmt.Sprint(from + limit)
		}
		return list
	}
	state := daemon(t, map[string]any{"GET /api/v1/leases": page})
	for args, want := range map[string]int{"leases": 1000, "leases --limit 1200": 1200, "leases --limit 0": total, "leases --limit 9999": total, "leases x --limit 3": 3} {
		r := command(t, engine{}, "", append(strings.Fields(args), "--state", state)...)
		if lines := strings.Count(r.out, "\n") - 1; lines != want {
			t.Errorf("%s: %d leases, want %d", args, lines, want)
		}
		if cut := strings.Contains(r.err, "of 2,500 leases"); cut != (want < total) {
			t.Errorf("%s says %q", args, r.err)
		}
	}
	if r := command(t, engine{}, "", "leases", "--only", "foo", "--state", state); r.code != exitUsage || !strings.Contains(r.err, "--only foo: want leased, reserved, expired, declined or all") {
		t.Errorf("a state that is none: %+v", r)
	}
}
