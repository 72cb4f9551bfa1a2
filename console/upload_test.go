package console

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"landbridge/console/access"
)

func TestAFileOfReservationsMayBeLargerThanOtherBodies(t *testing.T) {
	f := &fake{}
	p := atDoor(t, newServer(t, f), everybody)
	p.setUp()
	send := func(path, csrf string, rows int) reply {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		_ = form.WriteField("csrf", csrf)
		_ = form.WriteField("text", "address,mac\n"+strings.Repeat("10.9.0.7,02:00:00:00:00:07\n", rows))
		_ = form.Close()
		res, _ := p.ask("POST", path, body.String(), func(r *http.Request) {
			r.Header.Del(access.CSRFHeader)
			r.Header.Set("Content-Type", form.FormDataContentType())
		})
		return res
	}
	if res := send("/leases/import", p.csrf, 9000); res.StatusCode != http.StatusOK {
		t.Errorf("a file of %d KB: %d", 9000*27/1000, res.StatusCode)
	}
	if res := send("/leases/import", "somebody else's", 9000); res.StatusCode != http.StatusForbidden {
		t.Errorf("sent by another site: %d", res.StatusCode)
	}
	if got := slices.DeleteFunc(slices.Clone(f.ordered), func(o string) bool { return !strings.HasPrefix(o, "import") }); len(got) != 1 || !strings.Contains(got[0], "9000 true") {
		t.Errorf("ordered %q", got)
	}
	for path, rows := range map[string]int{"/leases/import": 200_000, "/leases/bulk": 9000} {
		if res := send(path, p.csrf, rows); res.StatusCode == http.StatusOK {
			t.Errorf("%s takes %d KB", path, rows*27/1000)
		}
	}
}
