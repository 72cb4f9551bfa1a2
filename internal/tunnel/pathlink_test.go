package tunnel

import (
	"testing"
	"time"

	"landbridge/internal/group"
)

func TestAStreamIsTheWayWhereUDPIsNone(t *testing.T) {
	live := relaysLive{[]group.MemberID{relayOne}}
	up, gone := linkUp{linkAddr}, linkGone{linkAddr}
	for name, lines := range map[string][]line{
		"it is asked for when no address has answered, tried like an address, and better ones go on being looked for": {
			{0, offers("direct"), ""},
			{0, keysUp{}, "probe direct"},
			{800 * ms, "so far", "probe direct, probe direct, probe direct, probe direct, open link"},
			{1300 * ms, "so far", "probe direct"},
			{0, up, "probe link"},
			{10 * ms, "pong link", "use link"},
			{0, "sent", ""},
			{0, "heard", ""},
			{2 * time.Second, "so far", "probe direct"},
			{time.Second, "so far", "probe link, probe link, probe link, probe link, probe link, probe direct, tell, probe link"},
		},
		"for a session that is held no packets are needed": {
			{0, live, ""},
			{0, keepOpen{true}, ""},
			{0, offers("direct", "relay1"), ""},
			{0, keysUp{}, "use relay1, probe direct, probe relay1"},
			{0, "pong relay1", "probe full relay1"},
			{0, "pong relay1", ""},
			{800 * ms, "so far", "probe direct, probe direct, probe direct, probe direct, open link"},
			{3300 * ms, "so far", "probe direct, probe direct"},
			{time.Second, "so far", "probe direct, tell"},
			{0, keepOpen{false}, ""},
			{9 * time.Second, "so far", "probe direct, probe direct, probe direct"},
			{time.Second, keysDown{}, "use none"},
		},
		"word that the peer is there leaves addresses their time": {
			{0, offers("direct"), ""},
			{0, keysUp{}, "probe direct"},
			{10 * ms, peerReachable{}, ""},
			{40 * ms, "so far", "probe direct"},
			{0, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{3 * time.Second, "so far", ""},
		},
		"it is better than a relay, and less than an address": {
			{0, live, ""},
			{0, offers("direct", "relay1"), ""},
			{0, keysUp{}, "use relay1, probe direct, probe relay1"},
			{0, up, "probe link"},
			{10 * ms, "pong relay1", "probe full relay1"},
			{10 * ms, "pong relay1", ""},
			{0, "pong link", "use link"},
			{0, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
		},
		"where it ends the relay takes over at once": {
			{0, live, ""},
			{0, offers("relay1"), ""},
			{0, keysUp{}, "use relay1, probe relay1"},
			{0, "pong relay1", "probe full relay1"},
			{0, "pong relay1", ""},
			{0, up, "probe link"},
			{10 * ms, "pong link", "use link"},
			{0, gone, "use relay1"},
		},
		"it outlives the keys": {
			{0, keysUp{}, ""},
			{0, up, "probe link"},
			{10 * ms, "pong link", "use link"},
			{0, keysDown{}, "use none"},
			{time.Second, keysUp{}, "probe link"},
			{10 * ms, "pong link", "use link"},
		},
		"what comes by it isn't a peer that has moved": {
			{0, offers("direct"), ""},
			{0, keysUp{}, "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{time.Second, heardFrom{pathID{addr: linkAddr}, PathTCP}, "probe link"},
			{10 * ms, "pong link", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newScript(t)
			c.play(lines)
		})
	}
}
