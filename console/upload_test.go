package console

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"landbridge/console/access"
)

const large = 5 << 20 // bytes, more than any other body may have

func TestALargeCopyIsTakenFromAnAdministratorAlone(t *testing.T) {
	f := &fake{}
	p := atDoor(t, newServer(t, f), everybody)
	p.setUp()
	body := strings.Repeat("x", large)
	binary := func(r *http.Request) { r.Header.Set("Content-Type", "application/octet-stream") }
	if res, content := p.ask(http.MethodPut, "/api/v1/restore", body, binary); res.StatusCode != http.StatusOK || f.restored != large {
		t.Fatalf("%d bytes of %d: %d %s", f.restored, large, res.StatusCode, content)
	}
	f.restored = 0
	if res, content := p.ask(http.MethodPut, "/api/v1/update", body, binary); res.StatusCode != http.StatusOK || f.restored != large {
		t.Fatalf("an update, %d bytes of %d: %d %s", f.restored, large, res.StatusCode, content)
	}
	f.restored = 0
	if res, _ := p.ask(http.MethodPut, "/api/v1/restore", "x", binary, func(r *http.Request) { r.Header.Del(access.CSRFHeader) }); res.StatusCode != http.StatusForbidden || f.restored != 0 {
		t.Errorf("without the CSRF token: %d", res.StatusCode)
	}
	p.cookie = ""
	if res, _ := p.ask(http.MethodPut, "/api/v1/restore", "x", binary); res.StatusCode != http.StatusUnauthorized || f.restored != 0 {
		t.Errorf("a stranger: %d", res.StatusCode)
	}
}

func TestAFormWithALargeCopyShowsItsTokenFirst(t *testing.T) {
	f := &fake{}
	p := atDoor(t, newServer(t, f), everybody)
	p.setUp()
	form := func(token string) (string, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		_ = w.WriteField("csrf", token)
		part, err := w.CreateFormFile("file", "copy.db")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(part, strings.Repeat("x", large))
		_ = w.Close()
		return b.String(), w.FormDataContentType()
	}
	send := func(token string) reply {
		body, kind := form(token)
		res, _ := p.ask(http.MethodPost, "/system/restore", body, func(r *http.Request) {
			r.Header.Set("Content-Type", kind)
			r.Header.Del(access.CSRFHeader)
		})
		return res
	}
	if res := send(p.csrf); res.StatusCode != http.StatusSeeOther || f.restored != large {
		t.Errorf("%d, %d bytes of %d", res.StatusCode, f.restored, large)
	}
	f.restored = 0
	body, kind := form("AAAA")
	r, err := http.NewRequest(http.MethodPost, "https://"+p.addr+"/system/restore", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Cookie", access.CookieName+"="+p.cookie)
	res, err := p.client.Do(r) // which may have no answer: it isn't read to its end
	if err == nil {
		defer res.Body.Close()
	}
	if err == nil && res.StatusCode != http.StatusForbidden || f.restored != 0 {
		t.Errorf("with another's token: %v %v, %d bytes taken", res, err, f.restored)
	}
}
