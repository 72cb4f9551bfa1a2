package api

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/labstack/echo/v4"
)

// openAPI is the part of the document that the generated code must agree with.
type openAPI struct {
	Paths map[string]map[string]struct {
		OperationID string `yaml:"operationId"`
		Parameters  []struct {
			Name, In string
		}
	}
	Components struct {
		Schemas map[string]schema
	}
}

type schema struct {
	Ref        string `yaml:"$ref"`
	Type       string
	Format     string
	Enum       []string
	Required   []string
	Properties map[string]schema
	Items      *schema
	SkipPtr    *bool `yaml:"x-go-type-skip-optional-pointer"`
}

func readDocument(t *testing.T) openAPI {
	t.Helper()
	var doc openAPI
	if err := yaml.Unmarshal(Document(), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Paths) == 0 || len(doc.Components.Schemas) == 0 {
		t.Fatal("the document has no paths or no schemas")
	}
	return doc
}

func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	e := echo.New()
	RegisterHandlers(e, NewStrictHandler(nil, nil))
	var got, want []string
	for _, r := range e.Routes() {
		got = append(got, r.Method+" "+r.Path)
	}
	server := reflect.TypeFor[StrictServerInterface]()
	for path, methods := range readDocument(t).Paths {
		for method, op := range methods {
			want = append(want, strings.ToUpper(method)+" "+strings.NewReplacer("{", ":", "}", "").Replace(path))
			if _, ok := server.MethodByName(strings.ToUpper(op.OperationID[:1]) + op.OperationID[1:]); !ok {
				t.Errorf("the server interface has no method for %s: run go generate ./console/api", op.OperationID)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("run go generate ./console/api:\nroutes   %q\ndocument %q", got, want)
	}
	if n := server.NumMethod(); n != len(want) {
		t.Errorf("the server interface has %d methods, the document %d operations: run go generate ./console/api", n, len(want))
	}
}

func TestTypesAreThoseOfTheDocument(t *testing.T) {
	types := generatedTypes(t)
	for name, s := range readDocument(t).Components.Schemas {
		got, ok := types[name]
		if !ok {
			t.Errorf("no type for %s: run go generate ./console/api", name)
			continue
		}
		want := slices.Clone(s.Enum)
		for property, p := range s.Properties {
			want = append(want, fmt.Sprintf("%s %s required=%t", property, goKind(p), slices.Contains(s.Required, property)))
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: run go generate ./console/api:\ncode     %q\ndocument %q", name, got, want)
		}
		delete(types, name)
	}
	for name := range types {
		t.Errorf("the type %s is not in the document: run go generate ./console/api", name)
	}
}

// goKind returns the Go type that the generator makes of a property.
func goKind(s schema) string {
	switch {
	case s.SkipPtr != nil && !*s.SkipPtr:
		s.SkipPtr = nil
		return "*" + goKind(s)
	case s.Ref != "":
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case s.Type == "array":
		return "[]" + goKind(*s.Items)
	case s.Type == "integer" && s.Format != "":
		return s.Format
	}
	kinds := map[string]string{
		"integer ": "int", "number double": "float64", "boolean ": "bool", "string ": "string", "string date-time": "time.Time",
		"string ip": "netip.Addr", "string ip-port": "netip.AddrPort", "string ip-prefix": "netip.Prefix",
	}
	return kinds[s.Type+" "+s.Format]
}

// generatedTypes returns the fields, or the values, of each type in types.gen.go that stands
// for a schema of the document.
func generatedTypes(t *testing.T) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "types.gen.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	types := make(map[string][]string)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok && !strings.HasSuffix(n.Name.Name, "Params") {
				types[n.Name.Name] = fieldsOf(t, s)
			} else if _, ok := n.Type.(*ast.Ident); ok && !n.Assign.IsValid() && types[n.Name.Name] == nil {
				types[n.Name.Name] = nil
			}
		case *ast.ValueSpec:
			if kind, ok := n.Type.(*ast.Ident); ok && len(n.Values) == 1 {
				text, err := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				types[kind.Name] = append(types[kind.Name], text)
			}
		}
		return true
	})
	for _, values := range types {
		slices.Sort(values)
	}
	return types
}

// fieldsOf returns "name type required=bool" for each field of a struct.
func fieldsOf(t *testing.T, s *ast.StructType) []string {
	t.Helper()
	var fields []string
	for _, f := range s.Fields.List {
		raw, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			t.Fatal(err)
		}
		name, options, _ := strings.Cut(reflect.StructTag(raw).Get("json"), ",")
		fields = append(fields, fmt.Sprintf("%s %s required=%t", name, typeText(f.Type), !strings.Contains(options, "omitempty")))
	}
	return fields
}

func typeText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeText(e.X) + "." + e.Sel.Name
	case *ast.ArrayType:
		return "[]" + typeText(e.Elt)
	case *ast.StarExpr:
		return "*" + typeText(e.X)
	}
	return "?"
}

func TestParametersAreThoseOfTheDocument(t *testing.T) {
	code := map[string]reflect.Type{"listLeases": reflect.TypeFor[ListLeasesParams](), "leaveGroup": reflect.TypeFor[LeaveGroupParams](),
		"streamEvents": reflect.TypeFor[StreamEventsParams](),
		"getPath":      reflect.TypeFor[GetPathParams](), "listLogs": reflect.TypeFor[ListLogsParams](), "listAudit": reflect.TypeFor[ListAuditParams](),
		"listLeaseHistory": reflect.TypeFor[ListLeaseHistoryParams](), "importReservations": reflect.TypeFor[ImportReservationsParams](),
		"listNames": reflect.TypeFor[ListNamesParams](), "removeAlias": reflect.TypeFor[RemoveAliasParams](), "removeForwarder": reflect.TypeFor[RemoveForwarderParams](), "removeMember": reflect.TypeFor[RemoveMemberParams]()}
	got, want := make(map[string][]string), make(map[string][]string)
	for operation, params := range code {
		for i := range params.NumField() {
			if name, _, _ := strings.Cut(params.Field(i).Tag.Get("form"), ","); name != "" { // else a header
				got[operation] = append(got[operation], name)
			}
		}
	}
	for _, methods := range readDocument(t).Paths {
		for _, op := range methods {
			for _, p := range op.Parameters {
				if p.In == "query" {
					want[op.OperationID] = append(want[op.OperationID], p.Name)
				}
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("run go generate ./console/api:\ncode     %q\ndocument %q", got, want)
	}
}

func TestFindGroupNamesOneGroup(t *testing.T) {
	office := Group{ID: "1a2b3c4d5e" + strings.Repeat("0", 54), Name: "office"}
	lab := Group{ID: "5e6f7a8b9c" + strings.Repeat("0", 54), Name: "lab"}
	twin := Group{ID: "ffff7a8b9c" + strings.Repeat("0", 54), Name: "Lab"}
	tests := []struct {
		groups []Group
		ref    string
		want   string // the group's ID, or a part of the error
		ok     bool
	}{
		{groups: []Group{office}, ref: "", want: office.ID, ok: true},
		{groups: []Group{office, lab}, ref: "LAB", want: lab.ID, ok: true},
		{groups: []Group{office, lab}, ref: office.ID, want: office.ID, ok: true},
		{groups: []Group{office, lab}, ref: "1A2B3C4D", want: office.ID, ok: true},
		{groups: []Group{office, lab}, ref: "1a2b", want: `in no group "1a2b": its groups are office (1a2b3c4d), lab (5e6f7a8b)`},
		{groups: []Group{office, lab}, ref: "", want: "in 2 groups: say which one"},
		{groups: []Group{office, lab, twin}, ref: "lab", want: `"lab" names 2 groups: use the ID`},
		{groups: nil, ref: "", want: "in no group: create one with"},
	}
	for _, tt := range tests {
		g, err := FindGroup(tt.groups, tt.ref)
		if tt.ok && (err != nil || g.ID != tt.want) || !tt.ok && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("FindGroup(%d groups, %q) = %.8q, %v; want %q", len(tt.groups), tt.ref, g.ID, err, tt.want)
		}
	}
}
