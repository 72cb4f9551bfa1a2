package sorting

import (
	"iter"
	"slices"
	"sort"
)

// By sorts list by compare, which returns a negative number where a stands before b, and a positive one where
// behind it. Equal elements may change places.
func By[E any](list []E, compare func(a, b E) int) {
	sort.Slice(list, func(i, j int) bool { return compare(list[i], list[j]) < 0 })
}

// StablyBy is By, and equal elements keep their order.
func StablyBy[E any](list []E, compare func(a, b E) int) {
	sort.SliceStable(list, func(i, j int) bool { return compare(list[i], list[j]) < 0 })
}

// Sorted returns what seq has, sorted as By sorts it.
func Sorted[E any](seq iter.Seq[E], compare func(a, b E) int) []E {
	list := slices.Collect(seq)
	By(list, compare)
	return list
}
