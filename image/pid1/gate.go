package pid1

import (
	"fmt"
	"time"
)

// When a version that is tried isn't well.
const (
	trialWithin = 5 * time.Minute // after its start
	mostEnds    = 6               // of its program, none of which is waited for longer than some seconds
)

// verdict is what the gate says of the version that runs.
type verdict int

const (
	undecided verdict = iota
	well
	unwell
	up // it runs, and isn't to be kept
)

// sighting is what was seen of the appliance at one look.
type sighting struct {
	door    bool // the console answers persons
	socket  bool // it answers at its socket
	reached bool // another member is reached
	lost    bool // the state couldn't be mounted
	ends    int  // of the program since the start
}

// gate decides whether the version that runs is well.
type gate struct {
	trial   bool // else it is never unwell
	reached bool // others were, before
	inARow  int
}

// judge takes in a look at an appliance that started so long ago. why is a clause for people.
func (g *gate) judge(s sighting, after time.Duration) (v verdict, why string) {
	if s.door && s.socket {
		g.inARow++
	} else {
		g.inARow = 0
	}
	switch {
	case s.lost && g.trial:
		return unwell, "it couldn't open the state partition"
	case s.lost && g.inARow >= wellAfter:
		return up, "" // the other version may know it
	case s.lost:
		return undecided, ""
	case g.inARow >= wellAfter && (s.reached || !g.reached || !g.trial):
		return well, ""
	case !g.trial:
		return undecided, ""
	case s.ends >= mostEnds:
		return unwell, fmt.Sprintf("its program ended %d times", s.ends)
	case after < trialWithin:
		return undecided, ""
	case g.inARow >= wellAfter:
		return unwell, fmt.Sprintf("it reached no other member within %v, as the version before did", trialWithin)
	case s.socket:
		return unwell, fmt.Sprintf("the console didn't answer browsers within %v", trialWithin)
	}
	return unwell, fmt.Sprintf("the console didn't answer within %v", trialWithin)
}
