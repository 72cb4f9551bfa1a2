package web

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// upload sends a file as a browser does, with fields as name, value.
func upload(t *testing.T, server http.Handler, path, name, content string, fields ...string) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		_ = form.WriteField(fields[i], fields[i+1])
	}
	if name != "" {
		w, err := form.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(content))
	}
	_ = form.Close()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, &body)
	return do(t, server, req, echo.HeaderContentType, form.FormDataContentType())
}

const someCSV = "address,mac,note\n10.9.4.0,52:54:00:00:00:00,\n10.9.4.1,52:54:00:00:00:01,\"second floor\"\n10.9.4.2,52:54:00:00:00:02,third\n"

func TestAFileIsShownWholeBeforeAnyOfItIsApplied(t *testing.T) {
	f := newFake(0, 4)
	f.leases[0].Reserved, f.leases[1].Reserved, f.leases[1].Note = true, true, "attic"
	server := serve(f)
	a := upload(t, server, "/leases/import", "office.csv", someCSV)
	for _, want := range []string{"office.csv, CSV: 2 to change, 0 wrong, 1 there already", ">change</span>", ">reserve</span>", "Apply 2 changes", "second floor"} {
		if a.Code != http.StatusOK || !strings.Contains(a.body, want) {
			t.Errorf("%d, without %q: %s", a.Code, want, a.body)
		}
	}
	if got := strings.Join(f.ordered, "; "); got != "import 3, dry true" {
		t.Fatalf("ordered %q", got)
	}
	a = upload(t, server, "/leases/import", "", "", "text", strings.ReplaceAll(someCSV, "\n", "\r\n"), "sure", "yes")
	to := a.Header().Get("Location")
	if a.Code != http.StatusSeeOther || f.leases[1].Note != "second floor" || !f.leases[2].Reserved {
		t.Fatalf("%d: %q, %+v", a.Code, f.ordered, f.leases)
	}
	body := get(t, server, to).body
	if !strings.Contains(body, "2 reservations are imported") {
		t.Errorf("%s: %s", to, body)
	}
	post(t, server, undoOf(t, body))
	if f.leases[1].Note != "attic" || !f.leases[1].Reserved || f.leases[2].Reserved {
		t.Errorf("undone, they are %+v", f.leases)
	}
}

func TestWhatIsWrongWithAFileIsToldByItsLinesAndNothingIsApplied(t *testing.T) {
	f := newFake(0, 4)
	server := serve(f)
	text := "address,mac\n10.9.4.0,52:54:00:00:00:00\n10.9.4.1,\n10.9.4.2\n"
	for _, sure := range []string{"", "yes"} {
		a := upload(t, server, "/leases/import", "office.csv", text, "sure", sure)
		for _, want := range []string{"2 lines are wrong, so nothing is changed", `class="num">3</th>`, "want a hardware address", `class="num">4</th>`, "it has 1 of 2 columns"} {
			if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, want) {
				t.Errorf("%d, without %q: %s", a.Code, want, a.body)
			}
		}
		if strings.Contains(a.body, ">Apply") {
			t.Error("it is offered to be applied")
		}
	}
	if strings.Contains(strings.Join(f.ordered, "; "), "dry false") {
		t.Errorf("it was applied: %q", f.ordered)
	}
	a := upload(t, server, "/leases/import", "x.csv", "name\nnora\n")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "no column address") || !strings.Contains(a.body, "name\nnora") {
		t.Errorf("%d: what was typed, or what is wrong, is lost: %s", a.Code, a.body)
	}
	f.refuse = formError{{Field: "items", Detail: "want at most 10000"}}
	if a = upload(t, server, "/leases/import", "office.csv", someCSV); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Too many rows: want at most 10000.") {
		t.Errorf("%d: %s", a.Code, a.body)
	}
}

func TestALongImportShowsItsFirstLines(t *testing.T) {
	var text strings.Builder
	text.WriteString("address,mac\n")
	for i := range 2000 {
		fmt.Fprintf(&text, "10.9.%d.%d,52:54:00:00:%02x:%02x\n", 8+i/256, i%256, i/256, i%256)
	}
	server := serve(newFake(0, 4))
	a := upload(t, server, "/leases/import", "office.csv", text.String())
	if a.Code != http.StatusOK || strings.Count(a.body, ">reserve</span>") != rowsShown || !strings.Contains(a.body, "and 1,500 more") {
		t.Errorf("%d, %d rows", a.Code, strings.Count(a.body, ">reserve</span>"))
	}
	a = upload(t, server, "/leases/import", "office.csv", text.String(), "sure", "yes")
	body := get(t, server, a.Header().Get("Location")).body
	if !strings.Contains(body, "2,000 reservations are imported") || strings.Contains(body, ">Undo<") {
		t.Errorf("%d: %.2000s", a.Code, body)
	}
}

func TestLeasesAreHadAsAFileAsTheListIsFiltered(t *testing.T) {
	f := newFake(0, 2500)
	f.leases[3].Note = "=HYPERLINK(\"https://evil.example\")"
	server := serve(f)
	a := get(t, server, "/leases/export?format=csv&search=52:54")
	if lines := strings.Count(a.body, "\n"); a.Code != http.StatusOK || lines != 2501 || !strings.HasPrefix(a.Header().Get("Content-Disposition"), `attachment; filename="leases-`) {
		t.Errorf("%d, %d lines, %v", a.Code, lines, a.Header())
	}
	if !strings.Contains(a.body, `"'=HYPERLINK(`) || f.asked[0] != "52:54" {
		t.Errorf("a formula for a spreadsheet, or another list than was asked for (%q)", f.asked)
	}
	if a = get(t, server, "/leases/export?format=json&search=printer-1"); a.Code != http.StatusOK || !strings.HasPrefix(a.body, `{"items": [`) {
		t.Errorf("%d %.200s", a.Code, a.body)
	}
	if body := get(t, server, "/leases?search=printer&sort=-name").body; !strings.Contains(body, `href="/leases/export?format=csv&amp;search=printer&amp;sort=-name"`) {
		t.Errorf("the list doesn't lead there: %s", body)
	}
	if a = get(t, server, "/leases/export?format=exe"); a.Code != http.StatusNotFound {
		t.Errorf("as a program: %d", a.Code)
	}
	if a = get(t, serve(f, func(o *Options) { o.Who = viewer }), "/leases/import"); a.Code == http.StatusOK {
		t.Error("a viewer is offered an import")
	}
}
