package housetest

import (
	"go/ast"
	"slices"
	"testing"
)

func TestEachPackageSaysWhatItIsFor(t *testing.T) {
	documented := make(map[string]bool)
	for _, s := range sources(t) {
		if _, seen := documented[s.dir]; !seen {
			documented[s.dir] = false
		}
		if s.path == s.dir+"/doc.go" && s.syntax.Doc != nil {
			documented[s.dir] = true
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no doc.go with a package comment: what is it for, what not, what are its types, how does data go through it?", dir)
		}
	}
}

// maxLines is where a file must look for the second thing that it does.
const maxLines = 500

func TestFilesStayShort(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > maxLines && !s.generated() {
			t.Errorf("%s has %d lines, more than %d: look for the second thing that it does", s.path, s.lines, maxLines)
		}
	}
}

func TestNothingHappensAtImport(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" && !s.generated() {
				t.Errorf("%v: an init function: let who needs it call it", s.files.Position(f.Pos()))
			}
		}
	}
}

// What is found wrong is said with what to do about it, in one place: package health.
func TestEachFindingHasItsRemedy(t *testing.T) {
	const pkg = "internal/health"
	found := 0
	for _, s := range sources(t) {
		own, _ := s.imports(t)
		if s.test || !slices.Contains(own, pkg) {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			l, ok := n.(*ast.CompositeLit)
			if !ok || !isFinding(l.Type) || len(l.Elts) == 0 {
				return true
			}
			found++
			if !slices.ContainsFunc(l.Elts, saysRemedy) {
				t.Errorf("%v: a finding without a Remedy: what is the operator to do?", s.files.Position(l.Pos()))
			}
			return true
		})
	}
	if found < 20 {
		t.Errorf("only %d findings are seen: is the test right?", found)
	}
}

func isFinding(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "health" && sel.Sel.Name == "Finding"
}

func saysRemedy(e ast.Expr) bool {
	kv, ok := e.(*ast.KeyValueExpr)
	if !ok {
		return false
	}
	key, ok := kv.Key.(*ast.Ident)
	if !ok || key.Name != "Remedy" {
		return false
	}
	lit, ok := kv.Value.(*ast.BasicLit)
	return !ok || lit.Value != `""`
}

// slices.SortFunc and its like are compiled anew for each type of element, which costs 11 to 21 KB of the program:
// internal/sorting says so.
func TestListsAreSortedByOneCopyOfTheAlgorithm(t *testing.T) {
	// Lists that are long, or sorted while somebody waits.
	fast := []string{"console/leases.go", "internal/registry/changes.go"}
	const program = "cmd/landbridge"
	own, _ := graph(t, false)
	linked := reach(own, program)
	var seen []string
	for _, s := range sources(t) {
		generator := s.syntax.Name.Name == "main" && s.dir != program
		if s.test || generator || !slices.Contains(linked, s.dir) {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok || !isSortFunc(call) {
				return true
			}
			if seen = append(seen, s.path); !slices.Contains(fast, s.path) {
				t.Errorf("%v: slices.%s is compiled for this type of its own: take internal/sorting", s.files.Position(n.Pos()), call.Sel.Name)
			}
			return true
		})
	}
	for _, path := range fast {
		if !slices.Contains(seen, path) {
			t.Errorf("%s sorts nothing by slices.SortFunc: take it off the list", path)
		}
	}
}

func isSortFunc(e *ast.SelectorExpr) bool {
	pkg, ok := e.X.(*ast.Ident)
	return ok && pkg.Name == "slices" && slices.Contains([]string{"SortFunc", "SortStableFunc", "SortedFunc", "SortedStableFunc"}, e.Sel.Name)
}
