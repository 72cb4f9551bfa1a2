package web

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
	"landbridge/console/leasefile"
	"landbridge/internal/sorting"
)

// ImportPath takes files: bodies larger than those of other pages.
const ImportPath = "/leases/import"

// importPage has a file checked, and asks before it is applied.
type importPage struct {
	Name, Text string // the file, as it was sent
	Format     leasefile.Format
	Rows       []importRow // what is wrong, then what changes; the first of them
	More       int         // rows that aren't shown
	Wrong      int
	Changes    int
	Kept       int // rows that are so already
	Passed     int // entries that are no reservations
	Checked    bool
	Flaws      flaws
}

// importRow is what becomes of a line.
type importRow struct {
	Line int
	api.Reservation
	Action api.ReservationAction
	Why    string
}

// rowsShown is how many lines of an import are shown.
const rowsShown = 500

// Ready reports whether the import can be applied.
func (i importPage) Ready() bool { return i.Checked && i.Wrong == 0 && i.Changes > 0 }

// askImport offers to import a file.
func (p *Pages) askImport(c echo.Context) error {
	if err := p.mayImport(c); err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "import", importPage{})
}

func (p *Pages) mayImport(c echo.Context) error {
	if !p.who(c).Can("operator") {
		return echo.NewHTTPError(http.StatusForbidden, "an import changes reservations: an operator can do it")
	}
	return nil
}

// importFile checks a file whole and shows what it would change; it is applied when the person
// has seen that.
func (p *Pages) importFile(c echo.Context) error {
	if err := p.mayImport(c); err != nil {
		return p.fail(c, err)
	}
	page := importPage{Text: c.FormValue("text"), Name: c.FormValue("filename")}
	if sent, err := c.FormFile("file"); err == nil && sent.Size > 0 {
		f, err := sent.Open()
		if err != nil {
			return p.fail(c, err)
		}
		text, err := io.ReadAll(f)
		_ = f.Close()
		if err != nil {
			return p.fail(c, err)
		}
		page.Name, page.Text = sent.Filename, string(text)
	}
	file, err := leasefile.Read([]byte(page.Text))
	if err != nil {
		page.Flaws = flaws{Fields: map[string]string{"file": err.Error()}}
		return p.show(c, http.StatusUnprocessableEntity, "import", page)
	}
	page.Format, page.Passed = file.Format, file.Passed
	plan, err := p.plan(c, file, true)
	if err != nil {
		page.Flaws = p.importFlaws(err)
		return p.show(c, http.StatusUnprocessableEntity, "import", page)
	}
	changed := page.fill(file, plan)
	if c.FormValue("sure") == "" || !page.Ready() {
		return p.show(c, page.status(), "import", page)
	}
	back := p.undoImport(c, changed)
	if plan, err = p.plan(c, file, false); err != nil || !plan.Applied { // what there was a moment ago has changed
		if err != nil {
			page.Flaws = p.importFlaws(err)
		}
		page.fill(file, plan)
		return p.show(c, http.StatusUnprocessableEntity, "import", page)
	}
	return p.deedDone(c, deed{Do: actImport, Rows: back, Many: plan.Changes, Back: "/leases?state=reserved"})
}

// plan asks the API what an import changes, or to change it.
func (p *Pages) plan(c echo.Context, file leasefile.File, dry bool) (api.ReservationPlan, error) {
	plan, err := ask[api.ImportReservationsRequestObject, api.ImportReservationsResponseObject, api.ImportReservations200JSONResponse](
		c, p.api.ImportReservations, api.ImportReservationsRequestObject{
			Params: api.ImportReservationsParams{DryRun: dry}, Body: &api.ReservationList{Items: file.Reservations()},
		})
	return api.ReservationPlan(plan), err
}

// importFlaws says of the file what the API says of its rows.
func (p *Pages) importFlaws(err error) flaws {
	f, _ := p.flawsOf(err)
	if f.Fields["items"] != "" {
		f.Detail, f.Fields = "", map[string]string{"file": "too many rows: " + f.Fields["items"]}
	}
	return f
}

func (i importPage) status() int {
	if i.Wrong > 0 {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// fill notes what becomes of each line, and returns the rows that change something.
func (i *importPage) fill(file leasefile.File, plan api.ReservationPlan) (changed []importRow) {
	i.Checked, i.Wrong, i.Changes, i.Kept, i.Rows, i.More = true, len(file.Faults), 0, 0, nil, 0
	var wrong []importRow
	for _, f := range file.Faults {
		wrong = append(wrong, importRow{Line: f.Line, Action: api.ReservationActionRefuse, Why: f.Text})
	}
	for _, o := range plan.Items {
		if o.Row < 1 || o.Row > len(file.Rows) {
			continue
		}
		of := file.Rows[o.Row-1]
		row := importRow{Line: of.Line, Reservation: of.Reservation, Action: o.Action, Why: o.Why}
		switch o.Action {
		case api.ReservationActionKeep:
			i.Kept++
		case api.ReservationActionRefuse:
			i.Wrong++
			wrong = append(wrong, row)
		default:
			i.Changes++
			changed = append(changed, row)
		}
	}
	sorting.StablyBy(wrong, func(a, b importRow) int { return a.Line - b.Line })
	i.Rows = append(wrong, changed...)
	if len(i.Rows) > rowsShown {
		i.More, i.Rows = len(i.Rows)-rowsShown, i.Rows[:rowsShown]
	}
	return changed
}

// undoImport notes what takes an import back; nothing where that is more than can be done at
// once.
func (p *Pages) undoImport(c echo.Context, changed []importRow) (rows []outcome) {
	if len(changed) > mostAtOnce {
		return nil
	}
	for _, row := range changed {
		o := order{Do: actReserve, Address: row.Address}
		before, unknown := p.lease(c, row.Address)
		rows = append(rows, outcome{order: o, Host: row.Name, Undo: p.undoOf(o, before, unknown)})
	}
	return rows
}

// exportLeases sends what the list shows, whole, as a file.
func (p *Pages) exportLeases(c echo.Context) error {
	format := leasefile.Format(strings.ToUpper(c.QueryParam("format")))
	kind := map[leasefile.Format]string{leasefile.CSV: "text/csv; charset=utf-8", leasefile.JSON: "application/json"}[format]
	if kind == "" {
		return p.fail(c, echo.NewHTTPError(http.StatusNotFound, "leases are exported as csv or json"))
	}
	q := queryOf(c)
	params := q.params(exportPage)
	page, err := p.leases(c, params) // what is refused is refused before the file begins
	if err != nil {
		return p.fail(c, err)
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, kind)
	h.Set(echo.HeaderContentDisposition, "attachment; filename="+strconv.Quote(fmt.Sprintf("leases-%s.%s", p.now().UTC().Format("2006-01-02"), strings.ToLower(string(format)))))
	begun := false
	err = leasefile.Write(c.Response(), format, func() ([]api.Lease, error) {
		if begun && page.Next == "" {
			return nil, nil
		}
		if begun {
			params.Cursor = page.Next
			if page, err = p.leases(c, params); err != nil {
				return nil, err
			}
		}
		begun = true
		return page.Items, nil
	})
	if err != nil { // a file that ends early must not look whole
		p.log.Error("console page failed", "path", c.Request().URL.Path, "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// exportPage is how many leases an export asks for at a time: as many as the API gives.
const exportPage = 1000
