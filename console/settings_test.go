package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"landbridge/console/api"
)

func TestAGroupsSettingsAreShownCheckedAndChanged(t *testing.T) {
	f := &fake{settings: api.GroupSettings{GroupName: "office", Version: 2}}
	client := serve(t, f)
	if s, err := client.GetGroupSettingsWithResponse(t.Context(), "office"); err != nil || s.JSON200 == nil || s.JSON200.Version != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	change := api.GroupSettingsChange{Version: 2, Excluded: []string{"10.9.0.2-10.9.0.9"}}
	if s, err := client.SetGroupSettingsWithResponse(t.Context(), "office", change, func(_ context.Context, r *http.Request) error { only(r); return nil }); err != nil || s.StatusCode() != http.StatusNoContent || len(f.set) != 0 || !slices.Equal(f.checked, []string{"settings office"}) {
		t.Fatalf("only checked: %+v, %v; set %v", s, err, f.set)
	}
	if s, err := client.SetGroupSettingsWithResponse(t.Context(), "office", change); err != nil || s.JSON200 == nil || len(f.set) != 1 || f.set[0].Excluded[0] != "10.9.0.2-10.9.0.9" {
		t.Fatalf("%+v, %v; set %v", s, err, f.set)
	}
	for field, wrong := range map[string]api.GroupSettingsChange{
		"search": {Search: slices.Repeat([]string{"a"}, 9)}, "denied": {Denied: []string{""}}, "excluded": {Excluded: []string{strings.Repeat("1", 65)}}, "renewPercent": {RenewPercent: 99},
	} {
		s, err := client.SetGroupSettingsWithResponse(t.Context(), "office", wrong)
		if err != nil || s.ApplicationProblemJSONDefault == nil || len(s.ApplicationProblemJSONDefault.Errors) == 0 || !strings.HasPrefix(s.ApplicationProblemJSONDefault.Errors[0].Field, field) {
			t.Errorf("%s: %s, %v", field, s.Body, err)
		}
	}
	if len(f.set) != 1 {
		t.Error("something wrong was set")
	}
}

// What is beyond the document's bounds doesn't hide what the appliance finds wrong, which speaks better of what both do.
func TestWhatTheApplianceFindsWrongWithSettingsIsSaidBesideWhatIsBeyondTheBounds(t *testing.T) {
	f := &fake{err: Invalid(errors.New("leaseSeconds: must be shorter; domain: isn't one"), api.FieldError{Field: "leaseSeconds", Detail: "must be shorter"}, api.FieldError{Field: "domain", Detail: "isn't one"})}
	s, err := serve(t, f).SetGroupSettingsWithResponse(t.Context(), "office", api.GroupSettingsChange{LeaseSeconds: 5999940, Search: slices.Repeat([]string{"a"}, 9)})
	if err != nil || s.ApplicationProblemJSONDefault == nil || s.StatusCode() != statusInvalid {
		t.Fatalf("%s, %v", s.Body, err)
	}
	if got, want := s.ApplicationProblemJSONDefault.Detail, "leaseSeconds: must be shorter; domain: isn't one; search: want at most 8"; got != want || len(s.ApplicationProblemJSONDefault.Errors) != 3 || len(f.set) > 0 {
		t.Errorf("said %q, want %q", got, want)
	}
}
