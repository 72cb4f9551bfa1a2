package pid1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// cloud is a metadata service. What it answers is by method and path: a status, and the text after it.
type cloud struct {
	answers map[string]string
	asked   []string
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.Method + " " + r.URL.Path
	if token := r.Header.Get("X-Aws-Ec2-Metadata-Token"); token != "" {
		what += " by " + token
	}
	if r.Method == http.MethodPut && r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") == "" {
		what += " for ever"
	}
	c.asked = append(c.asked, what)
	answer, ok := c.answers[what]
	if !ok {
		answer = "404 no such thing"
	}
	status, text, _ := strings.Cut(answer, " ")
	var code int
	_, _ = fmt.Sscan(status, &code)
	if code == http.StatusFound {
		w.Header().Set("Location", text)
	}
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text))
}

// service returns what asks a cloud, and a context that ends when it would ask once more.
func service(t *testing.T, c *cloud) (metadata, context.Context) {
	t.Helper()
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	m := newMetadata()
	m.url, m.pause = s.URL, func(context.Context, time.Duration) { cancel() }
	return m, ctx
}

func TestACloudIsAskedByAToken(t *testing.T) {
	c := &cloud{answers: map[string]string{
		"PUT /latest/api/token": "200 secret", "GET /latest/user-data by secret": "200 mode: interface\n",
		"GET /latest/meta-data/local-hostname by secret": "200 ip-10-0-0-1.internal",
	}}
	m, ctx := service(t, c)
	s, err := m.seed(ctx)
	if err != nil || string(s.userData) != "mode: interface\n" || s.hostName != "ip-10-0-0-1.internal" || s.from == "" || s.state != nil {
		t.Errorf("%+v, %v, asked %v", s, err, c.asked)
	}
}

func TestACloudWithoutTokensIsAskedWithout(t *testing.T) {
	c := &cloud{answers: map[string]string{"GET /latest/user-data": "200 name: a\n"}}
	m, ctx := service(t, c)
	if s, err := m.seed(ctx); err != nil || string(s.userData) != "name: a\n" || s.hostName != "" {
		t.Errorf("%+v, %v, asked %v", s, err, c.asked)
	}
}

func TestACloudThatHasNothingIsNotAskedAgain(t *testing.T) {
	for _, answer := range []string{"404 not found", "200 "} {
		c := &cloud{answers: map[string]string{"PUT /latest/api/token": "200 secret", "GET /latest/user-data by secret": answer}}
		m, ctx := service(t, c)
		if s, err := m.seed(ctx); !errors.Is(err, errNoUserData) || s.from != "" || len(c.asked) != 2 {
			t.Errorf("%q: %+v, %v, asked %v", answer, s, err, c.asked)
		}
	}
}

func TestACloudThatFailsIsAskedAgainAndNotFollowedElsewhere(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("it went elsewhere")
		w.WriteHeader(http.StatusOK)
	}))
	defer elsewhere.Close()
	for name, answers := range map[string]map[string]string{
		"tokens fail":  {"PUT /latest/api/token": "503 later"},
		"it fails":     {"GET /latest/user-data": "500 no"},
		"it refuses":   {"GET /latest/user-data": "401 no"},
		"it redirects": {"GET /latest/user-data": "302 " + elsewhere.URL},
	} {
		c := &cloud{answers: answers}
		m, ctx := service(t, c)
		end, again := m.pause, 2
		m.pause = func(ctx context.Context, d time.Duration) {
			if again--; again < 0 {
				end(ctx, d)
			}
		}
		if s, err := m.seed(ctx); err == nil || errors.Is(err, errNoUserData) || s.from != "" {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if again >= 0 {
			t.Errorf("%s: it was asked no more", name)
		}
	}
}

func TestACloudCanNotFillTheMemory(t *testing.T) {
	c := &cloud{answers: map[string]string{
		"PUT /latest/api/token": "200 " + strings.Repeat("t", 2*largestToken), "GET /latest/user-data": "200 " + strings.Repeat("x", 3*largestText),
		"GET /latest/meta-data/local-hostname": "200 " + strings.Repeat("n", 1000),
	}}
	m, ctx := service(t, c)
	s, err := m.seed(ctx)
	if err != nil || len(s.userData) != largestText+1 || s.hostName != "" {
		t.Errorf("%d bytes, %q, %v", len(s.userData), s.hostName, err)
	}
	if _, taken, wrong := take(t.TempDir(), s); taken || !strings.Contains(strings.Join(wrong, " "), "larger than 16 KiB") {
		t.Errorf("it is taken: %v", wrong)
	}
}

func TestOnlyAMachineOfACloudAsks(t *testing.T) {
	for name, c := range map[string]struct {
		says map[string]string
		want bool
	}{
		"nothing":        {nil, false},
		"QEMU":           {map[string]string{"sys_vendor": "QEMU", "product_name": "Standard PC (i440FX + PIIX, 1996)"}, false},
		"EC2":            {map[string]string{"sys_vendor": "Amazon EC2\n"}, true},
		"EC2 by Xen":     {map[string]string{"sys_vendor": "Xen", "product_uuid": "EC2AB01C-0000", "product_serial": "ec2ab01c-0000"}, true},
		"by chance":      {map[string]string{"product_uuid": "EC2AB01C-0000", "product_serial": "1"}, false},
		"OpenStack":      {map[string]string{"product_name": "OpenStack Nova"}, true},
		"OpenStack now":  {map[string]string{"product_name": "OpenStack Compute"}, true},
		"one that says":  {map[string]string{"product_serial": "ds=ec2"}, true},
		"VMware":         {map[string]string{"sys_vendor": "VMware, Inc.", "product_serial": "VMware-42"}, false},
		"another's name": {map[string]string{"chassis_vendor": "Amazon EC2"}, false},
	} {
		dir := t.TempDir()
		for name, text := range c.says {
			must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		if got := inCloud(dir); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestAPersonWhoHasBegunComesBeforeTheCloud(t *testing.T) {
	none := func(context.Context, time.Duration) {}
	for name, c := range map[string]struct {
		program *fakeProgram
		want    bool
	}{
		"nobody":           {&fakeProgram{fails: map[string]int{"console": 3}}, false},
		"an administrator": {&fakeProgram{setUp: true}, true},
		"a group":          {&fakeProgram{groups: 1}, true},
	} {
		if got := inHands(t.Context(), c.program, none); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestWhatIsToldLaterIsDoneOnce(t *testing.T) {
	note := filepath.Join(t.TempDir(), "applied")
	p := &fakeProgram{}
	f := first{program: p, pause: pause, say: func(string) {}}
	must(t, f.once(t.Context(), note)) // told nothing, or what was wrong
	f.told.Invitation = "lb1"
	for range 2 {
		must(t, f.once(t.Context(), note))
	}
	if !slices.Equal(p.did, []string{"join"}) {
		t.Errorf("it did %v", p.did)
	}
}

func TestAProgramRunsWithOtherArgumentsOnceItIsTold(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	s := &Supervisor{program: "/bin/sh", out: os.Stderr, log: slog.New(slog.DiscardHandler), args: saying(dir, "one")}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	until(t, func() bool { return contents(filepath.Join(dir, "said")) == "one" })
	s.Restart(saying(dir, "two"))
	until(t, func() bool { return contents(filepath.Join(dir, "said")) == "two" })
	if n := s.ends.Load(); n != 0 {
		t.Errorf("it is said to have ended %d times by itself", n)
	}
	cancel()
	<-ended
}

// saying has a shell write a word into a file, and then wait.
func saying(dir, word string) []string {
	return []string{"-c", "echo " + word + " > " + filepath.Join(dir, "said") + "; exec sleep 60"}
}

func until(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it doesn't come to that")
		}
	}
}
