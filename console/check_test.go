package console

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"landbridge/console/api"
)

// only asks for a check.
func only(r *http.Request) { r.Header.Set(api.CheckHeader, "true") }

func TestWhatIsOnlyCheckedIsNotDone(t *testing.T) {
	f := &fake{}
	p := atDoor(t, newServer(t, f), everybody)
	p.setUp()
	before := func() string {
		users, err := p.server.users.Users()
		tokens := 0
		if _, body := p.ask("GET", "/api/v1/tokens", ""); strings.Contains(string(body), `"id"`) {
			tokens++
		}
		name, _ := f.Name()
		return strings.Join([]string{name, string(rune('0' + len(users))), string(rune('0' + tokens))}, " ") + reflect.ValueOf(err).String()
	}
	was := before()
	bodies := map[string]string{
		"createGroup": `{"name":"office","prefix":"10.9.0.0/16"}`, "reserveLease": `{"mac":"02:00:00:00:00:01"}`, "renameLease": `{"name":"nora"}`, "noteLease": `{"note":"x"}`,
		"createUser": `{"name":"vera","role":"viewer","password":"correct horse battery"}`, "changePassword": `{"current":"x","new":"another horse battery"}`,
		"createToken": `{"name":"x","role":"viewer"}`, "renameAppliance": `{"name":"lisbon"}`,
		"setAcme":      `{"names":["a.example.com"],"publish":"acme-dns","url":"https://auth.example.com","subdomain":"a","username":"b","password":"c"}`,
		"registerHost": `{}`, "setGroupSettings": `{"version":0}`, "joinGroup": `{"token":"lb1abc"}`, "planMode": `{"mode":"interface"}`, "planSegment": `{"serve":"open"}`,
	}
	checked := 0
	for _, op := range api.Operations() {
		if op.Method == http.MethodGet || op.Role == "anyone" {
			continue
		}
		path := strings.NewReplacer(":address", "10.9.0.7", ":group", "a", ":member", "b", ":mac", "02:00:00:00:00:01", ":user", testName, ":token", "t", ":name", "n", ":invitation", "i").Replace(op.Path)
		body, known := bodies[op.ID]
		if op.Check != known {
			t.Errorf("%s: x-check is %t: this test wants a body for each", op.ID, op.Check)
		}
		if !known {
			body = "{}"
		} else {
			checked++
		}
		res, answer := p.ask(op.Method, path, body, only)
		switch {
		case op.Check && res.StatusCode != http.StatusNoContent:
			t.Errorf("%s: %d %s", op.ID, res.StatusCode, answer)
		case !op.Check && res.StatusCode < 400:
			t.Errorf("%s can't be checked, and was answered %d %s", op.ID, res.StatusCode, answer)
		}
	}
	if len(f.ordered)+len(f.created)+len(f.left)+len(f.removed)+len(f.switched)+f.restarts > 0 || before() != was {
		t.Errorf("something was done: %q, %v; %s, then %s", f.ordered, f.created, was, before())
	}
	if len(f.checked)+len(f.set) != 6 || checked != len(bodies) {
		t.Errorf("checked were %q", f.checked)
	}
	if _, body := p.ask("GET", "/api/v1/audit", ""); strings.Contains(string(body), "createUser") || strings.Contains(string(body), "renameLease") {
		t.Errorf("the audit log has what wasn't done: %s", body)
	}
}

func TestACheckSaysWhatWouldBeRefused(t *testing.T) {
	f := &fake{}
	p := atDoor(t, newServer(t, f), everybody)
	p.setUp()
	for path, c := range map[string]struct{ method, body, field string }{
		"/api/v1/users":                            {"POST", `{"name":"no ra","role":"viewer","password":"correct horse battery"}`, "name"},
		"/api/v1/session/password":                 {"PUT", `{"current":"x","new":"short"}`, "new"},
		"/api/v1/groups":                           {"POST", `{"name":"","prefix":"10.9.0.0/16"}`, "name"},
		"/api/v1/leases/10.9.0.7/name":             {"PUT", `{"name":"` + strings.Repeat("x", 64) + `"}`, "name"},
		"/api/v1/hosts/" + strings.Repeat("a", 33): {"PUT", `{}`, "mac"},
		"/api/v1/join":                             {"POST", `{"token":""}`, "token"},
		"/api/v1/mode/plan":                        {"POST", `{"mode":""}`, "mode"},
		"/api/v1/leases/nowhere/reservation":       {"PUT", `{}`, "address"},
	} {
		res, body := p.ask(c.method, path, c.body, only)
		if res.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
			continue
		}
		if got := problemIn(t, body).Errors; len(got) != 1 || got[0].Field != c.field {
			t.Errorf("%s: %+v", path, got)
		}
	}
}
