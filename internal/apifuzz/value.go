package apifuzz

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxDepth bounds the values of schemas that contain themselves.
const maxDepth = 6

// stumbles are strings on which programs are known to stumble.
var stumbles = []string{
	"", " ", "\x00", "null", "undefined", "NaN", "-1", "0", "9223372036854775808", "1e400", "../../etc/passwd", "..%2f..%2f", "/dev/zero",
	"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "{{.}}", "${jndi:ldap://127.0.0.1/a}", "%s%s%n", "'; DROP TABLE leases;--", "a\r\nSet-Cookie: a=b",
	"\u202etxt.exe", "ﬃ", "İ", "ß", "\U0001F4A9", "\xff\xfe", "e\u0301", "xn--ls8h", strings.Repeat("a", 64), strings.Repeat("é", 129), strings.Repeat("A", 5000),
	"255.255.255.255", "0.0.0.0", "127.0.0.1", "224.0.0.1", "10.0.0.0/33", "::1", "fe80::1%eth0", "1.2.3.4:99999", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "2006-01-02", "0000-00-00T00:00:00Z",
}

// value makes a value by a schema, or one that isn't by it.
func (g *Generator) value(name string, ref *openapi3.SchemaRef, depth int) any {
	if g.oneIn(4 + 4*depth) {
		return g.foreign()
	}
	if known := g.seeds[name]; len(known) > 0 && !g.oneIn(3) {
		return pick(g.random, known...)
	}
	if ref == nil || ref.Value == nil || depth > maxDepth {
		return nil
	}
	s := ref.Value
	for _, alternatives := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf, s.AllOf} {
		if len(alternatives) > 0 {
			return g.value(name, pick(g.random, alternatives...), depth+1)
		}
	}
	switch {
	case len(s.Enum) > 0:
		return pick(g.random, s.Enum...)
	case s.Type.Is("boolean"):
		return g.oneIn(2)
	case s.Type.Is("integer"), s.Type.Is("number"):
		return g.number(s)
	case s.Type.Is("array"):
		list := make([]any, g.random.IntN(4))
		for i := range list {
			list[i] = g.value(name, s.Items, depth+1)
		}
		return list
	case s.Type.Is("object"):
		return g.object(s, depth)
	}
	return g.str(s)
}

// foreign makes a value that no schema asks for.
func (g *Generator) foreign() any {
	switch g.random.IntN(10) {
	case 0:
		return nil
	case 1:
		return g.oneIn(2)
	case 2:
		return []any{nil, 1, "a"}
	case 3:
		return map[string]any{"": 1, "__proto__": nil}
	case 4:
		return json.Number(pick(g.random, "-1", "0", "1e400", "-9223372036854775809", "18446744073709551616", "0.1", "1E-400"))
	}
	return pick(g.random, stumbles...)
}

func (g *Generator) number(s *openapi3.Schema) any {
	least, most := 0.0, 1e6
	if s.Min != nil {
		least = *s.Min
	}
	if s.Max != nil {
		most = *s.Max
	}
	if g.oneIn(6) {
		return pick(g.random, least-1, most+1, math.MaxInt64, math.MinInt64)
	}
	return math.Floor(least + g.random.Float64()*(most-least+1))
}

func (g *Generator) object(s *openapi3.Schema, depth int) map[string]any {
	o := make(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if given := g.times(slices.Contains(s.Required, name)); given > 0 {
			o[name] = g.value(name, s.Properties[name], depth+1)
		}
	}
	if g.oneIn(20) {
		o["nobodyKnows"] = g.foreign()
	}
	return o
}

func (g *Generator) str(s *openapi3.Schema) string {
	switch s.Format {
	case "ip":
		return fmt.Sprintf("10.%d.%d.%d", g.random.IntN(256), g.random.IntN(256), g.random.IntN(256))
	case "ip-port":
		return fmt.Sprintf("10.0.0.%d:%d", g.random.IntN(256), g.random.IntN(65536))
	case "ip-prefix":
		return fmt.Sprintf("10.%d.0.0/%d", g.random.IntN(256), g.random.IntN(33))
	case "date-time":
		return time.Unix(g.random.Int64N(1<<32), 0).UTC().Format(time.RFC3339)
	}
	most := 40
	if s.MaxLength != nil {
		most = int(min(*s.MaxLength, 9000))
	}
	n := int(s.MinLength) + g.random.IntN(max(1, min(most, 40)-int(s.MinLength)))
	if g.oneIn(10) {
		n = most + g.random.IntN(2)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789-:."[g.random.IntN(39)]
	}
	return string(b)
}
