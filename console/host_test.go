package console

import (
	"net/http"
	"strings"
	"testing"

	"landbridge/console/access"
)

func TestTheConsoleAnswersByItsOwnNamesAlone(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	for host, want := range map[string]int{
		"192.0.2.7:4861": 200, "[fd00::1]:4861": 200, "[fd00::1]": 200, "localhost:4861": 200, "LOCALHOST.": 200, "site-a": 200, "Site-A.local:4861": 200,
		"evil.example": 421, "site-a.evil.example:4861": 421, "192.0.2.7.evil.example": 421, "localhost.evil.example": 421,
	} {
		for _, path := range []string{"/api/v1/setup", "/setup"} {
			res, body := p.ask(http.MethodGet, path, "", func(r *http.Request) { r.Host = host })
			if res.StatusCode != want || want == 421 && (!strings.Contains(string(body), "console-names") || res.Header.Get("Content-Security-Policy") == "") {
				t.Errorf("%s by %s: %d %s, want %d", path, host, res.StatusCode, body, want)
			}
		}
	}
	r, _ := http.NewRequest(http.MethodGet, "http://"+p.addr+"/", nil)
	r.Host = "evil.example"
	res, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest || res.Header.Get("Location") != "" {
		t.Errorf("by plain HTTP: %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

func TestANameOfACertificateCoversAHost(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"console.example", "console.example"}: true, {"*.example", "console.example"}: true, {"Console.Example", "console.example"}: true,
		{"*.example", "a.console.example"}: false, {"*.example", "example"}: false, {"console.example", "xconsole.example"}: false, {"*", "example"}: false,
	} {
		if got := covers(pair[0], pair[1]); got != want {
			t.Errorf("%s covers %s: %t", pair[0], pair[1], got)
		}
	}
}

// What OWASP ASVS 4.0 asks of sessions at level 2 (chapter 3), as far as a client sees it; console/access
// tests time-outs and what is kept.
func TestSessionsAreAsASVSWants(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	p.setUp()
	login := func(change ...func(*http.Request)) (reply, []byte) {
		return p.ask(http.MethodPost, "/api/v1/login", `{"name":"`+testName+`","password":"`+testPassword+`"}`, change...)
	}
	status := func(cookie string) int {
		res, _ := p.ask(http.MethodGet, "/api/v1/session", "", func(r *http.Request) {
			r.Header.Del("Cookie")
			if cookie != "" {
				r.Header.Set("Cookie", access.CookieName+"="+cookie)
			}
		})
		return res.StatusCode
	}
	before := p.cookie
	res, _ := login()
	c := res.cookies[0]
	for what, ok := range map[string]bool{
		"3.2.1 a login makes a new token":                 c.Value != before && status(c.Value) == 200,
		"3.2.1 and ends that of the session it came from": status(before) == 401,
		"3.2.2 a token has 64 bits or more":               len(c.Value) >= 43,
		"3.4.1 Secure":                                    c.Secure,
		"3.4.2 HttpOnly":                                  c.HttpOnly,
		"3.4.3 SameSite":                                  c.SameSite == http.SameSiteStrictMode,
		"3.4.4 __Host-":                                   strings.HasPrefix(c.Name, "__Host-") && c.Domain == "",
		"3.4.5 Path":                                      c.Path == "/",
		"3.1.1 no token in a URL":                         status("") == 401 && !strings.Contains(res.Header.Get("Location"), c.Value),
		"8.2.1 nothing is cached":                         res.Header.Get("Cache-Control") == "no-store",
	} {
		if !ok {
			t.Errorf("%s: not so (%+v)", what, c)
		}
	}
	p.cookie = c.Value
	_, body := p.ask(http.MethodGet, "/api/v1/session", "")
	p.begin(res, body)
	if out, _ := p.ask(http.MethodPost, "/api/v1/logout", ""); out.StatusCode != http.StatusNoContent || status(c.Value) != 401 {
		t.Errorf("3.3.1: a logout doesn't end the session: %d", out.StatusCode)
	}
}
