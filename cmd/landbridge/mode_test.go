package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/store"
)

func onEth1() api.ModeSetup { return api.ModeSetup{Mode: api.ModeRouter, LanPort: "eth1"} }

func somePorts() []api.LANPort {
	return []api.LANPort{
		{Name: "eth0", MAC: "52:54:00:00:00:01", Up: true, Modes: []api.Mode{api.ModeHybrid}, Why: "LAN port eth0 carries this host's default route"},
		{Name: "eth1", MAC: "52:54:00:00:00:02", Modes: []api.Mode{api.ModeRouter, api.ModeHybrid}},
	}
}

func TestModeShowsWhatWaitsAndWhichPortsThereAre(t *testing.T) {
	status := api.ModeStatus{
		Now: onEth1(), Ports: somePorts(),
		Pending: api.ModePending{To: onEth1(), Back: api.ModeSetup{Mode: api.ModeInterface}, State: api.ModePendingStateWaiting, SecondsLeft: 43},
		Last:    api.ModeOutcome{To: onEth1(), Back: api.ModeSetup{Mode: api.ModeInterface}, Outcome: api.ModeOutcomeKindRolledBack, Why: "nobody confirmed it within 1m0s", At: time.Now().Add(-2 * time.Minute)},
	}
	state := daemon(t, map[string]any{"GET /api/v1/mode": status})
	r := command(t, engine{}, "", "mode", "--state", state)
	want := `Mode           router mode on eth1
Switch         to router mode on eth1: waits for landbridge mode confirm for another 43s, then goes back to interface mode
Last switch    to router mode on eth1, 2m ago, rolled back to interface mode: nobody confirmed it within 1m0s

PORT  LINK  MAC                LAN PORT IN     WHY NOT
eth0  up    52:54:00:00:00:01  hybrid          LAN port eth0 carries this host's default route
eth1  down  52:54:00:00:00:02  router, hybrid
`
	if r.code != 0 || r.out != want {
		t.Errorf("exit %d %s\n%s\nwant\n%s", r.code, r.err, r.out, want)
	}
}

func TestModeOfAnApplianceThatDoesNotRunIsThatOfTheNextStart(t *testing.T) {
	f := &fakeState{mode: api.ModeStatus{Now: onEth1(), Ports: somePorts()}}
	r := command(t, f.engine(), "", "mode", "--state", t.TempDir())
	if r.code != 0 || !strings.Contains(r.out, "router mode on eth1, at the next start: no appliance is running") || f.closed != 1 {
		t.Errorf("%+v", r)
	}
}

func TestASwitchIsShownBeforeItIsMade(t *testing.T) {
	var asked []api.ModeRequest
	take := func(r *http.Request, answer any) any {
		var req api.ModeRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		asked = append(asked, req)
		return answerOK{answer}
	}
	plan := api.ModePlan{
		From: api.ModeSetup{Mode: api.ModeInterface}, To: onEth1(),
		Steps:   []api.ModeStep{{Action: api.ModeStepActionRemove, Text: "the TAP lb0"}, {Action: api.ModeStepActionMove, Text: "the LAN port eth1"}},
		Notices: []string{"This host has no address any more."},
	}
	status := api.ModeStatus{Now: onEth1(), Pending: api.ModePending{To: onEth1(), Back: api.ModeSetup{Mode: api.ModeInterface}, State: api.ModePendingStateWaiting, SecondsLeft: 90}}
	state := daemon(t, map[string]any{
		"POST /api/v1/mode/plan":   func(r *http.Request) any { return take(r, plan) },
		"POST /api/v1/mode/switch": func(r *http.Request) any { return take(r, status) },
	})
	t.Setenv("SSH_CONNECTION", "198.51.100.9 50000 192.0.2.7 22")
	r := command(t, engine{}, "", "mode", "set", "router", "--lan-port", "eth1", "--timeout", "90s", "--state", state)
	want := `From interface mode to router mode on eth1:
  remove  the TAP lb0
  move    the LAN port eth1
What hosts will notice:
  This host has no address any more.

The appliance is in router mode on eth1 now, verified. Keep it within 1m 30s:
  sudo landbridge mode confirm
Otherwise it goes back to interface mode by itself.
`
	if r.code != 0 || r.out != want {
		t.Errorf("exit %d %s\n%s\nwant\n%s", r.code, r.err, r.out, want)
	}
	order := api.ModeRequest{Mode: "router", LanPort: "eth1", TimeoutSeconds: 90, Operator: api.OperatorConnection{Local: "192.0.2.7", Remote: "198.51.100.9"}}
	if len(asked) != 2 || asked[0] != order || asked[1] != order {
		t.Errorf("asked %+v", asked)
	}
}

func TestASwitchIsConfirmedOrRolledBack(t *testing.T) {
	ended := func(kind api.ModeOutcomeKind) answerOK {
		return answerOK{api.ModeStatus{Now: onEth1(), Configured: api.ModeSetup{Mode: api.ModeInterface}, Last: api.ModeOutcome{Outcome: kind}}}
	}
	state := daemon(t, map[string]any{
		"POST /api/v1/mode/confirm":  ended(api.ModeOutcomeKindConfirmed),
		"POST /api/v1/mode/rollback": ended(api.ModeOutcomeKindRolledBack),
		"POST /api/v1/mode/plan":     api.Problem{Status: 422, Detail: "lanPort: want at most 15 characters", Errors: []api.FieldError{{Field: "lanPort", Detail: "want at most 15 characters"}}},
	})
	if r := command(t, engine{}, "", "mode", "confirm", "--state", state); r.code != 0 || r.out != "The appliance is in router mode on eth1 and stays so, also after restarts.\n" ||
		!strings.Contains(r.err, "says interface mode, which doesn't count until it is changed") {
		t.Errorf("confirm: %+v", r)
	}
	if r := command(t, engine{}, "", "mode", "rollback", "--state", state); r.code != 0 || r.out != "The appliance is in router mode on eth1 again.\n" {
		t.Errorf("rollback: %+v", r)
	}
	if r := command(t, engine{}, "", "mode", "plan", "router", "--lan-port", "a-very-long-name", "--state", state); r.code != 1 || r.err != "landbridge: --lan-port: want at most 15 characters\n" {
		t.Errorf("plan: %+v", r)
	}
}

func TestRecoverSaysWhatItHasPutRight(t *testing.T) {
	e := engine{recover: func(_ string, log *slog.Logger) error {
		log.Info("removed the bridge that a former run left", "bridge", "lbbr0", "port", "eth1")
		log.Debug("of no interest")
		return nil
	}}
	if r := command(t, e, "", "recover", "--state", t.TempDir()); r.code != 0 || r.out != "" || r.err != "removed the bridge that a former run left (bridge lbbr0, port eth1)\n" {
		t.Errorf("%+v", r)
	}
	e.recover = func(string, *slog.Logger) error { return nil }
	if r := command(t, e, "", "recover", "--state", t.TempDir()); r.code != 0 || !strings.HasPrefix(r.out, "Nothing was left") {
		t.Errorf("%+v", r)
	}
	e.recover = func(string, *slog.Logger) error { return store.ErrInUse }
	if r := command(t, e, "", "recover", "--state", t.TempDir()); r.code != 0 || r.err != "" || !strings.HasPrefix(r.out, "An appliance is running") {
		t.Errorf("beside an appliance: %+v", r)
	}
}

func TestTheOperatorsConnectionIsFoundThroughSudo(t *testing.T) {
	for value, ok := range map[string]bool{"198.51.100.9 50000 192.0.2.7 22": true, "": false, "198.51.100.9 50000": false} {
		c, is := parseSSH(value)
		if is != ok || ok && (c.Local != "192.0.2.7" || c.Remote != "198.51.100.9") {
			t.Errorf("%q: %+v, %t", value, c, is)
		}
	}
	if got := parentOf(os.Getpid()); got != os.Getppid() {
		t.Errorf("parent of this process: %d, want %d", got, os.Getppid())
	}
	if got := parentOf(-1); got != 0 {
		t.Errorf("parent of no process: %d", got)
	}
}
