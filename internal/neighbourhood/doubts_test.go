package neighbourhood

import (
	"slices"
	"testing"
	"time"

	"landbridge/internal/beacon"
	"landbridge/internal/group"
	"landbridge/internal/share"
)

func TestADoubtedRouterIsStoodInForOnlyOnceItWasAsked(t *testing.T) {
	other := group.MemberID{2}
	says := beacon.Says{Router: true, LANWell: true, WANWell: true, Sharing: true}
	heard, silent := beacon.Neighbor{Member: other, Says: says}, beacon.Neighbor{Member: other, Says: says, Silent: true}
	doubted := []group.MemberID{other}
	d, now := NewDoubts(group.MemberID{99}), time.Unix(1e9, 0)
	for _, c := range []struct {
		name      string
		neighbors []beacon.Neighbor
		doubted   []group.MemberID
		answer    string // before this step
		asked     bool
		there     bool // it takes part, as far as we go
	}{
		{"heard", []beacon.Neighbor{heard}, nil, "", false, true},
		{"heard, doubted", []beacon.Neighbor{heard}, doubted, "", false, true},
		{"silent, doubted: asked", []beacon.Neighbor{silent}, doubted, "", true, true},
		{"not yet answered", []beacon.Neighbor{silent}, doubted, "", false, true},
		{"it is well", []beacon.Neighbor{silent}, doubted, "well", false, true},
		{"no neighbour any more", nil, doubted, "", false, true},
		{"later: asked again", nil, doubted, "later", true, true},
		{"it doesn't answer", nil, doubted, "no", false, false},
		{"later: asked again, and not believed meanwhile", nil, doubted, "later", true, false},
		{"it is well again", []beacon.Neighbor{silent}, doubted, "well", false, true},
		{"no doubts", []beacon.Neighbor{silent}, nil, "", false, false},
		{"heard again", []beacon.Neighbor{heard}, nil, "", false, true},
		{"somebody speaks in our name: asked", []beacon.Neighbor{silent}, []group.MemberID{{99}}, "", true, true},
		{"it doesn't answer either", []beacon.Neighbor{silent}, []group.MemberID{{99}}, "no", false, false},
		{"heard once more", []beacon.Neighbor{heard}, nil, "", false, true},
		{"silent without a doubt", []beacon.Neighbor{silent}, nil, "", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			switch c.answer {
			case "well", "no":
				d.Answer(other, c.answer == "well", now)
			case "later":
				now = now.Add(AliveAgain)
			}
			now = now.Add(10 * time.Millisecond)
			routers, ask, unsure := d.Step(c.neighbors, c.doubted, now)
			there := slices.ContainsFunc(routers, func(r share.Router) bool { return r.Member == other && !r.Silent && r.Sharing })
			if slices.Contains(ask, other) != c.asked || there != c.there || unsure {
				t.Errorf("asked %v, routers %+v, unsure %v", ask, routers, unsure)
			}
		})
	}
}

func TestWhoIsNamedByForgeriesAloneIsAskedBeforeARouterTakesPart(t *testing.T) {
	d, now := NewDoubts(group.MemberID{99}), time.Unix(1e9, 0)
	var many []group.MemberID
	for i := range byte(20) {
		many = append(many, group.MemberID{i + 1})
	}
	routers, ask, unsure := d.Step(nil, many, now)
	if len(routers) != 0 || len(ask) != doubtsAtOnce || !unsure {
		t.Fatalf("routers %v, asked %d, unsure %v", routers, len(ask), unsure)
	}
	for len(ask) > 0 {
		for _, m := range ask {
			d.Answer(m, true, now) // at another site
		}
		routers, ask, unsure = d.Step(nil, many, now)
	}
	if len(routers) != 0 || unsure {
		t.Errorf("routers %v, unsure %v", routers, unsure)
	}
	if _, ask, unsure = d.Step(nil, many, now.Add(doubtAgain)); len(ask) != doubtsAtOnce || unsure {
		t.Errorf("later: asked %d, unsure %v", len(ask), unsure)
	}
}

func TestARouterOfThisLANHasLessTimeToAnswerThanAStranger(t *testing.T) {
	d, known := NewDoubts(group.MemberID{99}), group.MemberID{1}
	d.Step([]beacon.Neighbor{{Member: known, Says: beacon.Says{Router: true}}}, nil, time.Unix(1e9, 0))
	if d.Patience(known) != AliveTimeout || d.Patience(group.MemberID{2}) != doubtTimeout {
		t.Errorf("%v and %v", d.Patience(known), d.Patience(group.MemberID{2}))
	}
}
