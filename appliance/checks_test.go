package appliance

import (
	"errors"
	"strings"
	"testing"

	"landbridge/console"
	"landbridge/console/api"
)

func TestEachFieldOfANewGroupIsToldWhatIsWrongWithIt(t *testing.T) {
	for name, c := range map[string]struct {
		req    api.GroupCreate
		fields string
	}{
		"no network":      {api.GroupCreate{Name: "office", Prefix: "10.9"}, "prefix"},
		"name and prefix": {api.GroupCreate{Name: "no good", Prefix: "x"}, "name prefix"},
		"host bits":       {api.GroupCreate{Name: "office", Prefix: "10.9.0.1/16"}, "prefix"},
		"public":          {api.GroupCreate{Name: "office", Prefix: "8.8.0.0/16"}, "prefix"},
		"lease time":      {api.GroupCreate{Name: "office", Prefix: "10.9.0.0/16", LeaseSeconds: 1}, "leaseSeconds"},
		"good":            {api.GroupCreate{Name: "office", Prefix: "10.9.0.0/16"}, ""},
	} {
		_, err := groupParams(c.req)
		var refused *console.Error
		got := make(map[string]bool)
		if errors.As(err, &refused) {
			for _, f := range refused.Fields() {
				got[f.Field] = true
			}
		}
		for _, want := range strings.Fields(c.fields) {
			if !got[want] {
				t.Errorf("%s: %v, of the fields %v, want %s", name, err, got, c.fields)
			}
		}
		if len(got) != len(strings.Fields(c.fields)) || (err == nil) != (c.fields == "") {
			t.Errorf("%s: %v, of the fields %v, want %s", name, err, got, c.fields)
		}
	}
}
