package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// Exit codes of landbridge.
const (
	failed = 1
	usage  = 2
)

// refuses runs landbridge, which must exit with code, say one sentence with all of these
// words, and change nothing on the machine.
func (m *machine) refuses(code int, words []string, args ...string) {
	m.t.Helper()
	m.refusesThrough(nil, code, words, args...)
}

func (m *machine) refusesThrough(through []string, code int, words []string, args ...string) {
	m.t.Helper()
	before := m.system()
	began := time.Now()
	r := m.cli(through, args...)
	took := time.Since(began)
	if after := m.system(); after != before {
		m.t.Errorf("%.60s: the machine has changed: %s", strings.Join(args, " "), differences(before, after))
	}
	if r.code != code {
		m.t.Errorf("%.60s: exit %d, want %d: %s", strings.Join(args, " "), r.code, code, r.stderr)
	}
	if r.stdout != "" {
		m.t.Errorf("%.60s: standard output has %q", strings.Join(args, " "), r.stdout)
	}
	if n := strings.Count("\n"+r.stderr, "\nlandbridge: "); n != 1 {
		m.t.Errorf("%.60s: %d lines begin with \"landbridge: \", want one: %s", strings.Join(args, " "), n, r.stderr)
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			m.t.Errorf("%.60s: %q isn't in what it says: %s", strings.Join(args, " "), word, r.stderr)
		}
	}
	for _, noise := range []string{"panic", "goroutine ", "level=INFO", "0x"} {
		if strings.Contains(r.stderr, noise) {
			m.t.Errorf("%.60s: it says %q: %s", strings.Join(args, " "), noise, r.stderr)
		}
	}
	m.t.Logf("%v %.50s: %s", took.Round(10*time.Millisecond), strings.Join(args, " "), strings.TrimSpace(r.stderr))
}

// differences lists the lines that one text has and the other hasn't.
func differences(before, after string) string {
	var b strings.Builder
	for _, side := range []struct {
		sign         string
		these, those string
	}{{"-", before, after}, {"+", after, before}} {
		others := make(map[string]bool)
		for line := range strings.Lines(side.those) {
			others[line] = true
		}
		for line := range strings.Lines(side.these) {
			if !others[line] {
				fmt.Fprintf(&b, "\n%s %s", side.sign, strings.TrimSpace(line))
			}
		}
	}
	return b.String()
}

func TestWrongFlagsAndFilesAreRefused(t *testing.T) {
	t.Parallel()
	lab := netlab.ForTest(t)
	m := newMachine(t, lab.WAN("203.0.113.0/24").Host("m"))
	m.refuses(usage, []string{"unknown flag", "--lan-prot", "did you mean --lan-port?", "--help"}, "run", "--lan-prot", "eth1")
	m.refuses(usage, []string{"unknown", "fly"}, "fly")
	m.refuses(usage, []string{"takes no arguments", "now"}, "run", "now")
	m.refuses(usage, []string{"--mode", "ruter", "interface, router and hybrid"}, "run", "--mode", "ruter")
	m.refuses(usage, []string{"lan-port"}, "run", "--mode", "router")
	m.refuses(usage, []string{"--listen", "4860"}, "run", "--listen", "here")
	m.refuses(usage, []string{"TOKEN"}, "join")
	m.refuses(failed, []string{"prefix", "10.9.0.0/16"}, "group", "create", "--prefix", "10.9.0.0/33")
	m.refuses(failed, []string{"prefix", "10.9.0.0/16"}, "group", "create", "--prefix", "10.9.0.1/16")
	m.refuses(failed, []string{"8.8.0.0/16", "public addresses", "10.0.0.0/8", "--allow-public-prefix"}, "group", "create", "--prefix", "8.8.0.0/16")
	m.refuses(usage, []string{"--expires", "90s"}, "group", "invite", "--expires", "soon")
	m.refuses(usage, []string{"--expires 0s", "1s to 365d"}, "group", "invite", "--expires", "0s")
	m.refuses(failed, []string{"no appliance is running", "landbridge run"}, "status")
	m.refuses(usage, []string{"/run/nothing.yaml"}, "run", "--config", "/run/nothing.yaml")

	if err := m.WriteFile("/etc/landbridge.yaml", []byte(`mode: ruter
lan-prot: eth1
# all right here
listen: "70000"
log-level: debug
announce: 203.0.113.5:4860
log-level: info
`), 0o600); err != nil {
		t.Fatal(err)
	}
	m.refuses(usage, []string{
		"landbridge.yaml:1", `"ruter"`, "landbridge.yaml:2", `did you mean "lan-port"`, "landbridge.yaml:4", `"70000"`,
		"landbridge.yaml:6", "list", "landbridge.yaml:7", "line 5",
	}, "run", "--config", "/etc/landbridge.yaml")
	if err := m.WriteFile("/etc/landbridge.yaml", []byte("mode: [router\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.refuses(usage, []string{"landbridge.yaml:1", "not YAML"}, "run", "--config", "/etc/landbridge.yaml")
}

func TestUnusableStatesAndMissingPrivilegesAreRefused(t *testing.T) {
	t.Parallel()
	lab := netlab.ForTest(t)
	m := newMachine(t, lab.WAN("203.0.113.0/24").Host("m"))
	m.must("group", "create")

	t.Run("missing privilege", func(t *testing.T) {
		m := m.within(t)
		withoutAdmin := []string{"setpriv", "--bounding-set", "-net_admin"}
		m.refusesThrough(withoutAdmin, failed, []string{"CAP_NET_ADMIN", "setcap"}, "run")
		m.exec("sh", "-c", `chown -R 65534:65534 "$0"; chmod 755 "$(dirname "$0")"`, m.state())
		nobody := []string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"}
		m.refusesThrough(nobody, failed, []string{"CAP_NET_ADMIN", "setcap"}, "run")
		m.exec("chown", "-R", "0:0", m.state())
		m.refusesThrough(nobody, failed, []string{m.state(), "root", "--state"}, "run")
		m.refusesThrough(nobody, failed, []string{m.state(), "sudo"}, "group", "create", "--name", "other")
	})
	t.Run("second daemon", func(t *testing.T) {
		m := m.within(t)
		m.start()
		m.address()
		before := m.status()
		m.refuses(failed, []string{"in use by another landbridge", m.state(), "--state"}, "run")
		m.refuses(failed, []string{"in use by another landbridge", m.state(), "--state"}, "run", "--listen", ":4999")
		if after := m.status(); after.StartedAt != before.StartedAt {
			t.Errorf("the first daemon was disturbed: started %v, then %v", before.StartedAt, after.StartedAt)
		}
	})
	t.Run("port in use", func(t *testing.T) {
		// The first still runs; the second has a state of its own.
		other := newMachine(t, m.Host)
		r := other.exec(binary, "run", "--state", m.Dir()+"/other")
		if r.code != failed || !strings.Contains(r.stderr, "4860") || !strings.Contains(r.stderr, "--listen") {
			t.Errorf("exit %d: %s", r.code, r.stderr)
		}
	})
	t.Run("read-only or no directory", func(t *testing.T) {
		other := newMachine(t, m.Host)
		other.exec("sh", "-c", `mkdir -p "$0/ro" && mount -t tmpfs -o ro tmpfs "$0/ro" && echo no >"$0/file"`, m.Dir())
		for _, dir := range []string{m.Dir() + "/ro/state", m.Dir() + "/file", m.Dir() + "/file/state", "/proc/state"} {
			for _, args := range [][]string{{"run"}, {"group", "create"}} {
				r := other.exec(append([]string{binary, "--state", dir}, args...)...)
				if r.code != failed || !strings.Contains(r.stderr, dir) || !strings.Contains(r.stderr, "--state") {
					t.Errorf("state %s: exit %d: %s", dir, r.code, r.stderr)
				}
			}
		}
	})
}

func TestBadInvitationsAreRefused(t *testing.T) {
	t.Parallel()
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	d, other := newMachine(t, wan.Host("d")), newMachine(t, wan.Host("other"))
	d.must("group", "create", "--name", "office")
	expired := d.invite("--ttl", "1s")
	d.start()
	used, good := d.invite(), d.invite().Token
	other.must("join", used.Token)

	m := newMachine(t, wan.Host("m"))
	m.refuses(failed, []string{"used by as many nodes as it admits", "ask the group's authority"}, "join", used.Token)
	m.refuses(failed, []string{"torn", "copy it again"}, "join", good[:len(good)-7])
	m.refuses(failed, []string{"torn", "copy it again"}, "join", good[:40]+flip(good[40])+good[41:])
	m.refuses(usage, []string{"in 2 pieces", "one argument", "join -"}, "join", good[:40], good[40:])
	m.refuses(failed, []string{"not an invitation", "lb1"}, "join", "hello")
	m.refuses(usage, []string{"empty"}, "join", " ")
	waitFor(t, "the end of an invitation", func() (bool, error) { return time.Now().After(expired.Expires.Add(time.Second)), nil })
	m.refuses(failed, []string{"expired", "ask the group's authority"}, "join", expired.Token)

	// A node that is in a group already, with an invitation to one whose addresses overlap.
	third := newMachine(t, wan.Host("third"))
	third.must("group", "create", "--name", "elsewhere", "--prefix", "10.9.0.0/20")
	overlapping := func(token string) {
		t.Helper()
		r := third.cli(nil, "join", token)
		for _, word := range []string{"elsewhere (10.9.0.0/20)", "that of the invitation (10.9.0.0/16)", "overlap", "landbridge group leave", "use the same invitation again"} {
			if r.code != failed || !strings.Contains(r.stderr, word) {
				t.Errorf("join: exit %d, and %q isn't in what it says: %s", r.code, word, r.stderr)
			}
		}
	}
	kept := d.invite().Token
	overlapping(kept)
	third.refuses(failed, []string{"elsewhere (10.9.0.0/20)", "more (10.9.0.0/24)", "overlap"}, "group", "create", "--name", "more", "--prefix", "10.9.0.0/24")
	other.refuses(failed, []string{"CA key", "run the command there"}, "group", "invite")
	third.start()
	third.address()
	overlapping(kept)
	third.refuses(failed, []string{"torn"}, "join", good[:len(good)-7])
	third.refuses(failed, []string{"expired"}, "join", expired.Token)

	// After all that the good one is still good.
	m.must("join", good)
	third.must("group", "leave", "--yes")
	third.must("join", kept)
}

// flip returns another letter of a token's alphabet.
func flip(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

func TestAPrefixThatOverlapsARouteIsRefused(t *testing.T) {
	t.Parallel()
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	d, m := newMachine(t, wan.Host("d")), newMachine(t, wan.Host("m"))
	words := []string{"10.9.0.0/16", "overlaps", "10.9.5.0/24", "eth0"}
	route := func(m *machine, verb string) {
		t.Helper()
		if r := m.exec("ip", "route", verb, "10.9.5.0/24", "dev", "eth0"); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	route(d, "add")
	d.refuses(failed, words, "group", "create", "--prefix", "10.9.0.0/16")
	route(d, "del")
	d.must("group", "create", "--prefix", "10.9.0.0/16")
	d.start()

	route(m, "add")
	token := d.invite().Token
	r := m.cli(nil, "join", token)
	for _, word := range append(words, "same invitation again") {
		if r.code != failed || !strings.Contains(r.stderr, word) {
			t.Errorf("join: exit %d, %q isn't in what it says: %s", r.code, word, r.stderr)
		}
	}
	if r := m.cli(nil, "group", "show"); strings.Contains(r.stdout, "10.9.0.0") {
		t.Errorf("the machine is in the group: %s", r.stdout)
	}
	route(m, "del")
	m.must("join", token) // as it was told to

	route(m, "add")
	m.refuses(failed, words, "run")
	route(m, "del")
	m.start()
}
