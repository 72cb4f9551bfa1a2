package main

import (
	"net/http"
	"strings"
	"testing"

	"landbridge/console/api"
)

func TestAFileThatCantBeReadIsToldWithItsLines(t *testing.T) {
	for text, want := range map[string]string{
		"": "-: it is empty", "address,mac\n10.9.0.7\n10.9.0.8,x\n10.9.0.9\n": "-:2: it has 1 of 2 columns: the head line says which\n-:4: it has",
	} {
		if _, err := readReservations("-", strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestASearchThatFindsNothingAndIsLikeACommandIsRefused(t *testing.T) {
	found := api.LeaseList{Items: []api.Lease{}}
	state := daemon(t, map[string]any{
		"GET /api/v1/leases": func(*http.Request) any { return answerOK{found} },
		"GET /api/v1/names":  api.NameList{Items: []api.Name{}},
	})
	for line, want := range map[string]string{
		"leases histroy": "did you mean history?", "leases exprt --json": "did you mean export?", "names remov": "did you mean remove?",
	} {
		if got := command(t, engine{}, "", append(strings.Fields(line), "--state", state)...); got.code != exitUsage || !strings.Contains(got.err, want) || got.out != "" {
			t.Errorf("%s: %+v, want %q", line, got, want)
		}
	}
	for _, line := range []string{"leases printer", "leases re", "names web", "leases"} {
		if got := command(t, engine{}, "", append(strings.Fields(line), "--state", state)...); got.code != exitOK {
			t.Errorf("%s: %+v", line, got)
		}
	}
	found.Items = append(found.Items, api.Lease{Name: "histroy"})
	if got := command(t, engine{}, "", "leases", "histroy", "--state", state); got.code != exitOK || !strings.Contains(got.out, "histroy") {
		t.Errorf("a host of that name: %+v", got)
	}
}
