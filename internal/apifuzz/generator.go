package apifuzz

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Request is one request.
type Request struct {
	Operation Operation
	Target    string // path and query, escaped as far as it is
	Header    http.Header
	Body      []byte // nil: none
}

// HTTP makes the request for the server at base, such as https://127.0.0.1:4861. It fails where
// no HTTP client can send it.
func (r Request) HTTP(ctx context.Context, base string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.Operation.Method, base+r.Target, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", r.Operation.Method, r.Target, err)
	}
	req.Header = r.Header.Clone()
	return req, nil
}

// Generator makes requests. It isn't safe for concurrent use.
type Generator struct {
	operations []Operation
	seeds      map[string][]string
	random     *rand.Rand
}

// New makes a generator of requests for these operations. The seeds are values that exist at the
// server, by the names of parameters and properties (a group's name for "group"), so that
// requests find something.
func New(operations []Operation, seed uint64, seeds map[string][]string) *Generator {
	return &Generator{operations: operations, seeds: seeds, random: rand.New(rand.NewPCG(seed, seed))}
}

// Next makes a request.
func (g *Generator) Next() Request {
	op := g.operations[g.random.IntN(len(g.operations))]
	r := Request{Operation: op, Header: http.Header{}}
	path, query := op.Path, []string(nil)
	for _, ref := range op.spec.Parameters {
		p := ref.Value
		switch p.In {
		case openapi3.ParameterInPath:
			path = strings.ReplaceAll(path, "{"+p.Name+"}", g.escaped(url.PathEscape(g.text(p.Name, p.Schema))))
		case openapi3.ParameterInQuery:
			for range g.times(p.Required) {
				query = append(query, p.Name+"="+g.escaped(url.QueryEscape(g.text(p.Name, p.Schema))))
			}
		case openapi3.ParameterInHeader:
			r.Header.Set(p.Name, headerSafe(g.text(p.Name, p.Schema)))
		}
	}
	if g.oneIn(20) {
		query = append(query, "nobody=knows")
	}
	r.Target = path
	if len(query) > 0 {
		r.Target += "?" + strings.Join(query, "&")
	}
	if op.spec.RequestBody != nil {
		g.body(&r, op.spec.RequestBody.Value)
	} else if g.oneIn(20) {
		r.Body = []byte(`{"unasked":true}`)
	}
	return r
}

func (g *Generator) oneIn(n int) bool { return g.random.IntN(n) == 0 }

// times says how often a parameter is given.
func (g *Generator) times(required bool) int {
	switch {
	case g.oneIn(20):
		return 2
	case required && !g.oneIn(20), g.oneIn(2):
		return 1
	}
	return 0
}

// escaped leaves an escape as it is, or breaks it.
func (g *Generator) escaped(s string) string {
	if g.oneIn(60) {
		return s + pick(g.random, "%", "%2", "%zz", "%00", "%c0%af", "%2e%2e%2f")
	}
	return s
}

// text makes a parameter's value.
func (g *Generator) text(name string, schema *openapi3.SchemaRef) string {
	v := g.value(name, schema, 0)
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// body makes a request's body, of a kind that the operation takes or not.
func (g *Generator) body(r *Request, spec *openapi3.RequestBody) {
	kind, media := "application/json", spec.Content.Get("application/json")
	for name, m := range spec.Content {
		if media == nil {
			kind, media = name, m
		}
	}
	r.Header.Set("Content-Type", kind)
	body, err := json.Marshal(g.value("", media.Schema, 0))
	if err != nil {
		body = []byte("null")
	}
	if s, isText := strings.CutPrefix(string(body), `"`); isText && kind != "application/json" {
		body = []byte(strings.TrimSuffix(s, `"`))
	}
	if g.oneIn(12) {
		body = g.broken(body)
	}
	if g.oneIn(30) {
		r.Header.Set("Content-Type", pick(g.random, "", "text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=utf-16"))
	}
	if g.oneIn(60) {
		r.Header.Set("Content-Encoding", pick(g.random, "gzip", "br", "nonsense"))
	}
	r.Body = body
}

// broken breaks a body as a whole.
func (g *Generator) broken(body []byte) []byte {
	switch g.random.IntN(9) {
	case 0:
		return body[:g.random.IntN(len(body)+1)]
	case 1:
		return append(body, body...)
	case 2:
		return bytes.Repeat([]byte("["), 20_000)
	case 3:
		return []byte(strings.Repeat(`{"a":`, 5_000) + "1" + strings.Repeat("}", 5_000))
	case 4:
		return bytes.Repeat([]byte("x"), 70<<10)
	case 5:
		return []byte("\xff\xfe\x00{\x00}")
	case 6:
		return nil
	case 7:
		return []byte(pick(g.random, "null", "[]", "0", `""`, "true", "{}", "{\"a\":1,\"a\":2}"))
	}
	b := bytes.Clone(body)
	for i := range b {
		if g.oneIn(10) {
			b[i] = byte(g.random.Uint32())
		}
	}
	return b
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// headerSafe leaves out what net/http doesn't send in a header.
func headerSafe(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, s)
}
