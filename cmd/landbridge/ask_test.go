package main

import (
	"errors"
	"slices"
	"testing"
)

func TestPagesAreAskedForUntilThereIsEnough(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		limit, has int
		err        error
		sizes      []int
	}{
		"all of two pages and a half":  {0, 2500, nil, []int{perPage, perPage, perPage}},
		"all of two pages":             {0, 2000, nil, []int{perPage, perPage}},
		"as many as are wanted":        {1200, 2500, nil, []int{perPage, 200}},
		"fewer than are wanted":        {1200, 700, nil, []int{perPage}},
		"none":                         {0, 0, nil, []int{perPage}},
		"what goes wrong ends it":      {0, 2500, broken, []int{perPage}},
		"exactly as many as there are": {700, 700, nil, []int{700}},
	} {
		var sizes []int
		left := c.has
		err := byPages(c.limit, func(size int) (got int, next string, err error) {
			sizes = append(sizes, size)
			got = min(size, left)
			if left -= got; left > 0 {
				next = "more"
			}
			return got, next, c.err
		})
		if !errors.Is(err, c.err) || !slices.Equal(sizes, c.sizes) {
			t.Errorf("%s: pages of %v, %v; want %v", name, sizes, err, c.sizes)
		}
	}
}
