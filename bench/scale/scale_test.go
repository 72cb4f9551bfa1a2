package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// small returns the options of a run that fits into the tests, of the program that
// LANDBRIDGE_BINARY names or else of one built now.
func small(t *testing.T, command string, args ...string) options {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the lab makes network namespaces, which needs root")
	}
	program := os.Getenv("LANDBRIDGE_BINARY")
	if program == "" {
		program = filepath.Join(t.TempDir(), "landbridge")
		if out, err := exec.Command("go", "build", "-trimpath", "-o", program, "landbridge/cmd/landbridge").CombinedOutput(); err != nil {
			t.Fatalf("build the program: %v\n%s", err, out)
		}
	}
	o, err := parse(append([]string{command, "-landbridge", program, "-out", t.TempDir()}, args...))
	if err != nil {
		t.Fatal(err)
	}
	o.out = t.Output()
	return o
}

func TestCostsAreMeasuredAndWritten(t *testing.T) {
	o := small(t, "costs", "-sizes", "5,7", "-rest", "5s", "-pairs", "3")
	o.docs = t.TempDir()
	document := filepath.Join(o.docs, "scale.md")
	page, err := os.ReadFile("../../docs/scale.md")
	if err == nil {
		err = os.WriteFile(document, page, 0o644)
	}
	if err == nil {
		err = run(t.Context(), o)
	}
	if err != nil {
		t.Fatal(err)
	}
	if page, err = os.ReadFile(document); err != nil || !strings.Contains(string(page), "| 5 members | 7 members |") {
		t.Errorf("%v; scale.md reads\n%s", err, page)
	}
	if svg, err := os.ReadFile(filepath.Join(o.docs, "scale.svg")); err != nil || strings.Contains(string(svg), "NaN") {
		t.Errorf("%v; the plot reads\n%s", err, svg)
	}
}

func TestMembersThatAreKilledComeBack(t *testing.T) {
	var said strings.Builder
	o := small(t, "kills", "-members", "6", "-for", "1s", "-seed", "1", "-within", "1m")
	o.out = &said
	if err := run(t.Context(), o); err != nil || !strings.HasSuffix(said.String(), "all 6 leases are as they were\n") {
		t.Errorf("%v\n%s", err, &said)
	}
}

// A daemon that ends by itself ends the run, and is named.
func TestADaemonThatDiesIsNamed(t *testing.T) {
	o := small(t, "kills", "-members", "5", "-for", "1h")
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	g := newGroup(o, stop)
	defer g.close()
	for range 2 {
		if _, err := g.grow(ctx); err != nil {
			t.Fatal(err)
		}
	}
	process, err := os.FindProcess(g.nodes[1].Process())
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
	if cause := context.Cause(ctx); !strings.HasPrefix(cause.Error(), "the daemon of n1 has ended (signal: killed)") {
		t.Errorf("told: %v", cause)
	}
}

func TestTheCommandLineIsChecked(t *testing.T) {
	for _, words := range []string{
		"", "grow", "costs -sizes 10,x", "costs -sizes 30,10", "costs -sizes 1,10", "costs -sizes 10,1000", "costs -rest 1s", "costs -pairs 0",
		"kills -members 3", "kills -pairs 3", "costs more",
	} {
		if _, err := parse(strings.Fields(words)); err == nil {
			t.Errorf("scale %s was taken", words)
		}
	}
}
