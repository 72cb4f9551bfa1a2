package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"landbridge/internal/sorting"
)

// maxFile is the largest configuration file in bytes. The YAML parser takes a time
// that grows with the square of a hostile file's size; at this size that is 0.2 s.
const maxFile = 16 << 10

// maxNesting is how deep brackets may nest. Settings need one level.
const maxNesting = 8

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Where string // "FILE:LINE" or the flag
	Line  int    // the line in the file; 0 where the fault is a flag's
	Key   string // the setting; empty where the fault isn't one setting's
	Text  string // what is wrong and what would be right
}

// Error is everything that is wrong with a configuration, in the order of the file,
// then of the flags.
type Error struct {
	Faults []Fault
}

func newError(faults []Fault) *Error {
	sorting.StablyBy(faults, func(a, b Fault) int {
		if (a.Line == 0) != (b.Line == 0) { // flags after the file
			return b.Line - a.Line
		}
		return a.Line - b.Line
	})
	return &Error{Faults: faults}
}

// Error returns a line for each fault.
func (e *Error) Error() string {
	var b strings.Builder
	if len(e.Faults) == 1 {
		b.WriteString("the configuration has an error; nothing was started:")
	} else {
		fmt.Fprintf(&b, "the configuration has %d errors; nothing was started:", len(e.Faults))
	}
	for _, f := range e.Faults {
		fmt.Fprintf(&b, "\n  %s: %s", f.Where, f.Text)
	}
	return b.String()
}

// fault says what is wrong with v. A flag needn't be named twice.
func (v configValue) fault(format string, args ...any) Fault {
	text := fmt.Sprintf(format, args...)
	if v.where == "--"+v.key {
		text = strings.TrimPrefix(text, v.key+": ")
	}
	return Fault{Where: v.where, Line: v.line, Key: v.key, Text: text}
}

func flagValues(flags map[string][]string) []configValue {
	var values []configValue
	for key, v := range flags {
		values = append(values, configValue{key: key, values: v, where: "--" + key})
	}
	sorting.By(values, func(a, b configValue) int { return strings.Compare(a.key, b.key) })
	return values
}

// readFile returns what the file at path says.
func readFile(path string) ([]configValue, []Fault) {
	whole := func(format string, args ...any) []Fault {
		return []Fault{configValue{where: path, line: 1}.fault(format, args...)}
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, whole("there is no such file: give --config another path, or leave it out")
	case err != nil:
		return nil, whole("the file can't be opened: %v", errors.Unwrap(err))
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, whole("the file can't be read: %v", errors.Unwrap(err))
	}
	return parseFile(path, content, Settings())
}

// parseFile returns what a configuration file says: a YAML mapping of settings to
// scalars or lists of scalars. It takes no anchors, aliases, tags or merge keys, so that a
// file is never larger than it looks.
func parseFile(name string, content []byte, known table) ([]configValue, []Fault) {
	p := fileParser{name: name, known: known}
	if len(content) > maxFile {
		p.faultf(1, "", "the file is larger than %d KiB, which no configuration is", maxFile>>10)
		return nil, p.faults
	}
	tokens := lexer.Tokenize(string(content))
	if line := tooDeep(tokens); line > 0 {
		p.faultf(line, "", "brackets nest deeper than %d levels", maxNesting)
		return nil, p.faults
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		p.syntax(err)
		return nil, p.faults
	}
	p.file(file)
	return p.values, p.faults
}

// tooDeep returns the line on which brackets nest too deep, or 0.
func tooDeep(tokens token.Tokens) int {
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		}
		if depth > maxNesting {
			return t.Position.Line
		}
	}
	return 0
}

// fileParser walks one file and notes what it finds.
type fileParser struct {
	name   string
	known  table
	values []configValue
	faults []Fault
}

func (p *fileParser) faultf(line int, key, format string, args ...any) {
	v := configValue{key: key, where: fmt.Sprintf("%s:%d", p.name, line), line: line}
	p.faults = append(p.faults, v.fault(format, args...))
}

func (p *fileParser) syntax(err error) {
	line, text := 1, err.Error()
	var yerr yaml.Error
	if errors.As(err, &yerr) {
		text = yerr.GetMessage()
		if t := yerr.GetToken(); t != nil && t.Position != nil {
			line = t.Position.Line
		}
	}
	p.faultf(line, "", "this is not YAML: %s; write settings as key: value, one a line", text)
}

func (p *fileParser) file(file *ast.File) {
	seen := false
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if seen {
			p.faultf(lineOf(doc.Body), "", "the file may hold one document only: remove the line --- and what follows it, or merge it with the first")
			return
		}
		seen = true
		p.body(doc.Body)
	}
}

func (p *fileParser) body(n ast.Node) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return
	default:
		p.faultf(lineOf(n), "", "the file must hold settings as key: value, and this is %s", kindOf(n))
		return
	}
	first := make(map[string]int)
	for _, pair := range pairs {
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			p.faultf(lineOf(pair.Key), "", "%s can't be the name of a setting: the settings are %s", kindOf(pair.Key), orList(p.known.keys()))
			continue
		}
		line := lineOf(key)
		if at, twice := first[key.Value]; twice {
			p.faultf(line, key.Value, "%s is set on line %d already: keep one of the two", key.Value, at)
			continue
		}
		first[key.Value] = line
		p.pair(key.Value, line, pair.Value)
	}
}

func (p *fileParser) pair(key string, line int, n ast.Node) {
	setting, known := p.known.of(key)
	if !known {
		p.faultf(line, key, "there is no setting %q%s", key, p.known.suggest(key))
		return
	}
	if at := lineOf(n); n != nil && at > 0 {
		line = at
	}
	value := configValue{key: key, where: fmt.Sprintf("%s:%d", p.name, line), line: line}
	switch setting.Kind {
	case List:
		list, ok := p.list(setting, line, n)
		if !ok {
			return
		}
		value.values = list
	case Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			p.faultf(line, key, "%s: want true or false, and this is %s", key, kindOf(n))
			return
		}
		value.values = []string{fmt.Sprint(b.Value)}
	default:
		text, err := textOf(n)
		if err != nil {
			p.faultf(line, key, "%s: want a text: %v", key, err)
			return
		}
		value.values = []string{text}
	}
	p.values = append(p.values, value)
}

// list returns the elements of a list of texts, if it is one and each is right.
func (p *fileParser) list(s Setting, line int, n ast.Node) (list []string, ok bool) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		p.faultf(line, s.Key, "%s: want a list of texts, as [%q], and this is %s", s.Key, s.example, kindOf(n))
		return nil, false
	}
	for _, item := range seq.Values {
		text, err := textOf(item)
		if err != nil {
			p.faultf(lineOf(item), s.Key, "%s: want a list of texts: %v", s.Key, err)
			ok = false
		} else if err := s.item(text); err != nil {
			p.faultf(lineOf(item), s.Key, "%s: %v", s.Key, err)
			ok = false
		}
		list = append(list, text)
	}
	return list, ok
}

// textOf returns the text of a node that is one.
func textOf(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return "", fmt.Errorf("this is %s; put it in quotes: %q", kindOf(n), n.GetToken().Value)
	}
	return "", fmt.Errorf("this is %s", kindOf(n))
}

// kindOf says in words what a node is.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.StringNode:
		return "a text"
	case *ast.LiteralNode:
		return "a text of several lines"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor, alias or merge, none of which has a use here"
	case *ast.TagNode:
		return "a tag, which has no use here"
	}
	return "something else"
}

func lineOf(n ast.Node) int {
	if n == nil {
		return 0
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}
