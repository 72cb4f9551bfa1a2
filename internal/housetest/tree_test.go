package housetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "landbridge"

// source is one Go file of the module.
type source struct {
	path   string // from the module's root
	dir    string
	lines  int
	test   bool
	syntax *ast.File
	files  *token.FileSet
}

func (s source) generated() bool { return ast.IsGenerated(s.syntax) }

// imports returns the packages of this module that the file imports, from the module's
// root, and the other packages by their path.
func (s source) imports(t *testing.T) (own, foreign []string) {
	t.Helper()
	for _, spec := range s.syntax.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if rest, ok := strings.CutPrefix(path, module+"/"); ok {
			own = append(own, rest)
		} else {
			foreign = append(foreign, path)
		}
	}
	return own, foreign
}

// root returns the module's root directory.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// walk calls f with each file under the root that has this extension and is no product
// of the build.
func walk(t *testing.T, ext string, f func(path string, content []byte)) {
	t.Helper()
	base := root(t)
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(base, path)
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			hidden := strings.HasPrefix(name, ".") && rel != "."
			if hidden || name == "testdata" || name == "node_modules" || slices.Contains([]string{"bin", "out"}, rel) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ext {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(rel), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources returns every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	walk(t, ".go", func(path string, content []byte) {
		files := token.NewFileSet()
		syntax, err := parser.ParseFile(files, path, content, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		all = append(all, source{
			path: path, dir: filepath.ToSlash(filepath.Dir(path)), lines: strings.Count(string(content), "\n"),
			test: strings.HasSuffix(path, "_test.go"), syntax: syntax, files: files,
		})
	})
	if len(all) < 50 {
		t.Fatalf("only %d Go files found: is the walk right?", len(all))
	}
	return all
}
