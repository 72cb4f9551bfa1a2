package console

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"landbridge/console/api"
)

// nameScene is two hosts with one name of an alias's and one without, and two aliases.
func nameScene() *fake {
	f := &fake{groups: []api.Group{{ID: "aa", Name: "office", Zone: "office.internal"}}}
	for i, name := range []string{"zebra", "wiki", "", "ant"} {
		f.leases = append(f.leases, api.Lease{
			Group: "aa", Address: netip.MustParseAddr(fmt.Sprintf("10.9.0.%d", i+7)), Name: name, State: api.LeaseStateLeased, MemberName: "lisbon",
		})
	}
	f.leases[3].State = api.LeaseStateReserved
	f.aliases = []api.Alias{
		{Group: "aa", Name: "wiki", Full: "wiki.office.internal", Target: "zebra", SetBy: "anna"},
		{Group: "aa", Name: "mail", Full: "mail.office.internal", Target: "192.0.2.7", SetBy: "bert"},
	}
	return f
}

func TestNamesComeInOrderAPageAtATimeHostsAndAliasesTogether(t *testing.T) {
	client := serve(t, nameScene())
	limit := 2
	params := api.ListNamesParams{Limit: &limit}
	var got []string
	for range 3 {
		res, err := client.ListNamesWithResponse(t.Context(), &params)
		if err != nil || res.JSON200 == nil || res.JSON200.Total != 5 {
			t.Fatalf("%v, %s", err, res.Body)
		}
		for _, n := range res.JSON200.Items {
			hidden := ""
			if n.Hidden {
				hidden = " hidden"
			}
			got = append(got, fmt.Sprintf("%s %s %s%s", n.Full, n.Kind, n.Target, hidden))
		}
		params.Cursor = res.JSON200.Next
	}
	want := "ant.office.internal reserved 10.9.0.10|mail.office.internal alias 192.0.2.7|wiki.office.internal alias zebra|" +
		"wiki.office.internal host 10.9.0.8 hidden|zebra.office.internal host 10.9.0.7"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if params.Cursor != "" {
		t.Error("a page follows the last")
	}
}

func TestNamesAreFoundByWhatPeopleKnowOfThem(t *testing.T) {
	client := serve(t, nameScene())
	for search, want := range map[string]int{"wiki": 2, "ZEBRA": 2, "192.0.2": 1, "anna": 1, "lisbon": 3, "office.internal": 5, "10.9.0.8": 1, "nothing": 0} {
		res, err := client.ListNamesWithResponse(t.Context(), &api.ListNamesParams{Search: search})
		if err != nil || res.JSON200 == nil || len(res.JSON200.Items) != want {
			t.Errorf("%q: %v, %s; want %d", search, err, res.Body, want)
		}
	}
	res, err := client.ListNamesWithResponse(t.Context(), &api.ListNamesParams{Kind: api.NameKindAlias})
	if err != nil || res.JSON200 == nil || len(res.JSON200.Items) != 2 {
		t.Errorf("aliases: %v, %s", err, res.Body)
	}
	for _, p := range []api.ListNamesParams{{Kind: "no such"}, {Cursor: "x"}, {Cursor: "bnVsbA#"}} {
		if res, err := client.ListNamesWithResponse(t.Context(), &p); err != nil || res.StatusCode() != http.StatusUnprocessableEntity {
			t.Errorf("%+v: %v, %s", p, err, res.Body)
		}
	}
}

func TestAnAliasThatIsRefusedNamesTheField(t *testing.T) {
	client := serve(t, nameScene())
	set, err := client.SetAliasWithResponse(t.Context(), "wiki", api.AliasSet{Target: "web"})
	if err != nil || set.JSON200 == nil || set.JSON200.SetBy == "" {
		t.Fatalf("%v, %s", err, set.Body)
	}
	set, err = client.SetAliasWithResponse(t.Context(), "wiki", api.AliasSet{Target: "taken"})
	if err != nil || set.StatusCode() != http.StatusConflict || len(set.ApplicationProblemJSONDefault.Errors) != 1 || set.ApplicationProblemJSONDefault.Errors[0].Field != "target" {
		t.Errorf("%v, %s", err, set.Body)
	}
	set, err = client.SetAliasWithResponse(t.Context(), strings.Repeat("a", 256), api.AliasSet{})
	if err != nil || set.StatusCode() != http.StatusUnprocessableEntity || len(set.ApplicationProblemJSONDefault.Errors) != 2 {
		t.Errorf("%v, %s", err, set.Body)
	}
}

func TestForwardersAreListedByZoneAndCheckedBeforeTheyAreSet(t *testing.T) {
	client := serve(t, &fake{})
	list, err := client.ListForwardersWithResponse(t.Context())
	if err != nil || list.JSON200 == nil || len(list.JSON200.Items) != 3 || list.JSON200.Items[0].Zone != "corp.example" || list.JSON200.Items[2].Zone != "." {
		t.Errorf("%v, %s", err, list.Body)
	}
	for _, req := range []api.ForwarderSet{
		{}, {Zone: "corp.example"}, {Zone: "corp.example", Servers: []string{"1", "2", "3", "4", "5"}}, {Zone: "corp.example", Servers: []string{strings.Repeat("1", 65)}},
	} {
		if set, err := client.SetForwarderWithResponse(t.Context(), req); err != nil || set.StatusCode() != http.StatusUnprocessableEntity {
			t.Errorf("%+v: %v, %s", req, err, set.Body)
		}
	}
	if set, err := client.SetForwarderWithResponse(t.Context(), api.ForwarderSet{Zone: ".", Servers: []string{"10.0.0.53"}}); err != nil || set.JSON200 == nil || set.JSON200.Zone != "." {
		t.Errorf("%v, %s", err, set.Body)
	}
	if gone, err := client.RemoveForwarderWithResponse(t.Context(), &api.RemoveForwarderParams{Zone: "."}); err != nil || gone.JSON200 == nil {
		t.Errorf("%v, %s", err, gone.Body)
	}
}

func TestAListOfTheWholeGroupSaysWhoseHostsItMayLack(t *testing.T) {
	f := nameScene()
	client := serve(t, f)
	names, err := client.ListNamesWithResponse(t.Context(), &api.ListNamesParams{})
	if err != nil || names.JSON200 == nil || strings.Join(names.JSON200.Unheard, " ") != "porto" {
		t.Errorf("%v, %s", err, names.Body)
	}
	for site, want := range map[api.LeaseSite]string{"": "", api.LeaseSiteHere: "", api.LeaseSiteElsewhere: "porto", api.LeaseSiteAll: "porto"} {
		leases, err := client.ListLeasesWithResponse(t.Context(), &api.ListLeasesParams{Site: site})
		if err != nil || leases.JSON200 == nil || strings.Join(leases.JSON200.Unheard, " ") != want {
			t.Errorf("site %q: %v, %s", site, err, leases.Body)
		}
	}
	before := f.rounds
	if _, err := client.ListNamesWithResponse(t.Context(), &api.ListNamesParams{Kind: api.NameKindAlias}); err != nil || f.rounds != before || before != 3 {
		t.Errorf("members asked %d times, and %d times for aliases, which all know", before, f.rounds-before)
	}
}

func TestAWordThatIsNoneIsToldWhichThereAre(t *testing.T) {
	client := serve(t, nameScene())
	res, err := client.ListLeasesWithResponse(t.Context(), &api.ListLeasesParams{State: "foo", Kind: "foo", Site: "foo", Sort: "foo"})
	if err != nil || res.ApplicationProblemJSONDefault == nil {
		t.Fatalf("%v, %s", err, res.Body)
	}
	for field, want := range map[string]string{"state": "declined or all", "kind": "static or own", "site": "elsewhere or all", "sort": "end or changed"} {
		found := false
		for _, e := range res.ApplicationProblemJSONDefault.Errors {
			found = found || e.Field == field && strings.Contains(e.Detail, want)
		}
		if !found {
			t.Errorf("%s: %s", field, res.Body)
		}
	}
}
