package console

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"landbridge/console/access"
	"landbridge/console/api"
)

func TestEveryOperationRefusesWhoMayNot(t *testing.T) {
	f := &fake{panics: true} // what gets as far as the appliance is a fault
	p := atDoor(t, newServer(t, f), everybody)
	p.setUp()
	cookie, csrf := p.cookie, p.csrf
	send := func(op api.Operation, cookie, csrf string) int {
		p.cookie, p.csrf = cookie, csrf
		path := strings.NewReplacer(":group", "a", ":member", "b", ":mac", "c").Replace(op.Path)
		body := ""
		if op.Method != http.MethodGet {
			body = "{}"
		}
		res, _ := p.ask(op.Method, path, body)
		return res.StatusCode
	}
	for _, op := range api.Operations() {
		if op.Role == "anyone" {
			continue
		}
		for name, forged := range map[string]string{
			"none": "", "of another": strings.Repeat("A", len(cookie)), "short": cookie[1:], "long": cookie + "A", "quoted": `"x"`,
		} {
			if code := send(op, forged, csrf); code != http.StatusUnauthorized {
				t.Errorf("%s with the cookie %s: %d, want 401", op.ID, name, code)
			}
		}
		for _, token := range []string{"Bearer lbt_" + strings.Repeat("A", 43), "Bearer ", "Basic YTpi"} {
			p.cookie, p.csrf = cookie, csrf
			res, _ := p.ask(op.Method, op.Path, "", func(r *http.Request) { r.Header.Set("Authorization", token) })
			if res.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s with %s: %d, want 401", op.ID, token, res.StatusCode)
			}
		}
		if op.Method == http.MethodGet {
			continue
		}
		for name, forged := range map[string]string{"none": "", "of another": strings.Repeat("A", len(csrf))} {
			if code := send(op, cookie, forged); code != http.StatusForbidden {
				t.Errorf("%s with the CSRF token %s: %d, want 403", op.ID, name, code)
			}
		}
	}
}

func TestEveryOperationRefusesLesserRoles(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{panics: true}), everybody) // what gets as far as the appliance is a fault
	p.setUp()
	for role, least := range map[string]access.Role{"viewer": access.Viewer, "operator": access.Operator} {
		res, body := p.ask("POST", "/api/v1/users", fmt.Sprintf(`{"name":%q,"role":%q,"password":%q}`, role, role, testPassword))
		if res.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		res, body = p.ask("POST", "/api/v1/tokens", fmt.Sprintf(`{"name":"test","user":%q,"role":%q}`, role, role))
		var made api.NewToken
		if err := json.Unmarshal(body, &made); err != nil || res.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		for _, op := range api.Operations() {
			needed, _ := access.ParseRole(op.Role)
			if needed <= least {
				continue
			}
			res, body := p.ask(op.Method, op.Path, "{}", func(r *http.Request) {
				r.Header.Del("Cookie")
				r.Header.Set("Authorization", "Bearer "+made.Secret)
			})
			if res.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "needs the role "+op.Role) {
				t.Errorf("%s as %s: %d %s", op.ID, role, res.StatusCode, body)
			}
		}
	}
}

func TestWrongRequestsAboutUsersNameTheFieldAndChangeNothing(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	p.setUp()
	for _, tt := range []struct {
		method, path, body string
		status             int
		field              string
	}{
		{"POST", "/api/v1/users", `{"name":"bob","role":"root","password":"` + testPassword + `"}`, 422, "role"},
		{"POST", "/api/v1/users", `{"name":"bob","role":"anyone","password":"` + testPassword + `"}`, 422, "role"},
		{"POST", "/api/v1/users", `{"name":"../x","role":"viewer","password":"` + testPassword + `"}`, 422, "name"},
		{"POST", "/api/v1/users", `{"name":"bob","role":"viewer","password":"bobbobbobb"}`, 201, ""},
		{"POST", "/api/v1/users", `{"name":"eve","role":"viewer","password":"aaaaaaaaaaaa"}`, 422, "password"},
		{"POST", "/api/v1/users", `{"name":"eve","role":"viewer","password":"` + strings.Repeat("ab", 200) + `"}`, 422, "password"},
		{"POST", "/api/v1/users", `{"name":7,"role":"viewer","password":"x"}`, 400, "name"},
		{"POST", "/api/v1/users", `{"name":"eve","role":"viewer","password":"` + testPassword + `","admin":true}`, 400, "admin"},
		{"PATCH", "/api/v1/users/bob", `{"role":"anyone"}`, 422, "role"},
		{"PATCH", "/api/v1/users/bob", `{"password":"short"}`, 422, "password"},
		{"PATCH", "/api/v1/users/nobody", `{"role":"viewer"}`, 404, ""},
		{"DELETE", "/api/v1/users/alice", ``, 409, ""},
		{"PUT", "/api/v1/session/password", `{"current":"wrong","new":"another long one"}`, 422, "current"},
		{"PUT", "/api/v1/session/password", `{"current":"` + testPassword + `","new":"short"}`, 422, "new"},
		{"POST", "/api/v1/session/reauthenticate", `{}`, 422, "password"},
		{"POST", "/api/v1/session/totp/confirm", `{"code":"000000"}`, 409, ""},
		{"POST", "/api/v1/tokens", `{"name":"x","role":"viewer","ttlSeconds":1}`, 422, "ttlSeconds"},
		{"POST", "/api/v1/tokens", `{"name":"x","role":"viewer","user":"nobody"}`, 422, "user"},
		{"POST", "/api/v1/tokens", `{"name":"x","role":"operator","user":"bob"}`, 422, "role"},
		{"DELETE", "/api/v1/tokens/0011", ``, 404, ""},
		{"GET", "/api/v1/audit?limit=0", ``, 422, "limit"},
		{"GET", "/api/v1/audit?before=-1", ``, 422, "before"},
		{"GET", "/api/v1/audit?before=x", ``, 400, "before"},
	} {
		res, body := p.ask(tt.method, tt.path, tt.body)
		if res.StatusCode != tt.status {
			t.Errorf("%s %s %.80s: %d %s", tt.method, tt.path, tt.body, res.StatusCode, body)
		} else if tt.field != "" && (len(problemIn(t, body).Errors) == 0 || problemIn(t, body).Errors[0].Field != tt.field) {
			t.Errorf("%s %s %.80s: the field %s isn't named: %s", tt.method, tt.path, tt.body, tt.field, body)
		}
	}
	if res, body := p.ask("GET", "/api/v1/users", ""); strings.Count(string(body), `"role"`) != 2 {
		t.Errorf("the users are %d %s", res.StatusCode, body)
	}
	if _, body := p.ask("GET", "/api/v1/audit", ""); !strings.Contains(string(body), `"operation":"createUser"`) || strings.Contains(string(body), testPassword) {
		t.Errorf("the audit log: %s", body)
	}
}

func TestASessionsStreamEndsWithIt(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{events: NewEvents()}), everybody)
	p.setUp()
	r, _ := http.NewRequest(http.MethodGet, "https://"+p.addr+"/api/v1/events", nil)
	r.Header.Set("Cookie", access.CookieName+"="+p.cookie)
	res, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if res, _ := p.ask("POST", "/api/v1/logout", ""); res.StatusCode != http.StatusNoContent {
		t.Fatal(res.StatusCode)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = io.Copy(io.Discard, lines) }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the stream goes on after the logout")
	}
}

func TestEveryOperationSaysWhoMayAskForIt(t *testing.T) {
	for _, op := range api.Operations() {
		if _, ok := access.ParseRole(op.Role); !ok {
			t.Errorf("%s: x-role is %q, want anyone, viewer, operator or administrator", op.ID, op.Role)
		}
	}
}

func TestDangerousOperationsWantThePasswordAgain(t *testing.T) {
	harmless := map[string]string{
		"createGroup": "undone by leaving", "createInvitation": "ends, is revoked, and a member is removed", "joinGroup": "undone by leaving",
		"withdrawApplication": "undone by joining again", "setGroupSettings": "set back; hosts have it at their next renewal",
		"planMode": "changes nothing", "setSegment": "set back; hosts keep what they have until their leases end", "switchMode": "undone by itself", "confirmMode": "has begun with a switch", "rollbackMode": "goes back",
		"tryAcme": "what was set up begins sooner", "renameAppliance": "renamed back", "startCapture": "reads, for a minute", "setUp": "takes the setup code", "logIn": "takes the password", "logOut": "ends",
		"reauthenticate": "takes the password", "changePassword": "takes the password",
	}
	for _, op := range api.Operations() {
		aboutAccess := strings.HasPrefix(op.Path, "/api/v1/tokens") || strings.HasPrefix(op.Path, "/api/v1/session")
		if op.Method == http.MethodGet || op.Role != "administrator" && !aboutAccess {
			continue
		}
		if _, ok := harmless[op.ID]; ok == op.Reauth {
			t.Errorf("%s: x-reauth is %v: say in this test why it is harmless, or have it ask for the password", op.ID, op.Reauth)
		}
	}
	for _, op := range api.Operations() {
		if op.ID == "getBackup" && !op.Reauth {
			t.Error("the backup, with all keys in it, is handed out without the password")
		}
	}
}
