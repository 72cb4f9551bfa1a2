package housetest

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestLinksBetweenDocumentsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	documents := 0
	walk(t, ".md", func(path string, content []byte) {
		documents++
		for _, m := range link.FindAllStringSubmatch(string(content), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root(t), filepath.Dir(path), target)); err != nil {
				t.Errorf("%s links to %s, which isn't there", path, target)
			}
		}
	})
	if documents == 0 {
		t.Error("no documents found")
	}
}

func TestLogFieldsComeFromTheOneList(t *testing.T) {
	list, err := os.ReadFile(filepath.Join(root(t), "docs", "logging.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(string(list), -1) {
		listed[m[1]] = true
	}
	used := make(map[string]bool)
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for _, key := range logFields(call) {
				used[key] = true
				if !listed[key] {
					t.Errorf("%v: the log field %q is not in docs/logging.md: use one that is, or add it", s.files.Position(call.Pos()), key)
				}
			}
			return true
		})
	}
	if len(used) < 10 {
		t.Fatalf("only the fields %q were found: is the search right?", slices.Sorted(maps.Keys(used)))
	}
	for key := range listed {
		if !used[key] {
			t.Errorf("docs/logging.md lists the field %q, which nothing logs", key)
		}
	}
}

// logFields returns the keys that a call of a slog.Logger gives.
func logFields(call *ast.CallExpr) []string {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !isLogger(f.X) && !isWrapper(f.Sel.Name) {
		return nil
	}
	first := map[string]int{
		"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "With": 0, "Log": 3,
		"debug": 1, "info": 1, "warn": 1,
		"DebugContext": 2, "InfoContext": 2, "WarnContext": 2, "ErrorContext": 2,
	}
	from, ok := first[f.Sel.Name]
	if !ok {
		return nil
	}
	var keys []string
	for i := from; i < len(call.Args); i += 2 {
		literal, ok := call.Args[i].(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return keys
		}
		if key, err := strconv.Unquote(literal.Value); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// isWrapper reports whether a method has the name of one that logs for its owner, as
// p.info("session made", "cipher", c) does.
func isWrapper(name string) bool { return slices.Contains([]string{"debug", "info", "warn"}, name) }

// isLogger guesses by its name whether an expression is a logger.
func isLogger(e ast.Expr) bool {
	name := ""
	switch e := e.(type) {
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		name = e.Sel.Name
	case *ast.CallExpr: // log.With(…).Info(…)
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "With" {
			return isLogger(f.X)
		}
	}
	return strings.EqualFold(name, "log") || strings.EqualFold(name, "logger")
}
