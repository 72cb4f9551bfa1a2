package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"landbridge/console/api"
)

// pages are those that need no more than a GET.
func pages() []string {
	return []string{"/", "/leases", "/leases/10.9.4.2", "/leases/import", "/leases/history", "/members", "/members/remove?group=office&member=porto", "/groups", "/groups/leave?group=office", "/groups/settings?group=office", "/network", "/network/segment?group=aa01", "/start?step=mode", "/start?step=hosts", "/dns", "/diagnostics", "/system", "/system/audit", "/system/users/vera", "/system/tokens/t1", "/system/certificate", AcmePath, "/api"}
}

func TestAPageIsWholeAndNothingInItIsInline(t *testing.T) {
	server := serve(newFake(12, 30))
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|<script(?:[^>]*)>[^<]|\son[a-z]+=|javascript:|hx-on`)
	for _, path := range pages() {
		a := get(t, server, path)
		body := a.body
		if a.Code != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(body), "</html>") {
			t.Errorf("%s: %d\n%s", path, a.Code, body)
		}
		if found := inline.FindString(body); found != "" {
			t.Errorf("%s has %q, which the policy forbids", path, found)
		}
		if strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "<no value>") {
			t.Errorf("%s has a value that its template can't place", path)
		}
	}
}

func TestWhatAMemberIsCalledCantBecomeMarkup(t *testing.T) {
	f := newFake(3, 3)
	const hostile = `"><script src=//evil.example></script>`
	f.peers[0].Name, f.peers[1].Why, f.leases[0].Name, f.status.Name = hostile, hostile, hostile, hostile
	f.groups[0].Members[1].Name, f.status.Groups[0].Name = hostile, hostile
	server := serve(f)
	for _, path := range pages() {
		if strings.Contains(get(t, server, path).body, "<script src=//") {
			t.Errorf("%s: what is not ours became markup", path)
		}
	}
}

func TestHTMXGetsThePartThatItAsksForAlone(t *testing.T) {
	server := serve(newFake(3, 3))
	part := get(t, server, "/", "HX-Request", "true", "HX-Target", "now").body
	if !strings.HasPrefix(strings.TrimSpace(part), `<div id="now"`) || strings.Contains(part, "<html") {
		t.Errorf("got %.300s", part)
	}
	if !strings.Contains(get(t, server, "/", "HX-Request", "true", "HX-Target", "content").body, "<html") {
		t.Error("a target that is no part must get the page")
	}
}

func TestAssetsAreKeptForGoodUnderTheirHash(t *testing.T) {
	server := serve(newFake(1, 1))
	names := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(get(t, server, "/").body, -1)
	if len(names) < 4 {
		t.Fatalf("only %q", names)
	}
	kept := func(a answer) bool { return strings.Contains(a.Header().Get("Cache-Control"), "immutable") }
	for _, m := range names {
		a := get(t, server, m[1], "Accept-Encoding", "gzip")
		if a.Code != http.StatusOK || !kept(a) {
			t.Errorf("%s: %d, %v", m[1], a.Code, a.Header())
		}
		if strings.HasSuffix(m[1], ".js") && (a.Header().Get("Content-Encoding") != "gzip" || len(a.body) > 25_000) {
			t.Errorf("%s isn't sent compressed: %d bytes", m[1], len(a.body))
		}
	}
	old := regexp.MustCompile(`/assets/[^/]+/`).ReplaceAllString(names[0][1], "/assets/0123456789abcdef/")
	if a := get(t, server, old); a.Code != http.StatusOK || kept(a) {
		t.Errorf("%s: %d, %v: another version's hash must not be kept", old, a.Code, a.Header())
	}
	if a := get(t, server, "/assets/x/../web.go"); a.Code != http.StatusNotFound {
		t.Errorf("a file that is none of the assets: %d", a.Code)
	}
}

func TestPagesInABrowser(t *testing.T) {
	shots := os.Getenv("LANDBRIDGE_SCREENSHOTS")
	if shots == "" {
		t.Skip("LANDBRIDGE_SCREENSHOTS names no directory: made-up networks are looked at by people; internal/e2e looks at real ones")
	}
	names := []string{"/groups/settings?group=office", "settings=/groups/settings?group=office", "/groups/leave?group=office", "leave=/groups/leave?group=office", "/leases/10.9.4.2", "lease=/leases/10.9.4.2", "/leases/import", "import=/leases/import", "/leases/history", "history=/leases/history", "/members/remove?group=office&member=porto", "remove=/members/remove?group=office&member=porto",
		"/system/audit", "audit=/system/audit", "/system/users/vera", "user=/system/users/vera", "/system/tokens/t1", "token=/system/tokens/t1", "/system/certificate/acme", "acme=/system/certificate/acme", "/system/certificate\n", "certificate=/system/certificate\n"}
	paths := strings.Split(strings.NewReplacer(names...).Replace(strings.Join(pages(), "\n")), "\n")
	networks := map[string]*fake{"three": newFake(3, 12), "twelve": newFake(12, 200), "forty": newFake(40, 1), "many": newFake(300, 5000), "alone": newFake(0, 0)}
	networks["twelve"].acme = &api.AcmeSettings{
		Directory: letsEncrypt, Names: []string{"console.lisbon.example.com", "lisbon.example.com"}, Publish: api.AcmePublishRfc2136, TermsAgreed: true,
		Server: "ns1.example.com:53", Zone: "example.com", KeyName: "console", Algorithm: api.TsigAlgorithmHmacSha256, WaitSeconds: 30,
	}
	failing := *networks["twelve"].acme
	networks["many"].acme, networks["many"].acmeFails = &failing, true
	for name, f := range networks {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(serve(f))
			defer server.Close()
			paths := slices.Clone(paths)
			if name == "alone" || name == "forty" { // there is no such lease, or no such member
				paths = slices.DeleteFunc(paths, func(p string) bool { return strings.Contains(p, "10.9.4.2") || strings.Contains(p, "porto") })
			}
			args := append([]string{"../../internal/e2e/browser/pages.mjs", server.URL, filepath.Join(shots, name)}, paths...)
			out, err := exec.CommandContext(t.Context(), "node", args...).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
