package doctor

import (
	"slices"
	"strings"
	"testing"

	"landbridge/internal/registry"
)

func TestWhatIsWrongIsSaidInWords(t *testing.T) {
	plenty := registry.Outlook{Blocks: 2, Valid: 2, Free: 100}
	for name, c := range map[string]struct {
		Sight
		want []string // of each trouble, in order, a part of the text
	}{
		"all is well":            {Sight{Router: true, Others: 2, Connected: 1, Claimable: true, Outlook: plenty}, nil},
		"a lone founder":         {Sight{Router: true, Claimable: true, Outlook: plenty}, nil},
		"a lone host":            {Sight{Claimable: true}, nil},
		"a host without a block": {Sight{Others: 1, Connected: 1, Claimable: true}, nil}, // keepAddress tells
		"a founder, the other away": {Sight{Router: true, Others: 1, Claimable: true, Outlook: plenty},
			[]string{"The other member of the group office can't be reached"}},
		"cut off, with room": {Sight{Router: true, Others: 2, Outlook: plenty},
			[]string{"hosts of this LAN reach each other only", "new hosts get the 100 addresses that are free"}},
		"cut off, a single machine": {Sight{Others: 2},
			[]string{"this machine reaches nobody", "new hosts get none"}},
		"cut off before the first block": {Sight{Router: true, Others: 2},
			[]string{"None of the 2 other members", "majority", "holds no block of them yet, and claiming one takes a majority"}},
		"the holds have run out": {Sight{Router: true, Others: 4, Connected: 1, Outlook: registry.Outlook{Blocks: 2}},
			[]string{"majority", "the time for which this appliance holds its 2 blocks has run out"}},
		"full, the prefix used up": {Sight{Router: true, Others: 1, Connected: 1, Claimable: true, Outlook: registry.Outlook{Blocks: 1, Valid: 1, Shortage: &registry.TakenError{}}},
			[]string{"those of the 1 block held here are all in use, and the others hold all"}},
		"full, at its share": {Sight{Router: true, Claimable: true, Outlook: registry.Outlook{Blocks: 3, Valid: 3, Shortage: registry.ErrShare}},
			[]string{"holds as many as one member may"}},
		"the former keepers are gone": {Sight{Router: true, Others: 1, Connected: 1, Claimable: true, Outlook: registry.Outlook{Blocks: 1, Valid: 1, Free: 7, Stranded: true}},
			[]string{"too few of those that kept it can be reached: no block can be claimed, new hosts get the 7 addresses"}},
		"from an older copy": {Sight{Router: true, Others: 1, Outlook: registry.Outlook{Forgetful: true}},
			[]string{"older copy of its state"}},
		"from an older copy, with the CA key": {Sight{Authority: true, Outlook: registry.Outlook{Forgetful: true}},
			[]string{"create a new group"}},
	} {
		c.Group = "office"
		var got []string
		for _, a := range c.Troubles() {
			got = append(got, a.String())
			if a.Remedy == "" || a.Component == "" || a.Key == "" {
				t.Errorf("%s: %+v", name, a)
			}
		}
		if !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q\nwant %q", name, got, c.want)
		}
	}
}
