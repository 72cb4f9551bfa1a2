package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func (f *fake) CreateGroup(_ context.Context, r api.CreateGroupRequestObject) (api.CreateGroupResponseObject, error) {
	if !strings.Contains(r.Body.Prefix, "/") {
		return nil, &fieldError{"prefix", "want ADDRESS/BITS"}
	}
	f.status.Groups = newFake(0, 0).status.Groups
	return api.CreateGroup201JSONResponse{Name: r.Body.Name}, nil
}

func (f *fake) JoinGroup(_ context.Context, r api.JoinGroupRequestObject) (api.JoinGroupResponseObject, error) {
	if !strings.HasPrefix(r.Body.Token, "lb1") {
		return nil, &fieldError{"token", "this isn't an invitation"}
	}
	f.status.Groups = newFake(0, 0).status.Groups
	return api.JoinGroup201JSONResponse{Name: "office"}, nil
}

func (f *fake) ConfirmMode(context.Context, api.ConfirmModeRequestObject) (api.ConfirmModeResponseObject, error) {
	f.mode.Pending = api.ModePending{}
	return api.ConfirmMode200JSONResponse(f.mode), f.err
}

func (f *fake) RollbackMode(context.Context, api.RollbackModeRequestObject) (api.RollbackModeResponseObject, error) {
	if f.mode.Pending.To.Mode == "" {
		return nil, errors.New("no switch waits to be confirmed")
	}
	f.mode.Pending = api.ModePending{}
	return api.RollbackMode200JSONResponse(f.mode), f.err
}

// groupless is an appliance whose administrator was made a moment ago.
func groupless() *fake {
	f := newFake(0, 0)
	f.status.Groups, f.groups, f.blocks = nil, nil, nil
	return f
}

func TestTheWizardListsWhatIsNotWellWithTheMachine(t *testing.T) {
	f := groupless()
	server := serve(f, asAdmin)
	const heading = "What isn't well with this machine"
	if strings.Contains(get(t, server, "/start").body, heading) || strings.Contains(get(t, server, "/setup").body, "with this machine") {
		t.Error("it says that something isn't well, and all is")
	}
	f.status.Health = []api.HealthItem{
		{Component: "dhcp", Text: "something else"},
		{Component: "machine", Text: "user-data:2: mode: <b>bridge</b> is none\nuser-data:3: dns: no\nNothing of it is applied."},
	}
	body := get(t, server, "/start").body
	for _, want := range []string{heading, "<li>user-data:2: mode: &lt;b&gt;bridge", "<li>user-data:3: dns: no</li>", "<li>Nothing of it is applied.</li>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the wizard doesn't say %q", want)
		}
	}
	if strings.Contains(body, "something else") {
		t.Error("it lists what is of others")
	}
	f.stranger = true
	if body := get(t, server, "/setup").body; !strings.Contains(body, "with this machine") || strings.Contains(body, "user-data:2") {
		t.Errorf("a stranger reads %s", body)
	}
}

func TestWhoComesToAnApplianceThatIsSetUpIsLedToTheOverview(t *testing.T) {
	f := newFake(2, 3)
	f.waits = nil
	server := serve(f, asAdmin)
	if a := get(t, server, "/start"); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/" {
		t.Errorf("the first steps, of an appliance that is in a group: %d to %s", a.Code, a.Header().Get("Location"))
	}
	f.mode.Pending = api.ModePending{To: api.ModeSetup{Mode: api.ModeRouter, LanPort: "enp3s0"}}
	for _, path := range []string{"/start", "/start?step=hosts", "/start?done=group"} {
		if a := get(t, server, path); a.Code != http.StatusOK {
			t.Errorf("%s, while a switch waits to be confirmed: %d to %s", path, a.Code, a.Header().Get("Location"))
		}
	}
}

func TestTheFirstStepsLeadFromNoGroupToTheFirstHost(t *testing.T) {
	f := groupless()
	server := serve(f, asAdmin)
	step := func(want, path string) {
		t.Helper()
		a := get(t, server, path)
		if a.Code != http.StatusOK || !strings.Contains(a.body, want) || strings.Count(a.body, `aria-current="step"`) != 1 {
			t.Fatalf("%s: %d, want %q in %s", path, a.Code, want, a.body)
		}
	}
	goes := func(want, path string, fields ...string) {
		t.Helper()
		if a := post(t, server, path, fields...); a.Code != http.StatusSeeOther || a.Header().Get("Location") != want {
			t.Fatalf("%s: %d %v, want to go to %s\n%s", path, a.Code, a.Header(), want, a.body)
		}
	}
	step("Create a group", "/start")
	step("Create a group", "/start?step=hosts") // there is no way past it
	goes("/start?done=group", "/start/create", "name", "office", "prefix", "10.9.0.0/16")
	step("This appliance is in its group now", "/start?done=group")
	if a := post(t, server, "/start/plan", "mode", "router", "lanPort", "enp3s0"); !strings.Contains(a.body, `action="/start/switch"`) || !strings.Contains(a.body, `aria-current="step"`) {
		t.Fatalf("%d %s", a.Code, a.body)
	}
	goes("/start", "/start/switch", "mode", "router", "lanPort", "enp3s0", "timeoutSeconds", "60")
	f.mode.Pending = api.ModePending{
		To: api.ModeSetup{Mode: api.ModeRouter, LanPort: "enp3s0"}, Back: f.mode.Now, State: api.ModePendingStateWaiting,
		Deadline: time.Now().Add(time.Minute), SecondsLeft: 60,
	}
	step(`action="/start/confirm"`, "/start?step=hosts") // a switch that waits comes first
	goes("/start?done=confirmed", "/start/confirm")
	step("Waiting for the first host", "/start?done=confirmed")
	f.leases = someLeases(2)
	f.leases[0].Kind = api.LeaseKindOwn // from before the switch, and no host's
	if body := get(t, server, "/start?step=hosts", "HX-Request", "true", "HX-Target", "first").body; strings.Count(body, `class="host"`) != 2 || !strings.Contains(body, "One host has an address") || strings.Contains(body, "<html") {
		t.Errorf("the first host isn't told: %s", body)
	}
}

func TestWhatIsWrongWithAGroupOrAnInvitationIsSaidBesideItsField(t *testing.T) {
	server := serve(groupless(), asAdmin)
	a := post(t, server, "/start/create", "name", "office", "prefix", "10.9")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-prefix"`) || !strings.Contains(a.body, `value="10.9"`) || !strings.Contains(a.body, `value="office"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	a = post(t, server, "/start/join", "token", "a letter")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-token"`) || !strings.Contains(a.body, ">a letter</textarea>") {
		t.Errorf("%d %s", a.Code, a.body)
	}
	a = post(t, server, "/start/rollback")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "No switch waits") {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestModesSayWhatTheyMeanForThePortsThatWereFound(t *testing.T) {
	f := newFake(0, 0)
	ports := f.mode.Ports
	if p := newModePicture(ports, "", api.ModeRouter); p.Port.Name != "enp3s0" || len(p.Fit) != 2 {
		t.Errorf("router mode: %+v", p)
	}
	if p := newModePicture(ports, "enp4s0", api.ModeRouter); p.Port.Name != "enp4s0" {
		t.Errorf("another port is chosen, and the picture shows %s", p.Port.Name)
	}
	if p := newModePicture(ports, "", api.ModeInterface); p.Port.Name != "" || len(p.Fit) != 0 {
		t.Errorf("interface mode: %+v", p)
	}
	f.mode.Ports = f.mode.Ports[3:]
	body := get(t, serve(f, asAdmin), "/network").body
	if !strings.Contains(body, "No port of this host can do that: wlp5s0: it is a wireless station") {
		t.Errorf("why no port fits isn't said: %s", body)
	}
}
