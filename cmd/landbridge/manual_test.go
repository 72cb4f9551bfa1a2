package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestEachCommandHasAPageThatManTakes(t *testing.T) {
	pages := manPages((&program{}).root())
	for _, name := range []string{"landbridge.1", "landbridge-run.1", "landbridge-group-create.1", "landbridge-completion-bash.1"} {
		if pages[name] == "" {
			t.Errorf("no %s among %d", name, len(pages))
		}
	}
	for name, text := range pages {
		for _, part := range []string{".TH ", ".SH NAME\n", ".SH SYNOPSIS\n.B landbridge", ".SH OPTIONS\n"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s has no %q", name, part)
			}
		}
	}
	if run := pages["landbridge-run.1"]; !strings.Contains(run, `.B \-\-lan\-port`) || !strings.Contains(run, ".SH EXAMPLES\n.EX\n") || !strings.Contains(run, `(default /var/lib/landbridge)`) {
		t.Errorf("the page of run is\n%s", run)
	}
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("whether man takes them is seen by groff, which isn't here")
	}
	for name, text := range pages {
		cmd := exec.CommandContext(t.Context(), "groff", "-man", "-ww", "-z", "-Tutf8", "-Kutf8")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func TestTextOfAHelpIsNoRequestOfRoff(t *testing.T) {
	if got, want := manText("a\n.b\n\n  'c\\d -e\nf"), "a\n\\&.b\n.PP\n.EX\n  'c\\ed \\-e\n.EE\nf\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
