package housetest

import (
	"go/ast"
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
