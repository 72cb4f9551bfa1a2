package web

import (
	"net/http"
	"strings"
	"testing"
)

func TestThePageOfNamesShowsNamesAndHowForwardersDo(t *testing.T) {
	server := serve(newFake(2, 3))
	body := get(t, server, "/dns").body
	for _, want := range []string{
		"5 names", "Hosts of porto, rom may be missing", `<span class="tag">alias</span> <span class="mono">nas-1</span>`, `href="/leases/10.9.4.3"`, "an alias has this name: found by address only",
		`href="/dns?cursor=more"`, "corp.example", "everything else", "named by the configuration", "doesn’t answer", "no answer within 700ms", "not asked yet", "Set the alias", `action="/dns/query#dns"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	part := get(t, server, "/dns?search=nas&kind=alias", "HX-Request", "true", "HX-Target", "names").body
	if !strings.Contains(part, "1 name with “nas”") || strings.Contains(part, "<html") || strings.Contains(part, "corp.example") {
		t.Errorf("the part that is brought up to date is %.300s", part)
	}
	if body := get(t, server, "/dns?alias=files&target=nas-1").body; !strings.Contains(body, `name="name" value="files"`) || !strings.Contains(body, `name="target" value="nas-1"`) {
		t.Error("an alias that is to be changed isn't in the form")
	}
	body = get(t, serve(newFake(2, 3), func(o *Options) { o.Who = viewer }), "/dns").body
	if strings.Contains(body, "Set the alias") || strings.Contains(body, "/dns/forwarders") || strings.Contains(body, "/dns/aliases") || !strings.Contains(body, "/dns/query") {
		t.Error("a viewer is offered what he may not do, or not what he may")
	}
}

func TestNamesAreSetFromThePageAndWhatWasDoneIsUndone(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f)
	undone := func(path, said string, fields ...string) {
		t.Helper()
		a := post(t, server, path, fields...)
		to, fragment, _ := strings.Cut(a.Header().Get("Location"), "#")
		if fragment != "main" {
			t.Errorf("the browser stays at the form, and doesn't show what was done: %q", fragment)
		}
		body := get(t, server, to).body
		if a.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/dns?deed=") || !strings.Contains(body, said) {
			t.Fatalf("%s %v: %d %s: %.300s", path, fields, a.Code, to, body)
		}
		if a := post(t, server, "/dns/deeds/"+strings.TrimPrefix(to, "/dns?deed=")+"/undo"); a.Code != http.StatusSeeOther {
			t.Fatalf("undo of %s %v: %d", path, fields, a.Code)
		}
	}
	undone("/dns/aliases", "wiki.office.internal stands for web-2 now", "name", " wiki ", "target", "web-2")
	undone("/dns/aliases", "files.office.internal stands for other now", "name", "files", "target", "other")
	undone("/dns/aliases", "files.office.internal is no alias any more", "name", "files", "do", "remove")
	undone("/dns/forwarders", "Names of lab.example are asked of 10.0.0.1, 10.0.0.2 now", "zone", "lab.example", "servers", "10.0.0.1, 10.0.0.2")
	undone("/dns/forwarders", "Names of corp.example are forwarded no longer", "zone", "corp.example", "do", "remove")
	want := "alias wiki web-2|no-alias wiki|alias files other|alias files nas-1|no-alias files|alias files nas-1|" +
		"zone lab.example 10.0.0.1+10.0.0.2|no-zone lab.example|no-zone corp.example|zone corp.example 10.0.0.53+10.0.0.54:5353"
	if got := strings.Join(f.done, "|"); got != want {
		t.Errorf("done %s\nwant %s", got, want)
	}
	if a := post(t, server, "/dns/deeds/NOSUCH/undo"); a.Code != http.StatusNotFound {
		t.Errorf("undo of nothing: %d", a.Code)
	}
}

func TestWhatIsWrongWithANameIsSaidBesideItsField(t *testing.T) {
	server := serve(newFake(2, 3), named)
	for _, c := range []struct {
		path, field, typed, said string
		fields                   []string
	}{
		{"/dns/aliases", "name", `value="printer-1"`, errTaken.Error(), []string{"name", "printer-1", "target", "web-2"}},
		{"/dns/forwarders", "zone", `value="a b"`, "It is no domain name", []string{"zone", "a b", "servers", "10.0.0.1"}},
	} {
		a := post(t, server, c.path, c.fields...)
		if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `aria-describedby="wrong-`+c.field+`"`) || !strings.Contains(a.body, c.typed) || !strings.Contains(a.body, c.said) {
			t.Errorf("%s: %d: what was typed, or what is wrong with it, is lost", c.path, a.Code)
		}
	}
	a := post(t, server, "/dns/query", "name", "printer-1", "type", "A")
	if a.Code != http.StatusOK || !strings.Contains(a.body, "10.9.4.2") || !strings.Contains(a.body, `value="printer-1"`) {
		t.Errorf("a question: %d", a.Code)
	}
}
