package apifuzz

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// Operation is one method of one path of the document.
type Operation struct {
	ID     string
	Method string
	Path   string // with {parameters}
	spec   *openapi3.Operation
}

// Load returns the operations of an OpenAPI 3 document, in the order of their IDs.
func Load(document []byte) ([]Operation, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("the document isn't OpenAPI 3: %w", err)
	}
	var all []Operation
	for path, item := range doc.Paths.Map() {
		for method, spec := range item.Operations() {
			spec.Parameters = append(spec.Parameters, item.Parameters...)
			all = append(all, Operation{ID: spec.OperationID, Method: method, Path: path, spec: spec})
		}
	}
	slices.SortFunc(all, func(a, b Operation) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// Extension returns a string extension of the operation, such as x-role; "" where it has none.
func (o Operation) Extension(name string) string {
	text, _ := o.spec.Extensions[name].(string)
	return text
}
