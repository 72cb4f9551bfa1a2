package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"landbridge/console/api"
)

// bounded is what the document says of a field that a request brings.
type bounded struct {
	Ref        string `yaml:"$ref"`
	Type       string
	MaxLength  int   `yaml:"maxLength"`
	Maximum    int64 `yaml:"maximum"`
	Properties map[string]bounded
}

// beyond returns a value that the document refuses; nil where it refuses none.
func (l bounded) beyond() any {
	switch {
	case l.Type == "string" && l.MaxLength > 0:
		return strings.Repeat("x", l.MaxLength+1)
	case l.Type == "integer" && l.Maximum > 0:
		return l.Maximum + 1
	}
	return nil
}

// Each field beyond its bounds is named in the refusal, all of them at once.
func TestWhatIsBeyondTheDocumentsBoundsIsRefusedByName(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name, In string
				Schema   bounded
			}
			Body struct {
				Content map[string]struct{ Schema bounded }
			} `yaml:"requestBody"`
		}
		Components struct{ Schemas map[string]bounded }
	}
	if err := yaml.Unmarshal(api.Document(), &doc); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, &fake{events: NewEvents()})
	fields := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			query, body := url.Values{}, make(map[string]any)
			for _, p := range op.Parameters {
				switch v := p.Schema.beyond().(type) {
				case string:
					query.Set(p.Name, v)
				case int64:
					query.Set(p.Name, strconv.FormatInt(v, 10))
				}
				if p.In != "query" {
					query.Del(p.Name)
				}
			}
			for _, c := range op.Body.Content {
				for name, l := range doc.Components.Schemas[strings.TrimPrefix(c.Schema.Ref, "#/components/schemas/")].Properties {
					if v := l.beyond(); v != nil {
						body[name] = v
					}
				}
			}
			if len(query)+len(body) == 0 {
				continue
			}
			target := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "10.9.0.7") + "?" + query.Encode()
			raw, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			req := httptest.NewRequestWithContext(t.Context(), strings.ToUpper(method), target, bytes.NewReader(raw))
			if len(body) > 0 {
				req.Header.Set("Content-Type", "application/json")
			} else {
				req.Body = http.NoBody
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, req)
			var problem api.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s %s: %d %.300s", method, path, w.Code, w.Body)
				continue
			}
			named := make(map[string]bool)
			for _, e := range problem.Errors {
				named[e.Field] = true
			}
			for name := range body {
				query.Set(name, "")
			}
			for name := range query {
				if fields++; !named[name] {
					t.Errorf("%s %s: %s isn't refused: %.300s", method, path, name, w.Body)
				}
			}
		}
	}
	if fields < 50 {
		t.Errorf("only %d fields are tried: is the test right?", fields)
	}
}
