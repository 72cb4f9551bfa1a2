package health

import (
	"slices"
	"testing"
	"time"
)

func TestOnlyWhatLastsIsTold(t *testing.T) {
	begun := time.Now()
	at := func(s float64) time.Time { return begun.Add(time.Duration(s * float64(time.Second))) }
	alone := warning("overlay", "alone", "alone")
	worse := warning("overlay", "alone", "alone, and worse")
	v := NewVigil(begun)
	for _, c := range []struct {
		at          float64
		all         []Trouble
		tell, ended int
		told        []Trouble
	}{
		{0, []Trouble{alone}, 0, 0, nil},
		{6, []Trouble{alone}, 0, 0, nil}, // it is still being taken up
		{10, []Trouble{alone}, 1, 0, []Trouble{alone}},
		{11, []Trouble{alone}, 0, 0, []Trouble{alone}}, // told
		{12, []Trouble{worse}, 1, 0, []Trouble{worse}}, // other words
		{13, nil, 0, 1, nil},
		{14, nil, 0, 0, nil},
		{15, []Trouble{alone}, 0, 0, nil}, // a member restarts
		{18, nil, 0, 0, nil},
		{19, []Trouble{alone}, 0, 0, nil},
		{23, []Trouble{alone}, 0, 0, nil},
		{24, []Trouble{alone}, 1, 0, []Trouble{alone}},
	} {
		tell, ended := v.Step(c.all, at(c.at))
		if len(tell) != c.tell || len(ended) != c.ended || !slices.Equal(v.Told(), c.told) {
			t.Errorf("at %v s: told %v, ended %v, standing %v", c.at, tell, ended, v.Told())
		}
	}
}
