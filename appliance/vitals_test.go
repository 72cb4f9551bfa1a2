package appliance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/internal/registry"
)

func TestWhatIsWrongIsSaidInWords(t *testing.T) {
	plenty := registry.Outlook{Blocks: 2, Valid: 2, Free: 100}
	for name, c := range map[string]struct {
		sight
		want []string // of each ailment, in order, a part of the text
	}{
		"all is well":            {sight{router: true, others: 2, connected: 1, claimable: true, outlook: plenty}, nil},
		"a lone founder":         {sight{router: true, claimable: true, outlook: plenty}, nil},
		"a lone host":            {sight{claimable: true}, nil},
		"a host without a block": {sight{others: 1, connected: 1, claimable: true}, nil}, // keepAddress tells
		"a founder, the other away": {sight{router: true, others: 1, claimable: true, outlook: plenty},
			[]string{"The other member of the group office can't be reached"}},
		"cut off, with room": {sight{router: true, others: 2, outlook: plenty},
			[]string{"hosts of this LAN reach each other only", "new hosts get the 100 addresses that are free"}},
		"cut off, a single machine": {sight{others: 2},
			[]string{"this machine reaches nobody", "new hosts get none"}},
		"cut off before the first block": {sight{router: true, others: 2},
			[]string{"None of the 2 other members", "majority", "holds no block of them yet, and claiming one takes a majority"}},
		"the holds have run out": {sight{router: true, others: 4, connected: 1, outlook: registry.Outlook{Blocks: 2}},
			[]string{"majority", "the time for which this appliance holds its 2 blocks has run out"}},
		"full, the prefix used up": {sight{router: true, others: 1, connected: 1, claimable: true, outlook: registry.Outlook{Blocks: 1, Valid: 1, Shortage: &registry.TakenError{}}},
			[]string{"those of the 1 block held here are all in use, and the others hold all"}},
		"full, at its share": {sight{router: true, claimable: true, outlook: registry.Outlook{Blocks: 3, Valid: 3, Shortage: registry.ErrShare}},
			[]string{"holds as many as one member may"}},
		"the former keepers are gone": {sight{router: true, others: 1, connected: 1, claimable: true, outlook: registry.Outlook{Blocks: 1, Valid: 1, Free: 7, Stranded: true}},
			[]string{"too few of those that kept it can be reached: no block can be claimed, new hosts get the 7 addresses"}},
		"from an older copy": {sight{router: true, others: 1, outlook: registry.Outlook{Forgetful: true}},
			[]string{"older copy of its state"}},
		"from an older copy, with the CA key": {sight{authority: true, outlook: registry.Outlook{Forgetful: true}},
			[]string{"create a new group"}},
	} {
		c.group = "office"
		var got []string
		for _, a := range c.ailments() {
			got = append(got, a.text)
		}
		if !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q\nwant %q", name, got, c.want)
		}
	}
}

func TestOnlyWhatLastsIsTold(t *testing.T) {
	begun := time.Now()
	at := func(s float64) time.Time { return begun.Add(time.Duration(s * float64(time.Second))) }
	alone := ailment{key: "alone", text: "alone"}
	worse := ailment{key: "alone", text: "alone, and worse"}
	v := newVitals(begun)
	for _, c := range []struct {
		at          float64
		all         []ailment
		tell, ended int
	}{
		{0, []ailment{alone}, 0, 0},
		{6, []ailment{alone}, 0, 0}, // it is still being taken up
		{10, []ailment{alone}, 1, 0},
		{11, []ailment{alone}, 0, 0}, // told
		{12, []ailment{worse}, 1, 0}, // other words
		{13, nil, 0, 1},
		{14, nil, 0, 0},
		{15, []ailment{alone}, 0, 0}, // a member restarts
		{18, nil, 0, 0},
		{19, []ailment{alone}, 0, 0},
		{23, []ailment{alone}, 0, 0},
		{24, []ailment{alone}, 1, 0},
	} {
		tell, ended := v.step(c.all, at(c.at))
		if len(tell) != c.tell || len(ended) != c.ended {
			t.Errorf("at %v s: told %v, ended %v", c.at, tell, ended)
		}
	}
}
