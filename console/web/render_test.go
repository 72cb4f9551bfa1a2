package web

import (
	"fmt"
	"testing"
)

func TestNobodyIsSentToAnotherSite(t *testing.T) {
	for _, to := range []string{"", "leases", "//evil.example/", "https://evil.example/", `/\evil.example/`, `\\evil.example/`} {
		if got := localPath(to); got != "/" {
			t.Errorf("%q goes to %q", to, got)
		}
	}
	for r := range rune(0x80) {
		if r >= ' ' && r < 0x7f {
			continue
		}
		for _, to := range []string{"/%c/evil.example/", "/%cevil.example/", "%c//evil.example/"} {
			if got := localPath(fmt.Sprintf(to, r)); got != "/" {
				t.Errorf(to+" with %U goes to %q", r, r, got)
			}
		}
	}
	for _, to := range []string{"/", "/leases?search=a%20b&page=2", "/members#porto", "/leases?search=zürich"} {
		if got := localPath(to); got != to {
			t.Errorf("%q goes to %q", to, got)
		}
	}
}
