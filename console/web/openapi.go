package web

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// document is the API's OpenAPI document as the page about it shows it.
type document struct {
	Title, Version, Description string
	Sections                    []section
	Schemas                     []schema
}

// section is the operations under one tag.
type section struct {
	Name, Description string
	Operations        []operation
}

// operation is one request that the API takes.
type operation struct {
	ID, Method, Path, Summary, Description, Role string
	Parameters                                   []property
	Body, Media                                  string // the body's schema; the media type of what comes back
	Answers                                      []answerOf
}

// answerOf is what an operation answers under one status.
type answerOf struct{ Status, Description, Schema string }

// schema is a named type of the document.
type schema struct {
	Name, Description, Kind string
	Values                  []string // of an enumeration
	Properties              []property
}

// property is a field of a schema, or a parameter of an operation.
type property struct {
	Name, In, Kind, Schema, Description string // Schema names a type that the page shows
	Required                            bool
	Bounds                              string
}

// tree is a node of the document with its members in their order.
type tree = yaml.MapSlice

// readDocument reads the parts of an OpenAPI 3.0 document that this program's own uses.
func readDocument(text []byte) (document, error) {
	var all tree
	if err := yaml.UnmarshalWithOptions(text, &all, yaml.UseOrderedMap()); err != nil {
		return document{}, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	info := at(all, "info")
	d := document{Title: words(info, "title"), Version: words(info, "version"), Description: words(info, "description")}
	for _, t := range list(all, "tags") {
		d.Sections = append(d.Sections, section{Name: words(t, "name"), Description: words(t, "description")})
	}
	for _, path := range at(all, "paths") {
		for _, method := range branch(path.Value) {
			op := readOperation(fmt.Sprint(path.Key), fmt.Sprint(method.Key), branch(method.Value))
			tag := ""
			if tags := listOf(memberOf(branch(method.Value), "tags")); len(tags) > 0 {
				tag = fmt.Sprint(tags[0])
			}
			i := slices.IndexFunc(d.Sections, func(s section) bool { return s.Name == tag })
			if i < 0 {
				i = len(d.Sections)
				d.Sections = append(d.Sections, section{Name: tag})
			}
			d.Sections[i].Operations = append(d.Sections[i].Operations, op)
		}
	}
	for _, s := range at(at(all, "components"), "schemas") {
		d.Schemas = append(d.Schemas, readSchema(fmt.Sprint(s.Key), branch(s.Value)))
	}
	return d, nil
}

func readOperation(path, method string, t tree) operation {
	op := operation{
		ID: words(t, "operationId"), Method: strings.ToUpper(method), Path: path, Summary: words(t, "summary"),
		Description: words(t, "description"), Role: words(t, "x-role"),
	}
	for _, p := range list(t, "parameters") {
		f := readProperty(words(p, "name"), at(p, "schema"))
		f.In, f.Description = words(p, "in"), words(p, "description")
		f.Required = memberOf(p, "required") == true
		op.Parameters = append(op.Parameters, f)
	}
	op.Body, _ = contentOf(at(t, "requestBody"))
	for _, r := range at(t, "responses") {
		a := answerOf{Status: fmt.Sprint(r.Key), Description: words(branch(r.Value), "description")}
		if a.Status == "default" {
			continue // the problem, of which the page speaks once
		}
		a.Schema, op.Media = contentOf(branch(r.Value))
		op.Answers = append(op.Answers, a)
	}
	return op
}

// contentOf returns the schema's name and the media type of a body.
func contentOf(t tree) (name, media string) {
	for _, m := range at(t, "content") {
		return reference(at(branch(m.Value), "schema")), fmt.Sprint(m.Key)
	}
	return "", ""
}

func readSchema(name string, t tree) schema {
	s := schema{Name: name, Description: words(t, "description"), Kind: words(t, "type")}
	for _, v := range listOf(memberOf(t, "enum")) {
		s.Values = append(s.Values, fmt.Sprint(v))
	}
	required := listOf(memberOf(t, "required"))
	for _, p := range at(t, "properties") {
		f := readProperty(fmt.Sprint(p.Key), branch(p.Value))
		f.Required = slices.Contains(required, any(f.Name))
		s.Properties = append(s.Properties, f)
	}
	return s
}

func readProperty(name string, t tree) property {
	p := property{Name: name, Kind: words(t, "type"), Schema: reference(t), Description: words(t, "description")}
	if f := words(t, "format"); f != "" {
		p.Kind = f
	}
	if p.Kind == "array" {
		items := at(t, "items")
		p.Schema = reference(items)
		p.Kind = "list of " + words(items, "type")
	}
	p.Bounds = bounds(t)
	return p
}

// bounds writes what a value must keep to.
func bounds(t tree) string {
	var all []string
	for _, b := range []struct{ key, words string }{
		{"minimum", "at least %v"}, {"maximum", "at most %v"}, {"minLength", "at least %v characters"},
		{"maxLength", "at most %v characters"}, {"maxItems", "at most %v items"}, {"default", "%v by default"},
	} {
		if v := memberOf(t, b.key); v != nil {
			all = append(all, fmt.Sprintf(b.words, v))
		}
	}
	return strings.Join(all, ", ")
}

// reference returns the name of the schema that a node refers to.
func reference(t tree) string {
	ref := words(t, "$ref")
	return ref[strings.LastIndex(ref, "/")+1:]
}

func memberOf(t tree, key string) any {
	for _, item := range t {
		if item.Key == key {
			return item.Value
		}
	}
	return nil
}

func at(t tree, key string) tree { return branch(memberOf(t, key)) }

func branch(v any) tree {
	t, _ := v.(tree)
	return t
}

func listOf(v any) []any {
	l, _ := v.([]any)
	return l
}

func list(t tree, key string) []tree {
	var all []tree
	for _, v := range listOf(memberOf(t, key)) {
		all = append(all, branch(v))
	}
	return all
}

func words(t tree, key string) string {
	if v := memberOf(t, key); v != nil {
		return strings.TrimSpace(fmt.Sprint(v))
	}
	return ""
}
