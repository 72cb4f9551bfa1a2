package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
	"landbridge/internal/config"
)

// plain is the group office at a member that isn't its authority.
func plain() api.Group {
	g := office()
	g.Authority = false
	g.Members[0].Self, g.Members[1].Self = false, true
	return g
}

func TestAMemberLeavesWithoutAQuestionWhereNobodyIsThereToAnswer(t *testing.T) {
	f := &fakeState{groups: []api.Group{plain()}}
	state := "--state=" + t.TempDir()
	for _, args := range [][]string{{}, {"OFFICE"}} {
		f.left = ""
		r := command(t, f.engine(), "", append([]string{state, "group", "leave"}, args...)...)
		if want := plain().ID + " false"; r.code != 0 || f.left != want {
			t.Errorf("leave %v: %+v asked %q, want %q", args, r, f.left, want)
		}
		for _, part := range []string{
			"has left group office", "landbridge group remove site-a", "Given back: 2 blocks", "Not given back: 1 block", "after 7d", "landbridge join",
		} {
			if !strings.Contains(r.out+r.err, part) {
				t.Errorf("leave %v doesn't say %q: %+v", args, part, r)
			}
		}
	}
	f.left = ""
	if r := command(t, f.engine(), "", state, "group", "leave", "lab"); r.code != 1 || f.left != "" || !strings.Contains(r.err, `in no group "lab"`) {
		t.Errorf("another group: %+v", r)
	}
}

func TestTheDaemonIsAskedToLeave(t *testing.T) {
	var asked string
	state := daemon(t, map[string]any{
		"GET /api/v1/groups": api.GroupList{Items: []api.Group{office()}},
		"DELETE /api/v1/groups/" + office().ID: func(r *http.Request) any {
			asked = r.URL.RawQuery
			return api.Departure{GroupName: "office", Name: "site-a", Authority: true, InRoster: true}
		},
	})
	r := command(t, engine{}, "", "--state", state, "group", "leave", "--yes")
	if r.code != 0 || asked != "destroyCA=true" || !strings.Contains(r.err, "CA key is destroyed") || !strings.Contains(r.err, "goes on running, in no group") || strings.Contains(r.err, "group remove") {
		t.Errorf("%+v asked %q", r, asked)
	}
	r = command(t, engine{}, "", "--state", state, "group", "leave", "--yes", "--json")
	var d api.Departure
	if err := json.Unmarshal([]byte(r.out), &d); err != nil || d.Name != "site-a" || r.err != "" {
		t.Errorf("--json: %+v, %v", r, err)
	}
}

func TestTheAuthorityLeavesOnlyWhenItSaysSo(t *testing.T) {
	f := &fakeState{groups: []api.Group{office()}}
	state := "--state=" + t.TempDir()
	r := command(t, f.engine(), "office\n", state, "group", "leave") // standard input is no terminal
	if r.code != 2 || f.left != "" {
		t.Errorf("without --yes: %+v asked %q", r, f.left)
	}
	for _, part := range []string{"CA key of group office", "destroys it for good", "nobody can be invited", "1 other member", "--yes"} {
		if !strings.Contains(r.err, part) {
			t.Errorf("it doesn't say %q: %s", part, r.err)
		}
	}
	if r := command(t, f.engine(), "", state, "group", "leave", "--yes"); r.code != 0 || f.left != office().ID+" true" {
		t.Errorf("with --yes: %+v asked %q", r, f.left)
	}
}

// terminal returns both ends of a pseudo-terminal: the program's and the person's.
func terminal(t *testing.T) (program, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return program, person
}

func TestOnATerminalTheGroupsNameConfirms(t *testing.T) {
	for _, g := range []api.Group{office(), plain()} {
		askedOnATerminal(t, g)
	}
}

func askedOnATerminal(t *testing.T, g api.Group) {
	t.Helper()
	for typed, want := range map[string]int{"Office\n": 0, "yes\n": 1, "\n": 1, "\x04": 1} {
		f := &fakeState{groups: []api.Group{g}}
		in, person := terminal(t)
		if _, err := person.WriteString(typed); err != nil {
			t.Fatal(err)
		}
		var out, errs strings.Builder
		code := execute(t.Context(), []string{"--state", t.TempDir(), "group", "leave"}, streams{in: in, out: &out, err: &errs}, f.engine())
		if code != want || (f.left != "") != (want == 0) || !strings.Contains(errs.String(), "Type the group's name") {
			t.Errorf("%q typed: exit %d, asked %q: %s", typed, code, f.left, &errs)
		}
		if want != 0 && !strings.Contains(errs.String(), "nothing was done") {
			t.Errorf("%q typed: %s", typed, &errs)
		}
	}
}

func TestAnInterruptEndsTheQuestion(t *testing.T) {
	f := &fakeState{groups: []api.Group{office()}}
	in, person := terminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &program{streams: streams{in: in, out: &strings.Builder{}, err: &strings.Builder{}}, engine: f.engine()}
	if err := p.confirm(ctx, office()); err == nil || !strings.Contains(err.Error(), "nothing was done") {
		t.Error(err)
	}
	_, _ = person.WriteString("\n") // ends the read
}

func TestAJoinSaysAsWhomAndWhetherItWasNeeded(t *testing.T) {
	f := &fakeState{already: true}
	state := "--state=" + t.TempDir()
	r := command(t, f.engine(), "", state, "join", "lb1xyz")
	if r.code != 0 || !strings.Contains(r.err, "a member of group office already, as site-a: nothing is changed") {
		t.Errorf("already: %+v", r)
	}
	f.already, f.taken = false, "vm"
	r = command(t, f.engine(), "", state, "join", "lb1xyz")
	if r.code != 0 || !strings.Contains(r.err, "a member of group office now, as site-a.") || !strings.Contains(r.err, "Another member is called vm.") || !strings.Contains(r.err, "--name") {
		t.Errorf("a name that is taken: %+v", r)
	}
	running := daemon(t, map[string]any{"POST /api/v1/join": answerOK{office()}})
	if r := command(t, engine{}, "", "--state", running, "join", "lb1xyz"); r.code != 0 || !strings.Contains(r.err, "already, as site-a") {
		t.Errorf("with the daemon: %+v", r)
	}
}

func TestFieldsOfTheAPIAreNamedAsFlags(t *testing.T) {
	field := func(name, detail string) api.FieldError { return api.FieldError{Field: name, Detail: detail} }
	for want, p := range map[string]api.Problem{
		"--expires: want 1 to 2; --address: must be given": {Detail: "ttlSeconds: want 1 to 2; addresses[0]: must be given",
			Errors: []api.FieldError{field("ttlSeconds", "want 1 to 2"), field("addresses[0]", "must be given")}},
		"prefix 8.8.0.0/16: these are public addresses": {Detail: "prefix 8.8.0.0/16: these are public addresses",
			Errors: []api.FieldError{field("prefix", "prefix 8.8.0.0/16: these are public addresses")}},
		"no such group": {Detail: "no such group"},
	} {
		if got := inFlags(&p).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheVersionIsAFlagToo(t *testing.T) {
	a, b := command(t, engine{}, "", "version"), command(t, engine{}, "", "--version")
	if a != b || a.code != 0 || !strings.HasPrefix(a.out, "landbridge ") {
		t.Errorf("version %+v, --version %+v", a, b)
	}
}

func TestTheDaemonSaysThatItStops(t *testing.T) {
	run := func(signal bool) string {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		e := engine{run: func(context.Context, config.Config, *slog.Logger) error {
			if signal {
				cancel()
			}
			return nil
		}}
		var errs strings.Builder
		if code := execute(ctx, []string{"run"}, streams{in: strings.NewReader(""), out: &errs, err: &errs}, e); code != 0 {
			t.Errorf("exit %d: %s", code, &errs)
		}
		return errs.String()
	}
	if said := run(true); strings.Count(said, "landbridge stops") != 1 || !strings.Contains(said, "a second signal") {
		t.Errorf("it says %q", said)
	}
	if said := run(false); said != "" {
		t.Errorf("it ended by itself, and says %q", said)
	}
}
