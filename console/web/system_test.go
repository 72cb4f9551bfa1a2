package web

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// admin is who decides on everything.
func admin(echo.Context) Who { return Who{Name: "admin", Role: "administrator", CSRF: "token"} }

// asAdmin serves to an administrator, with problems that name fields.
func asAdmin(o *Options) { o.Who = admin; named(o) }

func TestDangerousActsAskForThePasswordAndAreDoneWithIt(t *testing.T) {
	for path, fields := range map[string][]string{
		"/members/remove":           {"group", "office", "member", "porto"},
		"/system/users":             {"name", "otto", "role", "operator", "password", "battery staple"},
		"/system/users/vera":        {"do", "role", "role", "operator"},
		"/system/users/vera/remove": nil,
		"/system/tokens":            {"name", "ci", "role", "viewer", "days", "30"},
		"/system/backup":            nil,
		"/system/totp":              nil,
		"/system/totp/remove":       nil,
		"/system/tokens/t1":         nil,
		"/system/restart":           nil,
		"/system/restore/forget":    nil,
		"/system/update/forget":     nil,
		"/system/update/rollback":   nil,
		"/system/certificate/reset": nil,
		"/system/certificate/renew": nil,
		AcmePath + "/end":           nil,
	} {
		f := newFake(2, 0)
		f.careful = true
		server := serve(f, asAdmin)
		for _, password := range []string{"", "wrong"} {
			a := post(t, server, path, append(fields, againPassword, password)...)
			if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Your password, once more") || !strings.Contains(a.body, `action="`+path+`"`) {
				t.Fatalf("%s with the password %q: %d %s", path, password, a.Code, a.body)
			}
			if (password != "") != strings.Contains(a.body, "is not your password") {
				t.Errorf("%s with the password %q doesn't say whether it was wrong", path, password)
			}
			for i := 0; i < len(fields); i += 2 {
				if kept := strings.Contains(a.body, `name="`+fields[i]+`" value="`+fields[i+1]+`"`); kept == (fields[i] == "password") {
					t.Errorf("%s: the field %s is in the page: %t", path, fields[i], kept)
				}
			}
		}
		a := post(t, server, path, append(fields, againPassword, "correct horse")...)
		if a.Code >= 400 || strings.Contains(a.body, "once more") {
			t.Errorf("%s with the password: %d %s", path, a.Code, a.body)
		}
	}
}

func TestWhoHasAnAuthenticatorMayShowItsCode(t *testing.T) {
	f := newFake(0, 0)
	f.careful, f.totp = true, true
	server := serve(f, asAdmin)
	if a := post(t, server, "/system/backup"); !strings.Contains(a.body, `name="`+againCode+`"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a := post(t, server, "/system/backup", againCode, "123456"); a.body != "the state" {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestWhatIsWrongWithAUserIsSaidAndPasswordsAreNeverInAPage(t *testing.T) {
	f := newFake(0, 0)
	server := serve(f, asAdmin)
	a := post(t, server, "/system/users", "name", "otto", "role", "operator", "password", "geheim123")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-password"`) || !strings.Contains(a.body, `value="otto"`) ||
		!strings.Contains(a.body, `value="operator" selected`) || strings.Contains(a.body, "geheim123") {
		t.Errorf("%d %s", a.Code, a.body)
	}
	a = post(t, server, "/system/users/vera", "do", "role", "role", "king")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-role"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	a = post(t, server, "/system/password", "current", "wrong one", "new", "battery staple", "again", "battery staple")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-current"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	a = post(t, server, "/system/password", "current", "correct horse", "new", "battery staple", "again", "battery stable")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-again"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	a = post(t, server, "/system/password", "current", "correct horse", "new", "battery staple", "again", "battery staple")
	if a.Code != http.StatusSeeOther || a.Header().Get("Set-Cookie") == "" {
		t.Errorf("%d %v: the session's new cookie is wanted", a.Code, a.Header())
	}
}

func TestUsersAreMadeChangedAndRemoved(t *testing.T) {
	f := newFake(0, 0)
	server := serve(f, asAdmin)
	post(t, server, "/system/users", "name", "otto", "role", "operator", "password", "battery staple")
	post(t, server, "/system/users/vera", "do", "role", "role", "operator", "password", "not meant")
	post(t, server, "/system/users/vera", "do", "password", "password", "staple battery")
	post(t, server, "/system/users/vera", "do", "totp")
	post(t, server, "/system/users/vera/remove")
	got := fmt.Sprintf("%+v %+v %d", f.created, f.changes, len(f.users))
	if want := "[{Name:otto Password:battery staple Role:operator}] [{Password: RemoveTotp:false Role:operator} {Password:staple battery RemoveTotp:false Role:} {Password: RemoveTotp:true Role:}] 1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if a := get(t, server, "/system/users/vera"); a.Code != http.StatusNotFound {
		t.Errorf("a user who is no more: %d", a.Code)
	}
}

func TestAnAuthenticatorIsEnrolledByItsCode(t *testing.T) {
	server := serve(newFake(0, 0), asAdmin)
	a := post(t, server, "/system/totp")
	if !strings.Contains(a.body, `class="qr"`) || !strings.Contains(a.body, "JBSW Y3DP EHPK 3PXP") {
		t.Fatalf("%d %s", a.Code, a.body)
	}
	a = post(t, server, "/system/totp/confirm", "secret", "JBSWY3DPEHPK3PXP", "uri", "otpauth://totp/x", "code", "000000")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-code"`) || !strings.Contains(a.body, `class="qr"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	a = post(t, server, "/system/totp/confirm", "secret", "JBSWY3DPEHPK3PXP", "uri", "otpauth://totp/x", "code", "123 456")
	if a.Code != http.StatusOK || !strings.Contains(a.body, "abcd-efgh") {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestATokenIsShownOnceAndRevokedAfterAQuestion(t *testing.T) {
	f := newFake(0, 0)
	server := serve(f, asAdmin)
	a := post(t, server, "/system/tokens", "name", "ci", "role", "viewer", "days", "30", "user", "")
	if a.Code != http.StatusOK || !strings.Contains(a.body, "lbt_0123456789") || fmt.Sprintf("%+v", f.made) != "[{Name:ci Role:viewer TTLSeconds:2592000 User:}]" {
		t.Errorf("%d %+v", a.Code, f.made)
	}
	if strings.Contains(get(t, server, "/system").body, "lbt_") {
		t.Error("the token is shown again")
	}
	if a := post(t, server, "/system/tokens", "name", "ci", "role", "viewer", "days", "-1"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-ttlSeconds"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a := get(t, server, "/system/tokens/t1"); !strings.Contains(a.body, "Programs that use it are refused") || len(f.tokens) != 2 {
		t.Errorf("%d, %d tokens", a.Code, len(f.tokens))
	}
	if a := post(t, server, "/system/tokens/t1"); a.Code != http.StatusSeeOther || len(f.tokens) != 1 {
		t.Errorf("%d, %d tokens", a.Code, len(f.tokens))
	}
}

func TestTheAuditLogIsPaged(t *testing.T) {
	server := serve(newFake(0, 0), asAdmin)
	seen := 0
	for path := "/system/audit"; path != ""; {
		body := get(t, server, path).body
		seen += strings.Count(body, `title="switchMode router">switch the mode <span class="mono">router</span>`)
		path = ""
		if m := regexp.MustCompile(`href="(/system/audit\?before=\d+)"`).FindStringSubmatch(body); m != nil {
			path = m[1]
		}
	}
	if seen != 150 {
		t.Errorf("%d of 150 entries seen", seen)
	}
	if a := get(t, server, "/system/audit?before=x"); a.Code != http.StatusNotFound {
		t.Errorf("%d", a.Code)
	}
}

func TestAViewerOfTheSystemSeesWhatIsHis(t *testing.T) {
	body := get(t, serve(newFake(2, 3), func(o *Options) { o.Who = viewer }), "/system").body
	for _, forbidden := range []string{"/system/backup", "/system/audit", `action="/system/users"`, "Certificate"} {
		if strings.Contains(body, forbidden) {
			t.Errorf("%s is offered", forbidden)
		}
	}
	if !strings.Contains(body, "/system/password") || !strings.Contains(body, "/system/tokens") {
		t.Error("a viewer has a password and tokens, too")
	}
}

func TestACertificateIsUploadedOrPastedAndItsKeyIsNeverInAPage(t *testing.T) {
	f := newFake(0, 0)
	f.careful = true
	server := serve(f, asAdmin)
	if a := get(t, server, "/system/certificate"); !strings.Contains(a.body, `name="reauthPassword"`) || !strings.Contains(a.body, "AB:AB") {
		t.Fatalf("the form doesn't ask for the password that will be wanted: %d %s", a.Code, a.body)
	}
	a := postFiles(t, server, "/system/certificate", map[string]string{"certificateFile": "the certificate", "keyFile": "the key"}, againPassword, "wrong")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-reauthPassword"`) || !strings.Contains(a.body, ">the certificate</textarea>") || strings.Contains(a.body, ">the key<") || f.ownCertificate {
		t.Errorf("a wrong password: %d %s", a.Code, a.body)
	}
	a = postFiles(t, server, "/system/certificate", map[string]string{"certificateFile": "the certificate", "keyFile": "another key"}, againPassword, "correct horse")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-key"`) || strings.Contains(a.body, "another key") {
		t.Errorf("a wrong key: %d %s", a.Code, a.body)
	}
	if a := post(t, server, "/system/certificate", "certificate", "the certificate", "key", "the key"); a.Code != http.StatusSeeOther || !f.ownCertificate {
		t.Errorf("pasted, after the password: %d %s", a.Code, a.body)
	}
	if a := get(t, server, "/system/certificate?done=set"); !strings.Contains(a.body, "Example CA") || !strings.Contains(a.body, "Use the self-signed one again") {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestACertificateIsAskedForByACMEAndSecretsAreNeverInAPage(t *testing.T) {
	f := newFake(0, 0)
	f.careful = true
	server := serve(f, asAdmin)
	form := []string{
		"acme-names", "console", "acme-directory", "https://acme.example.com/", "acme-termsAgreed", "yes", "acme-publish", "rfc2136", "acme-server", "ns1.example.com",
		"acme-zone", "example.com", "acme-keyName", "console-key", "acme-secret", "c2VjcmV0IHNlY3JldA==", "acme-waitSeconds", "5", "acme-url", "https://auth.example.com", "acme-password", "other secret",
	}
	if a := get(t, server, AcmePath); a.Code != http.StatusOK || !strings.Contains(a.body, `name="reauthPassword"`) || !strings.Contains(a.body, "acme-v02.api.letsencrypt.org") {
		t.Fatalf("the empty form: %d %s", a.Code, a.body)
	}
	for password, said := range map[string]string{"wrong": `id="wrong-reauthPassword"`, "correct horse": `id="wrong-names"`} {
		a := post(t, server, AcmePath, append(form, againPassword, password)...)
		if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, said) || !strings.Contains(a.body, `value="ns1.example.com"`) || strings.Contains(a.body, "c2VjcmV0") || strings.Contains(a.body, "other secret") || f.acme != nil {
			t.Errorf("with the password %q: %d %s", password, a.Code, a.body)
		}
	}
	if a := checkForm(t, server, AcmePath, form...); a.Code != http.StatusOK || !strings.Contains(a.body, "is no name in DNS") || f.acme != nil {
		t.Errorf("as it is typed: %d %s", a.Code, a.body)
	}
	form[1], form[17] = "console.example.com\nwww.example.com", "a moment"
	if a := post(t, server, AcmePath, form...); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-waitSeconds"`) || f.acme != nil {
		t.Errorf("a wait that is none: %d %s", a.Code, a.body)
	}
	form[17] = "5"
	if a := post(t, server, AcmePath, form...); a.Code != http.StatusSeeOther || f.acme == nil || len(f.acme.Names) != 2 || f.acme.Secret != "c2VjcmV0IHNlY3JldA==" || f.acme.WaitSeconds != 5 || f.acme.URL != "" || f.acme.Password != "" {
		t.Fatalf("%d %s: %+v", a.Code, a.body, f.acme)
	}
	if a := get(t, server, AcmePath+"?done=set"); strings.Contains(a.body, "c2VjcmV0") || !strings.Contains(a.body, "LE-SA-v1.5.pdf") || !strings.Contains(a.body, "renewed by itself") {
		t.Errorf("%d %s", a.Code, a.body)
	}
	form[7] = "acme-dns"
	if a := post(t, server, AcmePath, form...); a.Code != http.StatusSeeOther || f.acme.URL != "https://auth.example.com" || f.acme.WaitSeconds != 5 || f.acme.Server != "" {
		t.Errorf("by acme-dns: %d %s: %+v", a.Code, a.body, f.acme)
	}
	f.acmeFails = true
	for _, path := range []string{AcmePath, "/system/certificate"} {
		if a := get(t, server, path); !strings.Contains(a.body, "BADSIG") {
			t.Errorf("%s doesn't say why it fails: %s", path, a.body)
		}
	}
	if a := post(t, server, AcmePath+"/end"); a.Code != http.StatusSeeOther || f.acme != nil {
		t.Errorf("the end: %d %s", a.Code, a.body)
	}
}

func TestTheApplianceIsRenamedAndRestarted(t *testing.T) {
	server := serve(newFake(0, 0), asAdmin)
	if a := post(t, server, "/system/name", "name", "two words"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-name"`) || !strings.Contains(a.body, `value="two words"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a := post(t, server, "/system/name", "name", "porto"); a.Code != http.StatusSeeOther || !strings.Contains(a.Header().Get("Location"), "about=porto") {
		t.Errorf("%d %v", a.Code, a.Header())
	}
	if a := get(t, server, "/system/restart"); !strings.Contains(a.body, `action="/system/restart"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a := post(t, server, "/system/restart"); a.Code != http.StatusAccepted || !strings.Contains(a.body, `data-await="/system"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestABackupIsCheckedLookedAtAndRestored(t *testing.T) {
	f := newFake(0, 0)
	f.careful = true
	server := serve(f, asAdmin)
	upload := func(text, password string) answer {
		t.Helper()
		return postFiles(t, server, "/system/restore", map[string]string{"file": text}, "csrf", "token", againPassword, password)
	}
	if a := upload("the copy", "wrong"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-reauthPassword"`) || f.waiting != nil {
		t.Errorf("a wrong password: %d %s", a.Code, a.body)
	}
	if a := upload("no copy", "correct horse"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "no whole copy") {
		t.Errorf("no copy: %d %s", a.Code, a.body)
	}
	if a := upload("the copy", ""); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.body)
	}
	if a := get(t, server, "/system/restore"); !strings.Contains(a.body, "is gone") || !strings.Contains(a.body, "no member of it any more") || !strings.Contains(a.body, "vera (viewer)") {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a := post(t, server, "/system/restore/apply", "id", "another"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "uploaded meanwhile") {
		t.Errorf("another one: %d %s", a.Code, a.body)
	}
	if a := post(t, server, "/system/restore/apply", "id", f.waiting.ID); a.Code != http.StatusAccepted || !strings.Contains(a.body, `data-await="/login"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if post(t, server, "/system/restore/forget"); f.waiting != nil {
		t.Error("it isn't forgotten")
	}
}

// Each operation that the log keeps has words for people, and IDs are told by their names.
func TestTheAuditLogSpeaksOfWhatPeopleDid(t *testing.T) {
	views := New(Options{}).looks().views
	for _, op := range api.Operations() {
		var b bytes.Buffer
		if err := views["audit"].ExecuteTemplate(&b, "audit-word", op.ID); err != nil {
			t.Fatal(err)
		}
		if op.Audit && strings.Contains(b.String(), op.ID) {
			t.Errorf("%s has no words: add it to audit-word", op.ID)
		}
	}
	page := auditPage{names: map[string]string{office: "office", "12D3KooWself": "lisbon"}}
	for target, want := range map[string]string{
		"": "", "router": "router", office: "office", office + "/12D3KooWself": "office / lisbon", strings.Repeat("f", 64): "ffffff…ffffff", "10.9.4.2": "10.9.4.2",
	} {
		if got := page.About(target); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}
