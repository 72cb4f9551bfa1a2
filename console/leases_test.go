package console

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"landbridge/console/api"
)

func TestLeasesComeInOrderAPageAtATime(t *testing.T) {
	leases := append(someLeases("bb", 7), someLeases("aa", 25)...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(leases), func(i, j int) { leases[i], leases[j] = leases[j], leases[i] })
	client := serve(t, &fake{leases: leases})
	want := slices.SortedFunc(slices.Values(leases), func(a, b api.Lease) int { return keyOf(a).compare(keyOf(b)) })

	limit := 8
	var got []api.Lease
	params := api.ListLeasesParams{Limit: &limit}
	for pages := 1; ; pages++ {
		res, err := client.ListLeasesWithResponse(t.Context(), &params)
		if err != nil || res.JSON200 == nil {
			t.Fatalf("page %d: %v, %s", pages, err, res.Body)
		}
		if res.JSON200.Total != len(leases) {
			t.Errorf("page %d: total %d, want %d", pages, res.JSON200.Total, len(leases))
		}
		got = append(got, res.JSON200.Items...)
		if res.JSON200.Next == "" {
			if pages != 4 { // 32 leases in pages of 8: the last is full, and none follows
				t.Errorf("%d pages, want 4", pages)
			}
			break
		}
		params.Cursor = res.JSON200.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d leases, not the %d that there are in their order", len(got), len(want))
	}
}

func TestAPageGoesOnAfterALeaseThatIsGone(t *testing.T) {
	leases := someLeases("aa", 6)
	first := leaseQuery{limit: 3}.page(slices.Values(leases))
	after, err := parseCursor(first.Next)
	if err != nil {
		t.Fatal(err)
	}
	// The lease that the cursor names goes, and one before it comes.
	rest := slices.Delete(slices.Clone(leases), 2, 3)
	rest = append(rest, api.Lease{Group: "aa", Address: netip.MustParseAddr("10.9.0.1")})
	second := leaseQuery{limit: 3, after: &after}.page(slices.Values(rest))
	if len(second.Items) != 3 || second.Items[0] != leases[3] || second.Next != "" {
		t.Errorf("got %+v", second)
	}
}

func TestSearchFindsLeasesByWhatPeopleKnowOfThem(t *testing.T) {
	leases := someLeases("aa", 20)
	for search, want := range map[string]int{"HOST-7": 1, "10.9.0.1": 10, "02:00:00:00:00:0": 16, "010203040013": 1, "site-A": 20, "nobody": 0, "": 20} {
		client := serve(t, &fake{leases: leases, groups: []api.Group{{ID: "aa", Name: "office"}}})
		res, err := client.ListLeasesWithResponse(t.Context(), &api.ListLeasesParams{Search: search, Group: "office"})
		if err != nil || res.JSON200 == nil || len(res.JSON200.Items) != want || res.JSON200.Total != want {
			t.Errorf("%q: %v, %s; want %d", search, err, res.Body, want)
		}
	}
}

func TestOnlyLeasesOfTheGroupAreListed(t *testing.T) {
	leases := append(someLeases("aa", 3), someLeases("bb", 2)...)
	client := serve(t, &fake{leases: leases, groups: []api.Group{{ID: "aa", Name: "office"}, {ID: "bb", Name: "lab"}}})
	res, err := client.ListLeasesWithResponse(t.Context(), &api.ListLeasesParams{Group: "lab"})
	if err != nil || res.JSON200 == nil || res.JSON200.Total != 2 {
		t.Errorf("%v, %s", err, res.Body)
	}
}

func BenchmarkPageOf100000Leases(b *testing.B) {
	leases := someLeases("aa", 100_000)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(leases), func(i, j int) { leases[i], leases[j] = leases[j], leases[i] })
	b.ReportAllocs()
	for b.Loop() {
		leaseQuery{limit: defaultPage, search: "host-1"}.page(slices.Values(leases))
	}
}
