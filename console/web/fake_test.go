package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// fake is the API of an appliance that a test makes up.
type fake struct {
	api.StrictServerInterface

	stranger bool // nobody has set it up, and something isn't well with the machine

	status api.Status
	peers  []api.Peer
	blocks []api.Block
	leases []api.Lease
	groups []api.Group
	mode   api.ModeStatus
	hosts  []api.RegisteredHost
	asked  []string // for leases
	sites  []string // of those: site and member
	err    error    // of every operation

	switched []api.ModeRequest
	invited  []api.InvitationCreate
	issued   []api.IssuedInvitation
	revoked  []string
	configured
	left       []string
	decided    []string
	waits      []api.JoinApplication
	applicants []api.Applicant
	removed    []string

	ordered    []string                     // with leases
	past       []api.ListLeaseHistoryParams // asked for
	refuse     error                        // of those orders
	unreadable error                        // why no lease can be read
	found
	broken error // of a file, before it begins
	people
	spoken
	attached
}

func (f *fake) GetStatus(context.Context, api.GetStatusRequestObject) (api.GetStatusResponseObject, error) {
	return api.GetStatus200JSONResponse(f.status), f.err
}

func (f *fake) ListPeers(context.Context, api.ListPeersRequestObject) (api.ListPeersResponseObject, error) {
	return api.ListPeers200JSONResponse{Items: f.peers}, f.err
}

func (f *fake) ListBlocks(context.Context, api.ListBlocksRequestObject) (api.ListBlocksResponseObject, error) {
	return api.ListBlocks200JSONResponse{Items: f.blocks}, f.err
}

func (f *fake) ListGroups(context.Context, api.ListGroupsRequestObject) (api.ListGroupsResponseObject, error) {
	return api.ListGroups200JSONResponse{Items: f.groups}, f.err
}

func (f *fake) ListLeases(_ context.Context, r api.ListLeasesRequestObject) (api.ListLeasesResponseObject, error) {
	f.asked = append(f.asked, r.Params.Search)
	f.sites = append(f.sites, string(r.Params.Site)+" "+r.Params.Member)
	list := api.LeaseList{Items: []api.Lease{}}
	limit, skip := 100, 0
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	fmt.Sscanf(r.Params.Cursor, "more-%d", &skip)
	for _, l := range f.leases {
		if strings.Contains(l.Name+l.Address.String()+l.MAC, r.Params.Search) {
			if list.Total >= skip && len(list.Items) < limit {
				list.Items = append(list.Items, l)
			}
			list.Total++
		}
	}
	if end := skip + len(list.Items); end < list.Total {
		list.Next = fmt.Sprintf("more-%d", end)
	}
	return api.ListLeases200JSONResponse(list), f.err
}

func (f *fake) GetMode(context.Context, api.GetModeRequestObject) (api.GetModeResponseObject, error) {
	return api.GetMode200JSONResponse(f.mode), f.err
}

func (f *fake) PlanMode(_ context.Context, r api.PlanModeRequestObject) (api.PlanModeResponseObject, error) {
	return api.PlanMode200JSONResponse{
		From: f.mode.Now, To: api.ModeSetup{Mode: api.Mode(r.Body.Mode), LanPort: r.Body.LanPort},
		Steps: []api.ModeStep{
			{Action: api.ModeStepActionRemove, Text: "the bridge lbbr0 of enp3s0 and lb0"},
			{Action: api.ModeStepActionKeep, Text: "the TAP lb0, and every session, lease and block"},
			{Action: api.ModeStepActionCreate, Text: "an address of the prefix on lb0, for this host"},
		},
		Notices: []string{"Hosts of the LAN lose the network: nobody answers their DHCP and ARP any more."},
	}, f.err
}

func (f *fake) SwitchMode(_ context.Context, r api.SwitchModeRequestObject) (api.SwitchModeResponseObject, error) {
	f.switched = append(f.switched, *r.Body)
	return api.SwitchMode200JSONResponse(f.mode), f.err
}

func (f *fake) ListHosts(context.Context, api.ListHostsRequestObject) (api.ListHostsResponseObject, error) {
	return api.ListHosts200JSONResponse{Items: f.hosts}, nil
}

func (f *fake) RegisterHost(_ context.Context, r api.RegisterHostRequestObject) (api.RegisterHostResponseObject, error) {
	if strings.Contains(r.MAC, "x") {
		return nil, errNoMAC
	}
	f.registered = append(f.registered, r)
	return api.RegisterHost200JSONResponse{MAC: r.MAC}, f.err
}

func (f *fake) ListInvitations(context.Context, api.ListInvitationsRequestObject) (api.ListInvitationsResponseObject, error) {
	return api.ListInvitations200JSONResponse{Items: slices.Clone(f.issued)}, f.err
}

func (f *fake) RevokeInvitation(_ context.Context, r api.RevokeInvitationRequestObject) (api.RevokeInvitationResponseObject, error) {
	f.revoked = append(f.revoked, r.Invitation)
	return api.RevokeInvitation200JSONResponse{ID: r.Invitation}, f.refuse
}

func (f *fake) ListRequests(context.Context, api.ListRequestsRequestObject) (api.ListRequestsResponseObject, error) {
	return api.ListRequests200JSONResponse{Items: f.applicants}, f.err
}

func (f *fake) ListApplications(context.Context, api.ListApplicationsRequestObject) (api.ListApplicationsResponseObject, error) {
	return api.ListApplications200JSONResponse{Items: f.waits}, f.err
}

func (f *fake) ApproveRequest(_ context.Context, r api.ApproveRequestRequestObject) (api.ApproveRequestResponseObject, error) {
	f.decided = append(f.decided, "approve "+r.Member)
	return api.ApproveRequest200JSONResponse{MemberID: r.Member, Name: "faro"}, f.refuse
}

func (f *fake) DenyRequest(_ context.Context, r api.DenyRequestRequestObject) (api.DenyRequestResponseObject, error) {
	f.decided = append(f.decided, "deny "+r.Member+" "+r.Body.Reason)
	return api.DenyRequest200JSONResponse{MemberID: r.Member, Name: "faro"}, f.refuse
}

func (f *fake) WithdrawApplication(_ context.Context, r api.WithdrawApplicationRequestObject) (api.WithdrawApplicationResponseObject, error) {
	f.decided = append(f.decided, "withdraw "+r.Group)
	f.waits = nil
	return api.WithdrawApplication200JSONResponse{}, f.refuse
}

func (f *fake) CreateInvitation(_ context.Context, r api.CreateInvitationRequestObject) (api.CreateInvitationResponseObject, error) {
	f.invited = append(f.invited, *r.Body)
	return api.CreateInvitation201JSONResponse{
		Token: "lb1" + strings.Repeat("k7fm2", 70), ID: "5b1f0c9a3e7d2846", Group: office, GroupName: "office", Addresses: []string{"203.0.113.7:4860"},
		Uses: max(1, r.Body.Uses), Note: r.Body.Note,
		Expires: time.Now().Add(time.Duration(r.Body.TTLSeconds) * time.Second),
	}, f.err
}

func (f *fake) LeaveGroup(_ context.Context, r api.LeaveGroupRequestObject) (api.LeaveGroupResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	f.left = append(f.left, fmt.Sprint(r.Group, r.Params.DestroyCA))
	return api.LeaveGroup200JSONResponse{Group: r.Group, GroupName: "office"}, f.err
}

func (f *fake) RemoveMember(_ context.Context, r api.RemoveMemberRequestObject) (api.RemoveMemberResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	f.removed = append(f.removed, r.Member+" "+r.Params.Reason)
	return api.RemoveMember200JSONResponse{Group: r.Group, Name: "porto"}, f.err
}

func (f *fake) GetDocument(context.Context, api.GetDocumentRequestObject) (api.GetDocumentResponseObject, error) {
	return api.GetDocument200ApplicationVndOaiOpenapiResponse{Body: bytes.NewReader(api.Document())}, f.err
}

var (
	errAgain = errors.New("give your password again")
)

var errNoMAC = errors.New("want a hardware address such as 52:54:00:12:34:56")

// start is when everything in a fake began.
func start() time.Time { return time.Now().Add(-27 * time.Hour).Truncate(time.Second) }

const office = "6f1d2c3b4a5968778695a4b3c2d1e0f06f1d2c3b4a5968778695a4b3c2d1e0f0"

// newFake makes an appliance with so many other members and leases.
func newFake(members, leases int) *fake {
	f := &fake{status: api.Status{
		MemberID: "12D3KooWself", Name: "lisbon", Version: "v0.9.0", Mode: api.ModeRouter,
		StartedAt: start(), UptimeSeconds: 97_300, Listen: []string{"udp [::]:4860"},
		Observed:   []netip.AddrPort{netip.MustParseAddrPort("203.0.113.7:4860")},
		Attachment: api.Attachment{Tap: "lb0", Bridge: "lbbr0", LanPort: "enp3s0", MTU: 1376, GatewayMAC: "02:4c:42:00:00:01"},
		Memory:     api.Memory{ResidentBytes: 41 << 20, HeapBytes: 12 << 20, Goroutines: 90},
		Groups: []api.GroupStatus{{
			ID: office, Name: "office", Prefix: netip.MustParsePrefix("10.9.0.0/16"), ServiceAddress: netip.MustParseAddr("10.9.0.1"),
			Zone: "office.internal", Authority: true, MembersKnown: members + 1, MembersConnected: members + 1 - (members+3)/9, LeasesServed: leases,
		}},
	}}
	if members > 4 {
		f.status.Health = []api.HealthItem{{
			Level: api.HealthLevelWarning, Component: "dhcp", Since: start(),
			Text:   "Another DHCP server (192.168.7.1) answers on the LAN: hosts may get addresses that lead nowhere.",
			Remedy: "Turn it off, or register the hosts that this appliance is to serve.",
		}}
	}
	f.people, f.spoken, f.configured = somePeople(), someNames(), someSettings()
	f.peers = somePeers(members)
	f.issued, f.applicants = someInvitations(), someApplicants()
	f.hosts = []api.RegisteredHost{{MAC: "52:54:00:aa:bb:01", Configured: true}, {MAC: "52:54:00:aa:bb:02", Since: start(), By: "nora", Group: "aa02", GroupName: "lab", Note: "the oscilloscope"}, {MAC: "52:54:00:aa:bb:03", Configured: true, GroupConfigured: true, Group: "aa02", GroupName: "lab"}, {MAC: "52:54:00:aa:bb:04", Since: start(), Elsewhere: true}}
	f.mode = api.ModeStatus{Now: api.ModeSetup{Mode: api.ModeRouter, LanPort: "enp3s0"}, Ports: []api.LANPort{
		{Name: "enp2s0", MAC: "52:54:00:00:00:02", Up: true, BitsPerSecond: 1e9, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")},
			DefaultRoute: true, Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Modes: []api.Mode{api.ModeHybrid}, Why: "it has addresses and a default route: taking it would cut this host off"},
		{Name: "enp3s0", MAC: "52:54:00:00:00:03", Up: true, BitsPerSecond: 2_500_000_000, Modes: []api.Mode{api.ModeRouter, api.ModeHybrid}},
		{Name: "enp4s0", MAC: "52:54:00:00:00:04", Modes: []api.Mode{api.ModeRouter, api.ModeHybrid}},
		{Name: "wlp5s0", MAC: "52:54:00:00:00:05", Up: true, Why: "it is a wireless station, which no bridge can take"},
	}}
	f.groups = []api.Group{{
		ID: office, Name: "office", Prefix: f.status.Groups[0].Prefix, ServiceAddress: f.status.Groups[0].ServiceAddress,
		Zone: "office.internal", LeaseSeconds: 3600, HoldSeconds: 7 * 24 * 3600, MTU: 1376, DescriptorVersion: 12, Authority: true,
		CertificateExpires: time.Now().Add(61 * 24 * time.Hour),
		Members:            []api.GroupMember{{MemberID: "12D3KooWself", Name: "lisbon", Self: true, Authority: true}},
	}}
	for _, p := range f.peers {
		f.groups[0].Members = append(f.groups[0].Members, api.GroupMember{MemberID: p.MemberID, Name: p.Name, Certificate: someCertificate(len(f.groups[0].Members))})
	}
	f.leases = someLeases(leases)
	if members > 0 {
		f.segments = someSegments()
	}
	for i := 0; i*64 < leases+64; i++ {
		b := api.Block{
			Group: office, Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, byte(4 + i/4), byte(i % 4 * 64)}), 26),
			State: api.BlockStateHeld, Epoch: 3, Size: 64, Used: min(64, max(0, leases-i*64)), Until: time.Now().Add(6 * 24 * time.Hour),
		}
		if b.Used == 0 {
			b.State = api.BlockStateSpare
		}
		f.blocks = append(f.blocks, b)
	}
	return f
}

// someCertificate is the certificate of the nth member: one of nine isn't renewed, one has ended,
// one isn't known.
func someCertificate(n int) api.MemberCertificate {
	age, state := 20, api.MemberCertificateStateGood
	switch n % 9 {
	case 4:
		age, state = 61, api.MemberCertificateStateDue
	case 6:
		age, state = 80, api.MemberCertificateStateLate
	case 7:
		age, state = 91, api.MemberCertificateStateExpired
	case 8:
		return api.MemberCertificate{}
	}
	const day = 24 * time.Hour
	issued := time.Now().Add(-time.Duration(age) * day)
	return api.MemberCertificate{State: state, Issued: issued, Renewal: issued.Add(60 * day), Expires: issued.Add(90*day + 90*time.Minute), Fingerprint: strings.Repeat("5f", 32)}
}

func somePeers(n int) []api.Peer {
	cities := []string{"porto", "madrid", "lyon", "hamburg", "gdansk", "tallinn", "oslo", "bergen", "cork", "leeds", "naples", "sofia"}
	var all []api.Peer
	for i := range n {
		p := api.Peer{
			MemberID: fmt.Sprintf("12D3KooW%036d", i), Name: cities[i%len(cities)], Groups: []string{office}, Connected: true,
			Session: api.SessionStateEstablished, Path: api.PathKindDirect, Cipher: "AES-256-GCM",
			Address:         netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 4860),
			RttMicroseconds: int64(7_300 + 3_100*(i%17)), Since: start(), LastReceived: time.Now(),
			TxPackets: 1e6, TxBytes: uint64(i+1) * 73e6, RxPackets: 2e6, RxBytes: uint64(i+1) * 190e6, Rekeys: 811,
		}
		if i >= len(cities) {
			p.Name = fmt.Sprintf("%s-%d", p.Name, i/len(cities)+1)
		}
		switch i % 9 {
		case 1:
			p.Path, p.Via, p.ViaName = api.PathKindRelay, fmt.Sprintf("12D3KooW%036d", 0), "porto"
			p.Why = "both ends are behind symmetric NATs, which no datagram opens; forward UDP port 4860 at one of them"
		case 2:
			p.Path, p.RttMicroseconds, p.Native = api.PathKindLAN, 310, i == 2
		case 5:
			p.Connected, p.Session, p.Path, p.RttMicroseconds = false, api.SessionStateNone, api.PathKindNone, 0
			p.Why = "198.51.100.5:4860 doesn't answer"
		case 7:
			p.Session, p.Path, p.RttMicroseconds = api.SessionStateNone, api.PathKindNone, 0
		}
		all = append(all, p)
	}
	return all
}

func someLeases(n int) []api.Lease {
	names := []string{"printer", "nas", "anna-laptop", "camera-yard", "till", "build", "phone", "scanner", "thermostat", "desk"}
	all := make([]api.Lease, n)
	addr := netip.MustParseAddr("10.9.4.0")
	for i := range all {
		all[i] = api.Lease{
			Group: office, Address: addr, Name: fmt.Sprintf("%s-%d", names[i%len(names)], i/len(names)+1),
			MAC: fmt.Sprintf("52:54:00:%02x:%02x:%02x", i>>16&0xff, i>>8&0xff, i&0xff), ClientID: fmt.Sprintf("01525400%06x", i),
			Kind: api.LeaseKindDhcp, State: api.LeaseStateLeased, MemberID: "12D3KooWself", MemberName: "lisbon", Segment: "5e91",
			Start: start(), End: time.Now().Add(time.Duration(10+i%50) * time.Minute),
		}
		if i%11 == 3 {
			all[i].Kind, all[i].Found = api.LeaseKindStatic, true
		}
		if low := addr.As4(); i%3 == 1 {
			all[i].Ipv6Address = netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x12, 2: 0x34, 3: 0x56, 4: 0x78, 5: 0x9a, 12: low[0], 13: low[1], 14: low[2], 15: low[3]})
		}
		addr = addr.Next()
	}
	return all
}

// serve returns a server of the pages of f.
func serve(f *fake, change ...func(*Options)) http.Handler {
	o := Options{API: f, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&o)
	}
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc { // as package console does
		return func(c echo.Context) error { SetHeaders(c.Response().Header()); return next(c) }
	})
	New(o).Register(e)
	return e
}

// answer is what a server said.
type answer struct {
	*httptest.ResponseRecorder
	body string
}

// get asks for a page, with headers as name, value.
func get(t *testing.T, server http.Handler, path string, headers ...string) answer {
	t.Helper()
	return do(t, server, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil), headers...)
}

// post sends a form, with fields as name, value.
func post(t *testing.T, server http.Handler, path string, fields ...string) answer {
	t.Helper()
	return postWith(t, server, path, nil, fields...)
}

// postWith sends a form with headers.
func postWith(t *testing.T, server http.Handler, path string, headers []string, fields ...string) answer {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	return do(t, server, req, append(headers, echo.HeaderContentType, echo.MIMEApplicationForm)...)
}

func do(t *testing.T, server http.Handler, req *http.Request, headers ...string) answer {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	server.ServeHTTP(rec, req)
	return answer{rec, rec.Body.String()}
}

// viewer is who may only look.
func viewer(echo.Context) Who { return Who{Name: "vera", Role: "viewer", CSRF: "token"} }
