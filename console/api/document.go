package api

import _ "embed"

//go:embed openapi.yaml
var document []byte

// Document returns the OpenAPI document as it was when the program was built. The
// caller owns the copy.
func Document() []byte { return append([]byte(nil), document...) }
