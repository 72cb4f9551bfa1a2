package web

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestTheOverviewSaysInWordsWhoIsRelayedOrAway(t *testing.T) {
	body := get(t, serve(newFake(12, 3)), "/").body
	for _, want := range []string{
		"2 members relayed: both ends are behind symmetric NATs",
		"1 member away: 198.51.100.5:4860 doesn&#39;t answer",
		"12 of 13 members of office in touch",
		"lead nowhere. <b>What to do:</b> Turn it off, or register the hosts",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the overview doesn't say %q", want)
		}
	}
}

func TestTheOverviewOfAnApplianceInNoGroupSaysSo(t *testing.T) {
	f := newFake(0, 0)
	f.status.Groups, f.groups, f.blocks = nil, nil, nil
	if body := get(t, serve(f), "/").body; !strings.Contains(body, "This appliance is in no network yet") {
		t.Errorf("got %s", body)
	}
}

func TestThePictureShowsEachOfFortyMembersOrSixteenOnAPhoneAndGroupsMore(t *testing.T) {
	for members, want := range map[int][2]int{0: {}, 1: {1, 1}, 3: {3, 3}, 16: {16, 16}, 17: {17, 6}, 40: {40, 6}, 41: {6, 6}, 300: {6, 6}} {
		links := linksOf(somePeers(members), nil)
		for i, narrow := range []bool{false, true} {
			nodes := want[i]
			p := draw(site{Name: "lisbon", Detail: "router", Hosts: someLeases(3), Total: 3}, links, narrow)
			if len(p.Nodes) != nodes {
				t.Errorf("%d members, narrow %t: %d nodes, want %d", members, narrow, len(p.Nodes), nodes)
			}
			dots, alone := 0, 0
			for _, n := range p.Nodes {
				dots += n.Count
				if n.Count == 0 {
					alone++
				}
				if n.Count == 1 || n.Count != len(n.Dots) || n.Count > 0 && n.Dots[0].Name == "" {
					t.Errorf("%d members, narrow %t: a group of %d has the dots %v", members, narrow, n.Count, n.Dots)
				}
				if n.X < 0 || n.X > p.Width || n.Y < 0 || n.Y > p.Height {
					t.Errorf("%d members, narrow %t: %s at %v,%v is outside of %vx%v", members, narrow, n.Name, n.X, n.Y, p.Width, p.Height)
				}
				for _, d := range n.Dots {
					if d.X < 0 || d.X > p.Width || d.Y > p.Height {
						t.Errorf("%d members, narrow %t: a dot at %v is outside of %vx%v", members, narrow, d, p.Width, p.Height)
					}
				}
			}
			if dots+alone != members {
				t.Errorf("%d members, narrow %t: %d dots and %d alone", members, narrow, dots, alone)
			}
		}
	}
}

func TestNodesOfThePictureDontOverlap(t *testing.T) {
	for _, members := range []int{2, 7, 13, 14, 27, 40} {
		p := draw(site{Name: "lisbon"}, linksOf(somePeers(members), nil), false)
		for i, a := range p.Nodes {
			for _, b := range p.Nodes[:i] {
				if gap := a.Y - b.Y; a.X == b.X && gap < 17 && gap > -17 {
					t.Errorf("%d members: %s and %s are %.0f pixels apart", members, a.Name, b.Name, gap)
				}
			}
		}
	}
}

func TestRatesAreMadeOfTwoReadings(t *testing.T) {
	var m meter
	at := time.Unix(1_800_000_000, 0)
	read := func(after time.Duration, tx uint64) rate {
		return m.observe(at.Add(after), []api.Peer{{MemberID: "a", TxBytes: tx, RxBytes: 2 * tx}})["a"]
	}
	if r := read(0, 1000); r.Sum() != 0 {
		t.Errorf("a rate of one reading: %v", r)
	}
	if r := read(4*time.Second, 2000); r.Sent != 2000 || r.Received != 4000 {
		t.Errorf("1000 bytes in 4 s are %v", r)
	}
	if r := read(4100*time.Millisecond, 9000); r.Sent != 2000 {
		t.Errorf("a reading too soon changes the rate: %v", r)
	}
	if r := read(8*time.Second, 10); r.Sum() != 0 {
		t.Errorf("counts that begin anew are %v", r)
	}
	if r := read(time.Hour, 20); r.Sum() != 0 {
		t.Errorf("a rate of an hour is none of now: %v", r)
	}
}

func TestTheBlockMapHasACellForEachAddress(t *testing.T) {
	f := newFake(0, 70)
	body := get(t, serve(f), "/leases").body
	for kind, want := range map[string]int{"leased": 63, "found": 7, "free": 128 + 64 - 70} {
		if got := strings.Count(body, `<rect class="`+kind+`"`); got != want {
			t.Errorf("%d cells are %s, want %d", got, kind, want)
		}
	}
	if !strings.Contains(body, `aria-label="10.9.4.3, camera-yard-1"`) {
		t.Error("a cell must say who uses the address")
	}
}

func TestOfManyLeasesABlockIsDrawnWhenItIsAskedFor(t *testing.T) {
	f := newFake(0, 5000)
	server := serve(f)
	if body := get(t, server, "/leases").body; strings.Contains(body, `<rect class="leased"`) {
		t.Error("5000 addresses are drawn")
	}
	body := get(t, server, "/leases?block=10.9.5.64%2F26").body
	if got := strings.Count(body, `<rect class="leased"`) + strings.Count(body, `<rect class="found"`); got != 64 {
		t.Errorf("%d of 64 addresses of the block are drawn", got)
	}
}

func TestLeasesAreSearchedAndPagedByTheAPI(t *testing.T) {
	f := newFake(0, 120)
	server := serve(f)
	body := get(t, server, "/leases?search=printer-1&group=", "HX-Request", "true", "HX-Target", "list").body
	if f.asked[0] != "printer-1" || !strings.Contains(body, "printer-12") || strings.Contains(body, "nas-1<") {
		t.Errorf("asked for %q, got %s", f.asked, body)
	}
	if body := get(t, server, "/leases?search=printer").body; strings.Contains(body, "Next page") {
		t.Error("twelve leases need no second page")
	}
	if body := get(t, server, "/leases").body; !strings.Contains(body, `href="/leases?cursor=more-50"`) {
		t.Error("there is no way to the next page")
	}
	if a := get(t, server, "/leases/10.200.0.1"); a.Code != http.StatusNotFound {
		t.Errorf("a lease that isn't there: %d", a.Code)
	}
}

func TestWhatIsWrongWithAFormIsSaidBesideTheField(t *testing.T) {
	f := newFake(2, 0)
	server := serve(f, func(o *Options) {
		o.Problem = func(err error) api.Problem {
			return api.Problem{Status: 422, Detail: err.Error(), Errors: []api.FieldError{{Field: "addresses", Detail: "want HOST:PORT"}}}
		}
	})
	f.err = errors.New("an address can't be used")
	a := post(t, server, "/network/hosts", "mac", "52:x")
	if a.Code != http.StatusUnprocessableEntity {
		t.Errorf("%d", a.Code)
	}
	f.err = nil
	a = post(t, server, "/network/hosts", "mac", "52:x")
	if !strings.Contains(a.body, `value="52:x"`) || !strings.Contains(a.body, sentence(errNoMAC.Error())) {
		t.Errorf("what was typed, or what is wrong with it, is lost: %s", a.body)
	}
	a = post(t, server, "/members/invite", "group", office, "hours", "never")
	if a.Code != http.StatusUnprocessableEntity || !regexp.MustCompile(`aria-invalid="true" aria-describedby="wrong-ttlSeconds"`).MatchString(a.body) || len(f.invited) > 0 {
		t.Errorf("%d, invited %v", a.Code, f.invited)
	}
}

func TestARemovalSaysItsEffectBeforeItIsDone(t *testing.T) {
	f := newFake(3, 0)
	server := serve(f)
	if a := get(t, server, "/members/remove?group=office&member=porto"); !strings.Contains(a.body, "Its hosts lose the network") || !strings.Contains(a.body, "It relays</strong> between this appliance and madrid") {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if len(f.removed) > 0 {
		t.Fatal("it was removed by being asked about")
	}
	a := post(t, server, "/members/remove", "group", "office", "member", "porto", "reason", " closed ")
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/members?removed=porto" || !strings.HasSuffix(f.removed[0], " closed") {
		t.Errorf("%d %v, removed %v", a.Code, a.Header(), f.removed)
	}
}

func TestASwitchOfTheModeGoesByPlanAndWaitsForItsConfirmation(t *testing.T) {
	f := newFake(2, 0)
	server := serve(f)
	a := post(t, server, "/network/plan", "mode", "interface", "lanPort", "enp3s0")
	if !strings.Contains(a.body, "Hosts of the LAN lose the network") || len(f.switched) > 0 {
		t.Fatalf("%d, switched %v: %s", a.Code, f.switched, a.body)
	}
	a = post(t, server, "/network/switch", "mode", "hybrid", "lanPort", "enp3s0", "timeoutSeconds", "30")
	if a.Code != http.StatusSeeOther || fmt.Sprint(f.switched) != "[{false enp3s0 hybrid { } 30}]" {
		t.Errorf("%d, switched %v", a.Code, f.switched)
	}
	f.mode.Pending = api.ModePending{
		To: api.ModeSetup{Mode: api.ModeHybrid, LanPort: "enp3s0"}, Back: f.mode.Now, State: api.ModePendingStateWaiting,
		Deadline: time.Now().Add(30 * time.Second), SecondsLeft: 30,
	}
	if body := get(t, server, "/network").body; !strings.Contains(body, "Keep it") || !strings.Contains(body, "Roll back now") || !strings.Contains(body, "data-until=") {
		t.Errorf("a switch that waits isn't shown: %s", body)
	}
}

func TestAViewerIsOfferedNothingThatIsNotHis(t *testing.T) {
	server := serve(newFake(2, 0), func(o *Options) { o.Who = viewer })
	for path, forbidden := range map[string]string{"/members": "Remove<", "/network": "/network/plan\" class=\"actions", "/": "Log in"} {
		if body := get(t, server, path).body; strings.Contains(body, forbidden) || strings.Contains(body, "Make the invitation") || strings.Contains(body, "Register</button>") {
			t.Errorf("%s offers a viewer what he may not do", path)
		}
	}
}

func TestTheDocumentIsShownWhole(t *testing.T) {
	body := get(t, serve(newFake(1, 1)), "/api").body
	d, err := readDocument(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	operations := 0
	for _, s := range d.Sections {
		for _, op := range s.Operations {
			operations++
			if !strings.Contains(body, `id="op-`+op.ID+`"`) || len(op.Answers) == 0 {
				t.Errorf("%s isn't shown, or without its answer", op.ID)
			}
		}
	}
	if documented := strings.Count(string(api.Document()), "operationId:"); operations != documented {
		t.Errorf("%d operations shown of %d", operations, documented)
	}
	for _, m := range regexp.MustCompile(`href="#((?:type|op|tag)-[^"]+)"`).FindAllStringSubmatch(body, -1) {
		if !strings.Contains(body, `id="`+m[1]+`"`) {
			t.Errorf("#%s leads nowhere", m[1])
		}
	}
}

func TestTheLookIsKeptAndLeadsNowhereElse(t *testing.T) {
	server := serve(newFake(1, 1))
	for back, want := range map[string]string{"/leases?search=a": "/leases?search=a", "//evil.example/": "/", "https://evil.example/": "/", `/\evil.example`: "/"} {
		a := post(t, server, "/theme", "theme", "dark", "back", back)
		if got := a.Header().Get("Location"); got != want || !strings.Contains(a.Header().Get("Set-Cookie"), "theme=dark") {
			t.Errorf("back to %q: %q, %v", back, got, a.Header())
		}
	}
	if body := get(t, server, "/", "Cookie", "theme=dark").body; !strings.Contains(body, `data-theme="dark"`) {
		t.Error("the cookie plays no part")
	}
}

func TestALeaseIsChangedFromItsPage(t *testing.T) {
	f := newFake(0, 3)
	server := serve(f)
	if body := get(t, server, "/leases/10.9.4.2").body; !strings.Contains(body, "nobody at other sites reaches it") || !strings.Contains(body, "named printer-1") {
		t.Errorf("effects or history are missing: %s", body)
	}
	for path, done := range map[string]string{"reserve": "no site gives this address", "name": "called nora now", "evict": "Evicted. At its next renewal the host"} {
		a := post(t, server, "/leases/10.9.4.2/"+path, "mac", "52:54:00:00:00:02", "name", "nora")
		to := a.Header().Get("Location")
		if a.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/leases/10.9.4.2?deed=") || !strings.Contains(get(t, server, to).body, done) {
			t.Errorf("%s: %d %v", path, a.Code, a.Header())
		}
	}
	slices.Sort(f.ordered)
	if got := strings.Join(f.ordered, ", "); got != "evict 10.9.4.2, rename 10.9.4.2 nora, reserve 10.9.4.2 52:54:00:00:00:02" {
		t.Errorf("ordered %s", got)
	}
	f.refuse = errors.New("a name is a DNS label")
	if a := post(t, server, "/leases/10.9.4.2/name", "name", "no ra"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `value="no ra"`) || !strings.Contains(a.body, "A name is a DNS label.") {
		t.Errorf("%d: what was typed, or why not, is lost", a.Code)
	}
	if a := post(t, server, "/leases", "address", "10.9.4.77", "mac", "52:54:00:00:00:0z"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `value="52:54:00:00:00:0z"`) {
		t.Errorf("%d: what was typed is lost", a.Code)
	}
	if body := get(t, serve(f, func(o *Options) { o.Who = viewer }), "/leases/10.9.4.2").body; strings.Contains(body, "Evict") {
		t.Error("a viewer is offered what he may not do")
	}
}

func TestAReservationKeepsTheNameAndTheNoteThatOperatorsGave(t *testing.T) {
	f := newFake(0, 1)
	server := serve(f)
	body := get(t, server, "/leases/10.9.4.0").body
	if strings.Contains(body, `type="hidden" name="name"`) {
		t.Error("the host's own name would become an operator's")
	}
	f.leases[0].Name, f.leases[0].HostName, f.leases[0].Note = "printer", "h2", "second floor"
	body = get(t, server, "/leases/10.9.4.0").body
	for _, want := range []string{`type="hidden" name="name" value="printer"`, `type="hidden" name="note" value="second floor"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s: it would be dropped", want)
		}
	}
}

func TestTheOrderOfLeasesTurnsRound(t *testing.T) {
	server := serve(newFake(0, 3))
	for path, want := range map[string]string{
		"/leases": `aria-sort="ascending"><a id="by-address" href="/leases?sort=-address"`, "/leases?sort=name": `aria-sort="ascending"><a id="by-name" href="/leases?sort=-name"`,
		"/leases?sort=-name": `aria-sort="descending"><a id="by-name" href="/leases?sort=name"`,
	} {
		if body := get(t, server, path).body; !strings.Contains(body, want) {
			t.Errorf("%s has no %s", path, want)
		}
	}
}

func TestLeasesOfOneSiteAreHadByTheMemberThatServesThem(t *testing.T) {
	f := newFake(2, 3)
	id := f.peers[1].MemberID
	body := get(t, serve(f), "/leases?sort=name&site="+id).body
	if f.sites[0] != "all "+id || !strings.Contains(body, `<option value="`+id+`" selected>madrid</option>`) || !strings.Contains(body, ">Site</th>") {
		t.Errorf("asked for %q: %s", f.sites, body)
	}
}
