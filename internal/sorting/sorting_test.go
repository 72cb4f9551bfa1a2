package sorting

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestListsAreSortedAsSlicesSortsThem(t *testing.T) {
	type pair struct{ key, was int }
	byKey := func(a, b pair) int { return cmp.Compare(a.key, b.key) }
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		var list []pair
		for i := range n {
			list = append(list, pair{random.IntN(n/2 + 1), i})
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, byKey)
		got := slices.Clone(list)
		By(got, byKey)
		if !slices.IsSortedFunc(got, byKey) {
			t.Fatalf("By leaves %v", got)
		}
		if got = Sorted(slices.Values(list), byKey); len(got) != len(list) || !slices.IsSortedFunc(got, byKey) {
			t.Fatalf("Sorted returns %v of %v", got, list)
		}
		StablyBy(list, byKey)
		if !slices.Equal(list, want) {
			t.Fatalf("StablyBy leaves %v, want %v", list, want)
		}
	}
}
