package tunnel

import (
	"strings"
	"testing"
	"time"

	"landbridge/internal/group"
)

func TestRelaysThatFellSilentArentBelievedUntilOneAnswers(t *testing.T) {
	c := newScript(t)
	c.step(relaysLive{[]group.MemberID{relayOne, relayTwo}})
	c.step(offers("relay1", "relay2"))
	c.step(keysUp{})
	used := []string{pathName(c.s.chosen)}
	note := func() {
		if name := pathName(c.s.chosen); name != used[len(used)-1] {
			used = append(used, name)
		}
	}
	for range 150 { // the peer has lost the keys: it gets what we send, and can't answer
		c.until(c.m.now + 200*ms)
		c.m.sent, c.m.data = c.m.now, c.m.now
		note()
	}
	if got := strings.Join(used, ", "); got != "relay1, relay2, none" {
		t.Fatalf("used %v", got)
	}
	c.sofar = nil
	c.until(c.m.now + 30*time.Second)
	if n := len(c.sofar); n < 10 || n > 40 {
		t.Errorf("%d probes to two silent relays in 30 s", n)
	}
	c.step(c.pong("relay2"))
	if got := pathName(c.s.chosen); got != "relay2" {
		t.Errorf("%v is used after a pong by relay2", got)
	}
}

func TestARelayThatRefusesIsntAskedOverAndOver(t *testing.T) {
	c := newScript(t)
	c.step(relaysLive{[]group.MemberID{relayOne}})
	c.step(offers("relay1"))
	c.step(keysUp{})
	c.sofar = nil
	for range 100 {
		c.until(c.m.now + 100*ms)
		c.sofar = append(c.sofar, c.step(refused{relayOne})...)
	}
	if n := len(c.sofar); n > 15 {
		t.Errorf("%d actions in 10 s", n)
	}
}
