package api

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// limited is what the document bounds.
type limited struct {
	Ref        string `yaml:"$ref"`
	Type       string
	MinLength  int    `yaml:"minLength"`
	MaxLength  *int   `yaml:"maxLength"`
	Minimum    *int64 `yaml:"minimum"`
	Maximum    *int64 `yaml:"maximum"`
	Required   []string
	Properties map[string]limited
}

// says writes a bound as the generated code does.
func (l limited) says(owner, field string, required bool) string {
	switch {
	case l.Type == "string" && l.MaxLength != nil:
		return fmt.Sprintf("%s.Length(%q, %t, %d)", owner, field, required && l.MinLength > 0, *l.MaxLength)
	case l.Type == "integer" && (l.Minimum != nil || l.Maximum != nil):
		least, most := int64(0), int64(math.MaxInt64)
		if l.Minimum != nil {
			least = *l.Minimum
		}
		if l.Maximum != nil {
			most = *l.Maximum
		}
		return fmt.Sprintf("%s.Between(%q, %d, %d)", owner, field, least, most)
	}
	return ""
}

// generatedBounds reads bounds.gen.go.
func generatedBounds(t *testing.T) (all []string) {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), "bounds.gen.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range syntax.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		owner := f.Recv.List[0].Type.(*ast.Ident).Name
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 4 {
				return true
			}
			word := func(i int) string {
				switch a := call.Args[i].(type) {
				case *ast.BasicLit:
					return a.Value
				case *ast.Ident:
					return a.Name
				}
				t.Errorf("%s: argument %d is no constant", owner, i)
				return ""
			}
			all = append(all, fmt.Sprintf("%s.%s(%s, %s, %s)", owner, call.Fun.(*ast.SelectorExpr).Sel.Name, word(0), word(2), word(3)))
			return true
		})
	}
	return all
}

func TestBoundsAreThoseOfTheDocument(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `yaml:"operationId"`
			Parameters  []struct {
				Name, In string
				Required bool
				Schema   limited
			}
			Body struct {
				Content map[string]struct{ Schema limited }
			} `yaml:"requestBody"`
		}
		Components struct{ Schemas map[string]limited }
	}
	if err := yaml.Unmarshal(Document(), &doc); err != nil {
		t.Fatal(err)
	}
	var want []string
	add := func(bound string) {
		if bound != "" && !slices.Contains(want, bound) {
			want = append(want, bound)
		}
	}
	for _, methods := range doc.Paths {
		for _, op := range methods {
			for _, p := range op.Parameters {
				if p.In == "query" {
					add(p.Schema.says(strings.ToUpper(op.OperationID[:1])+op.OperationID[1:]+"Params", p.Name, p.Required))
				}
			}
			for _, c := range op.Body.Content {
				name := strings.TrimPrefix(c.Schema.Ref, "#/components/schemas/")
				body := doc.Components.Schemas[name]
				for field, l := range body.Properties {
					add(l.says(name, field, slices.Contains(body.Required, field)))
				}
			}
		}
	}
	got := generatedBounds(t)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(want) < 50 {
		t.Errorf("run go generate ./console/api:\ncode     %q\ndocument %q", got, want)
	}
}
