package tunnel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// lifeScript drives a life machine by a table, as script does a path machine.
type lifeScript struct {
	t        *testing.T
	s        lifeState
	m        moment
	messages uint64
	sofar    []string
}

func (c *lifeScript) step(event any) (acts []string) {
	var list []any
	c.s, list = stepLife(c.s, event, c.m, c.messages)
	for _, a := range list {
		switch a := a.(type) {
		case sendOffer:
			acts = append(acts, map[bool]string{false: "offer", true: "offer again"}[a.again])
		case sendRekey:
			acts = append(acts, "rekey")
		case dropSession:
			acts = append(acts, fmt.Sprint("drop ", a.tell))
		}
	}
	return acts
}

func (c *lifeScript) until(at time.Duration) {
	for {
		next := max(c.s.deadline(c.m, c.messages), c.m.now)
		if next > at {
			break
		}
		c.m.now = next
		c.sofar = append(c.sofar, c.step(tick{})...)
		if c.s.deadline(c.m, c.messages) <= c.m.now {
			c.t.Fatalf("at %v the machine spins: %+v", c.m.now, c.s)
		}
	}
	c.m.now = at
}

var errDown = errors.New("the member can't be reached")

func TestLifeMachine(t *testing.T) {
	for name, lines := range map[string][]line{
		"a packet makes an offer, and only one": {
			{0, wanted{}, "offer"},
			{10 * ms, wanted{}, ""},
			{10 * ms, installed{initiator: true}, ""},
			{0, offerDone{}, ""},
			{10 * ms, pathAlive{true}, ""},
			{time.Second, "so far", ""},
		},
		"offers that fail are repeated, at most a second apart, while packets want to go": {
			{0, wanted{}, "offer"},
			{0, offerDone{errDown}, ""},
			{200 * ms, "so far", "offer"},
			{0, offerDone{errDown}, ""},
			{400 * ms, "so far", "offer"},
			{0, offerDone{errDown}, ""},
			{799 * ms, "so far", ""},
			{2 * ms, "so far", "offer"},
			{0, offerDone{errDown}, ""},
			{1001 * ms, wanted{}, ""},
			{0, "so far", "offer"},
			{0, offerDone{errDown}, ""},
			{time.Minute, "so far", "offer"}, // an answer to the want; then nobody wants any more
		},
		"word that the peer is there brings the next offer forward": {
			{0, wanted{}, "offer"},
			{0, offerDone{errDown}, ""},
			{0, peerReachable{}, "offer"},
		},
		"and gives up a call that hangs": {
			{0, wanted{}, "offer"},
			{100 * ms, peerReachable{}, ""},
			{time.Second, peerReachable{}, "offer again"},
		},
		"a session without a path is asked for again after 3 s, then every 5 s": {
			{0, keepOpen{true}, "offer"},
			{0, installed{initiator: true}, ""},
			{0, offerDone{}, ""},
			{2999 * ms, "so far", ""},
			{2 * ms, "so far", "offer"},
			{0, installed{initiator: true}, ""},
			{0, offerDone{}, ""},
			{4999 * ms, "so far", ""},
			{2 * ms, "so far", "offer"},
			{0, installed{initiator: true}, ""},
			{0, offerDone{}, ""},
			{4999 * ms, "so far", ""},
			{2 * ms, "so far", "offer"},
		},
		"a path that dies leads to an offer at once": {
			{0, keepOpen{true}, "offer"},
			{0, installed{initiator: true}, ""},
			{0, offerDone{}, ""},
			{0, pathAlive{true}, ""},
			{time.Second, pathAlive{false}, "offer"},
		},
		"but not if nobody wants it, and then the session ends": {
			{0, wanted{}, "offer"},
			{0, installed{initiator: true}, ""},
			{0, offerDone{}, ""},
			{0, pathAlive{true}, ""},
			{time.Minute, pathAlive{false}, ""},
			{29 * time.Second, "so far", ""},
			{2 * time.Second, "so far", "drop 2"},
		},
		"keys are renewed after 2 minutes, with patience": {
			{0, keepOpen{true}, "offer"},
			{0, installed{initiator: true}, ""},
			{0, offerDone{}, ""},
			{0, pathAlive{true}, ""},
			{119 * time.Second, "so far", ""},
			{1001 * ms, "so far", "rekey"},
			{10 * time.Second, "so far", "rekey, rekey, rekey, rekey"},
			{24 * time.Second, "so far", "rekey"},
			{0, installed{initiator: true}, ""},
			{time.Minute, "so far", ""},
		},
		"the responder waits 10 s longer": {
			{0, keepOpen{true}, "offer"},
			{0, installed{initiator: false}, ""},
			{0, offerDone{}, ""},
			{0, pathAlive{true}, ""},
			{129 * time.Second, "so far", ""},
			{1001 * ms, "so far", "rekey"},
		},
		"a worn key is renewed at once": {
			{0, keepOpen{true}, "offer"},
			{0, installed{initiator: true}, ""},
			{0, offerDone{}, ""},
			{0, pathAlive{true}, ""},
			{time.Second, "messages", ""},
			{0, "so far", "rekey"},
		},
		"an idle session ends after 5 minutes": {
			{0, wanted{}, "offer"},
			{0, installed{initiator: true}, ""},
			{0, offerDone{}, ""},
			{0, pathAlive{true}, ""},
			{100 * time.Second, installed{initiator: true}, ""},
			{20 * time.Second, "data", ""},
			{80 * time.Second, installed{initiator: true}, ""},
			{100 * time.Second, installed{initiator: true}, ""},
			{100 * time.Second, installed{initiator: true}, ""},
			{19 * time.Second, "so far", ""},
			{2 * time.Second, "so far", "drop 2"},
			{time.Hour, "so far", ""},
		},
		"a kept one doesn't": {
			{0, keepOpen{true}, "offer"},
			{0, installed{initiator: false}, ""},
			{0, offerDone{}, ""},
			{0, pathAlive{true}, ""},
			{2 * time.Minute, installed{initiator: false}, ""},
			{2 * time.Minute, installed{initiator: false}, ""},
			{2 * time.Minute, installed{initiator: false}, ""},
			{time.Second, "so far", ""},
		},
		"keys that can't be renewed lead to an offer while packets flow": {
			{0, keepOpen{true}, "offer"},
			{0, installed{initiator: true}, ""},
			{0, offerDone{}, ""},
			{0, pathAlive{true}, ""},
			{598 * time.Second, "data", ""},
			{0, "forget", ""},
			{2 * time.Second, "so far", "rekey, offer, rekey"},
		},
		"a session that was refused isn't asked for at once": {
			{0, keepOpen{true}, "offer"},
			{0, installed{initiator: false}, ""},
			{0, offerDone{}, ""},
			{time.Second, sessionOver{why: "removed", tell: closeRevoked, wait: 5 * time.Second}, "drop 3"},
			{4900 * ms, "so far", ""},
			{200 * ms, "so far", "offer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &lifeScript{t: t, m: moment{now: time.Second}}
			for i, l := range lines {
				c.until(c.m.now + l.after)
				var got []string
				switch do := l.do.(type) {
				case string:
					switch do {
					case "so far":
						got, c.sofar = c.sofar, nil
					case "forget":
						c.sofar = nil
					case "data":
						c.m.data = c.m.now
					case "messages":
						c.messages = rekeyAfterMessages
					}
				default:
					got = c.step(do)
				}
				if s := strings.Join(got, ", "); s != l.want {
					t.Fatalf("line %d (%v at %v): %q instead of %q", i, l.do, c.m.now, s, l.want)
				}
			}
		})
	}
}

func TestLifeMachineHoldsItsPromises(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 11))
		c := &lifeScript{t: t, m: moment{now: time.Second}}
		offers, since := 0, c.m.now
		for range 300 {
			c.until(c.m.now + time.Duration(random.ExpFloat64()*float64(2*time.Second)))
			offers += strings.Count(strings.Join(c.sofar, " "), "offer")
			c.sofar = nil
			events := []any{
				wanted{}, wanted{}, keepOpen{random.IntN(2) == 0}, installed{random.IntN(2) == 0},
				pathAlive{c.s.up && random.IntN(2) == 0}, sessionOver{why: "x", tell: 1}, tick{}, addressLearned{},
			}
			if c.s.calling {
				events = append(events, offerDone{}, offerDone{errDown}, offerDone{errDown})
			}
			if random.IntN(3) == 0 {
				c.m.data = c.m.now
			}
			event := events[random.IntN(len(events))]
			was := c.s.calling
			acts := strings.Join(c.step(event), ", ")
			if was && strings.Contains(acts, "offer") {
				if _, done := event.(offerDone); !done {
					t.Fatalf("seed %d: a second offer beside the first, after %T", seed, event)
				}
			}
			offers += strings.Count(acts, "offer")
			if strings.Contains(acts, "rekey") && !c.s.up {
				t.Fatalf("seed %d: rekey without keys", seed)
			}
		}
		if most := int((c.m.now-since)/(100*ms)) + 10; offers > most {
			t.Errorf("seed %d: %d offers in %v", seed, offers, c.m.now-since)
		}
	}
}
