package tunnel

import (
	"testing"
	"time"

	"landbridge/internal/group"
)

func TestAPathInUseIsAskedWhetherItIsAsWideAsItWas(t *testing.T) {
	live := relaysLive{[]group.MemberID{relayOne}}
	for name, lines := range map[string][]line{
		"a path in use that becomes narrower is left for a relay": {
			{0, live, ""},
			{0, offers("direct", "relay1"), ""},
			{0, keysUp{}, "use relay1, probe direct, probe relay1"},
			{0, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{0, "pong relay1", "probe full relay1"},
			{10 * ms, "pong relay1", ""},
			{10010 * ms, "sent", ""},
			{0, "heard", ""},
			{0, tick{}, "probe full direct"},
			{10 * ms, "pong direct", ""}, // it is as wide as it was
			{2200 * ms, "so far", "probe direct"},
			{10 * ms, "pong direct", ""},
			{8 * time.Second, "sent", ""},
			{0, "heard", ""},
			{0, tick{}, "probe full direct"},
			{300 * ms, "so far", "probe direct, probe full direct"},
			{10 * ms, "pong small direct", ""},
			{400 * ms, "so far", "probe direct, probe full direct"},
			{0, "pong small direct", ""},
			{400 * ms, "so far", "probe direct, probe full direct, probe direct"},
			{0, "pong small direct", ""},
			{800 * ms, "so far", "probe direct, probe full direct, probe direct, probe direct, probe full direct, probe direct, probe direct, use relay1, probe full direct, tell, open link, probe full relay1"},
		},
		"where there is no relay its narrowness is told, and its new width": {
			{0, offers("direct"), ""},
			{0, keysUp{}, "probe direct"},
			{0, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{10010 * ms, "sent", ""},
			{0, "heard", ""},
			{0, tick{}, "probe full direct"},
			{310 * ms, "pong small direct", ""},
			{1500 * ms, "so far", "probe direct, probe full direct, probe direct, probe direct, probe full direct, probe direct, probe direct, probe full direct, probe direct, probe direct, probe full direct, probe direct, probe direct, use direct, probe full direct, tell"},
			{10 * ms, "pong direct", "use direct"}, // routers may fragment by now
		},
		"a path that is gone isn't called narrow": {
			{0, offers("direct"), ""},
			{0, keysUp{}, "probe direct"},
			{0, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{10010 * ms, "sent", ""},
			{0, "heard", ""},
			{0, tick{}, "probe full direct"},
			{2900 * ms, "so far", "probe direct, probe full direct, probe direct, probe direct, probe full direct, probe direct, probe direct, probe full direct, probe direct, probe direct, probe full direct, probe direct, probe direct, probe direct, probe direct, probe direct, probe direct, probe direct, probe direct, probe direct, probe direct, probe direct"},
			{700 * ms, "so far", "probe direct, probe direct, use none, probe direct, probe direct, probe direct"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newScript(t)
			c.play(lines)
		})
	}
}
