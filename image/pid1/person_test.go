package pid1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"landbridge/console/api"
	"landbridge/image/hardware"
	"landbridge/image/userdata"
)

// fakeHands note what they are asked for.
type fakeHands struct {
	did  []string
	fail error
}

func (h *fakeHands) note(format string, args ...any) error {
	h.did = append(h.did, fmt.Sprintf(format, args...))
	return h.fail
}

func (h *fakeHands) Page() string { return "the page\n" }

func (h *fakeHands) Network() userdata.Management {
	return userdata.Management{Address: netip.MustParsePrefix("192.0.2.5/24")}
}

func (h *fakeHands) SetNetwork(_ context.Context, file []byte) error {
	d, err := userdata.Parse("settings", file)
	if err != nil {
		return err
	}
	m := d.Management
	return h.note("network %v %v %v %v", m.Port, m.Address, m.Gateway, m.DNS)
}

func (h *fakeHands) ResetPassword(_ context.Context, user, password string) error {
	return h.note("password %s %s", user, password)
}
func (h *fakeHands) Log() []byte                    { return []byte("a line of the log\n") }
func (h *fakeHands) Rollback(context.Context) error { return h.note("rollback") }
func (h *fakeHands) FactoryReset()                  { _ = h.note("factory reset") }
func (h *fakeHands) Restart()                       { _ = h.note("restart") }
func (h *fakeHands) PowerOff()                      { _ = h.note("power off") }

// typing has somebody type this at a terminal, and returns what they saw.
func typing(t *testing.T, h *fakeHands, typed string) string {
	t.Helper()
	var seen strings.Builder
	echo := true
	r := &rescue{
		lines: bufio.NewScanner(strings.NewReader(typed)), out: &seen, hands: h, busy: func(bool) {},
		echo: func(on bool) { echo = on },
	}
	r.serve(t.Context())
	if !echo {
		t.Error("what is typed stays unseen")
	}
	return seen.String()
}

func TestAPersonAtTheScreenGetsWhatTheyChoose(t *testing.T) {
	for name, c := range map[string]struct{ typed, did, seen string }{
		"a static address":    {"\n1\n192.0.2.9/24\neth0\n192.0.2.1\n192.0.2.53 192.0.2.54\n", "network eth0 192.0.2.9/24 192.0.2.1 [192.0.2.53 192.0.2.54]", "The management port is set."},
		"DHCP":                {"\n1\ndhcp\n\n", "network  invalid Prefix invalid IP []", "Now: the first port, 192.0.2.5/24"},
		"a slip":              {"\n1\n192.0.2.9\n\n\n\n", "", "Nothing is changed: "},
		"no change":           {"\n1\n\n", "", "the page"},
		"a password":          {"\n2\nalice\ncorrect horse\ncorrect horse\n", "password alice correct horse", "alice has the new password"},
		"two passwords":       {"\n2\nalice\ncorrect horse\ncorrect house\n", "", "these were two passwords"},
		"the log":             {"\n3\n", "", "a line of the log"},
		"a restart":           {"\n4\n", "restart", ""},
		"the end":             {"\n5\n", "power off", ""},
		"the other version":   {"\n6\nyes\n", "rollback", "restarts with the other version"},
		"not the other":       {"\n6\n\n", "", "Nothing is changed."},
		"a factory reset":     {"\n7\nyes\n", "factory reset", ""},
		"a reset by a slip":   {"\n7\ny\n", "", "Nothing is changed."},
		"no such choice":      {"\n9\n", "", "There is no such choice."},
		"back":                {"\n\n", "", "the page"},
		"an end in the midst": {"\n2\nalice\n", "", ""},
	} {
		h := &fakeHands{}
		seen := typing(t, h, c.typed)
		if got := strings.Join(h.did, ";"); got != c.did || !strings.Contains(seen, c.seen) {
			t.Errorf("%s: did %q, and they saw\n%s", name, got, seen)
		}
	}
}

func TestAPersonIsToldWhatFails(t *testing.T) {
	seen := typing(t, &fakeHands{fail: errors.New("there is no user bob")}, "\n2\nbob\np\np\n")
	if !strings.Contains(seen, "Nothing is changed: there is no user bob") {
		t.Error(seen)
	}
}

func TestThePageSaysWhereTheConsoleIsAndWhatIsWrong(t *testing.T) {
	v := view{version: "v1", urls: []string{"https://192.0.2.5/ (eth0)"}, answers: true, ready: 3 * time.Second}
	v.console = api.Console{Fingerprint: "AA:BB", SetupCode: "1234-5678"}
	v.status = api.Status{Name: "site-a", Mode: "router", Health: []api.HealthItem{{Level: "warning", Text: "No member is reached.\x1b[2J"}}}
	v.warnings = []string{"user-data:3: nonsense"}
	text := v.text()
	for _, want := range []string{"https://192.0.2.5/", "AA:BB", "1234-5678", "No member is reached. [2J", "user-data:3: nonsense", "3.0 s"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "all is well") {
		t.Error("all is said to be well")
	}
	v.console.SetUp, v.warnings, v.status.Health = true, nil, nil
	if text := v.text(); strings.Contains(text, "1234") || !strings.Contains(text, "all is well") {
		t.Error(text)
	}
}

func TestAPageIsShownOnceAndNotToWhoIsInTheMenu(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var one, two strings.Builder
		s := NewScreen(&one, &two)
		page := func(text string) { s.Page(text); synctest.Wait() }
		page("a\n")
		page("a\n")
		s.Use(&one, true)
		page("b\n")
		s.Use(&one, false)
		page("c\n")
		if one.String() != "a\nc\n" || two.String() != "a\nb\nc\n" || s.Latest() != "c\n" {
			t.Errorf("%q, %q, %q", one.String(), two.String(), s.Latest())
		}
	})
}

func TestATerminalThatTakesNothingHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, stuck := io.Pipe()
		var well strings.Builder
		s := NewScreen(stuck, &well)
		for _, text := range []string{"a\n", "b\n", "c\n"} {
			s.Page(text)
			synctest.Wait()
		}
		s.Warn("a matter", "isn't well")
		s.Show("going down")
		synctest.Wait()
		if well.String() != "a\nb\nc\ngoing down\n" {
			t.Errorf("the other saw %q", well.String())
		}
		seen := make([]byte, 100)
		for _, want := range []string{"a\n", "going down\n"} {
			if n, err := gone.Read(seen); err != nil || string(seen[:n]) != want {
				t.Errorf("it sees %q at last, %v, and not %q", seen[:n], err, want)
			}
		}
	})
}

func TestAKeyDoesNotEndTheRescueConsole(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &fakeHands{}
	var seen strings.Builder
	typed := []string{"", "\n" + strings.Repeat("x", 70_000) + "\n", "\n4\n"} // Ctrl-D, noise, restart
	attend(ctx, func() *rescue {
		lines := bufio.NewScanner(strings.NewReader(typed[0]))
		typed = typed[1:]
		return &rescue{lines: lines, out: &seen, hands: h, busy: func(bool) {}, echo: func(bool) {}}
	}, func(context.Context, time.Duration) {
		if len(typed) == 0 {
			cancel()
		}
	})
	if !slices.Equal(h.did, []string{"restart"}) {
		t.Errorf("done: %v, %d still to come", h.did, len(typed))
	}
}

func TestATerminalHeedsNoControlKeys(t *testing.T) {
	term := unix.Termios{Iflag: unix.IXON | unix.IXOFF | unix.ICRNL}
	term.Cc[unix.VEOF], term.Cc[unix.VSTART], term.Cc[unix.VSTOP], term.Cc[unix.VERASE] = 4, 17, 19, 127
	heedless(&term)
	if term.Iflag != unix.ICRNL || term.Cc[unix.VEOF] != 0 || term.Cc[unix.VSTART] != 0 || term.Cc[unix.VSTOP] != 0 || term.Cc[unix.VERASE] != 127 {
		t.Errorf("%+v", term)
	}
}

func TestAWarningEndsWithItsMatter(t *testing.T) {
	s := NewScreen()
	s.Warn("b", "two", "", "three")
	s.Warn("a", "one")
	if diff := cmp.Diff([]string{"one", "two", "three"}, s.Warnings()); diff != "" {
		t.Error(diff)
	}
	s.Warn("b", "")
	if diff := cmp.Diff([]string{"one"}, s.Warnings()); diff != "" {
		t.Error(diff)
	}
}

// fakeProgram is a program that starts slowly and whose group is away at first.
type fakeProgram struct {
	fails  map[string]int // how often each still fails
	did    []string
	groups int
	setUp  bool
}

func (p *fakeProgram) try(what string) error {
	if p.fails[what] > 0 {
		p.fails[what]--
		return errors.New(what + " fails")
	}
	p.did = append(p.did, what)
	return nil
}

func (p *fakeProgram) Console(context.Context) (api.Console, error) {
	if p.fails["console"] > 0 {
		p.fails["console"]--
		return api.Console{}, io.ErrUnexpectedEOF
	}
	return api.Console{SetUp: p.setUp}, nil
}
func (p *fakeProgram) Status(context.Context) (api.Status, error)          { return api.Status{}, nil }
func (p *fakeProgram) SetUp(context.Context, string, string) error         { return p.try("set up") }
func (p *fakeProgram) Groups(context.Context) (int, error)                 { return p.groups, nil }
func (p *fakeProgram) Create(context.Context, userdata.Group) error        { return p.try("create") }
func (p *fakeProgram) Join(context.Context, string) error                  { return p.try("join") }
func (p *fakeProgram) ResetPassword(context.Context, string, string) error { return nil }

func TestTheFirstStartGoesOnUntilAllIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProgram{fails: map[string]int{"console": 3, "set up": 1, "join": 8}}
		var said []string
		f := first{
			told: userdata.Data{Administrator: "alice", PasswordHash: "h", Invitation: "lb1"}, program: p, pause: pause,
			say: func(s string) { said = append(said, s) },
		}
		if !f.do(t.Context()) {
			t.Error("it isn't done")
		}
		if diff := cmp.Diff([]string{"set up", "join"}, p.did); diff != "" {
			t.Error(diff)
		}
		if said[len(said)-1] != "" || !strings.Contains(strings.Join(said, "\n"), "join fails") {
			t.Errorf("people were told %q", said)
		}
	})
}

func TestWhatIsDoneAlreadyIsNotDoneAgain(t *testing.T) {
	p := &fakeProgram{setUp: true, groups: 1}
	f := first{
		told:    userdata.Data{Administrator: "alice", PasswordHash: "h", Create: userdata.Group{Name: "office"}},
		program: p, pause: pause, say: func(string) {},
	}
	if !f.do(t.Context()) || len(p.did) > 0 {
		t.Errorf("it did %v", p.did)
	}
}

func TestTheFirstStartEndsWithTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		f := first{told: userdata.Data{Invitation: "lb1"}, program: &fakeProgram{fails: map[string]int{"join": 1 << 30}}, pause: pause, say: func(string) {}}
		if f.do(ctx) {
			t.Error("what always fails is said to be done")
		}
	})
}

func TestAClockIsSetOnlyWhereItIsFarOff(t *testing.T) {
	for offset, want := range map[time.Duration]correction{
		0: leave, time.Millisecond: leave, -time.Millisecond: leave, 50 * time.Millisecond: slew, -300 * time.Millisecond: slew,
		500 * time.Millisecond: step, -time.Hour: step, 50 * 365 * 24 * time.Hour: step,
	} {
		if got := correct(offset); got != want {
			t.Errorf("%v: %v, want %v", offset, got, want)
		}
	}
}

func TestTheLogKeepsItsLastLines(t *testing.T) {
	r := newRing(1000)
	for i := range 500 {
		_, _ = fmt.Fprintf(r, "line %d\n", i)
	}
	if got := string(r.Last(2)); got != "line 498\nline 499\n" {
		t.Errorf("%q", got)
	}
	if n := len(r.kept); n > 1600 {
		t.Errorf("%d bytes are kept", n)
	}
	if all := string(r.Last(10_000)); !strings.HasSuffix(all, "line 499\n") {
		t.Errorf("%q", all)
	}
}

func TestListeningForNewHardwareEnds(t *testing.T) {
	m := &hardware.Modules{} // of which nothing is asked
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- hotplug(ctx, m, slog.New(slog.DiscardHandler)) }()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Skip(err) // not every sandbox lets one listen
		}
	case <-time.After(30 * time.Second):
		t.Error("it listens on when the machine goes down")
	}
}
