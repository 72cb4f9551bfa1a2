package appliance

import (
	"maps"
	"slices"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/health"
)

func kinds(events []api.Event) []api.EventType {
	var all []api.EventType
	for _, e := range events {
		all = append(all, e.Type)
	}
	slices.Sort(all)
	return all
}

// ailing is what one trouble makes of the health.
func ailing(key string, level health.Level, f health.Finding) map[health.ID]health.Item {
	t := health.Trouble{Level: level, Component: "registry", Key: key, Finding: f}
	return map[health.ID]health.Item{{Component: t.Component, Key: t.Key}: {Trouble: t}}
}

func quietScene() scene {
	return scene{
		at:     time.Unix(1_800_000_000, 0),
		groups: map[string]groupScene{"g": {version: 3, members: map[string]string{"m": "site-b"}}},
		peers:  map[peerKey]api.Peer{{"g", "m"}: {MemberID: "m", Name: "site-b", Session: api.SessionStateEstablished, Path: api.PathKindRelay, Connected: true, TxBytes: 100}},
		health: ailing("quorum", health.Warning, health.Finding{Text: "too few"}),
		mode:   api.ModeSetup{Mode: api.ModeInterface},
	}
}

func TestWhatDiffersBetweenTwoLooksIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*scene)
		want   []api.EventType
	}{
		{"nothing", func(*scene) {}, nil},
		{"the path of a session", func(s *scene) {
			p := s.peers[peerKey{"g", "m"}]
			p.Path = api.PathKindDirect
			s.peers[peerKey{"g", "m"}] = p
		}, []api.EventType{api.EventTypeMemberPath}},
		{"a connection lost, the session standing", func(s *scene) {
			p := s.peers[peerKey{"g", "m"}]
			p.Connected = false
			s.peers[peerKey{"g", "m"}] = p
		}, []api.EventType{api.EventTypeMemberAway}},
		{"traffic alone", func(s *scene) {
			p := s.peers[peerKey{"g", "m"}]
			p.TxBytes = 900
			s.peers[peerKey{"g", "m"}] = p
		}, nil},
		{"a member more and one less", func(s *scene) {
			s.groups["g"] = groupScene{version: 4, members: map[string]string{"n": "site-c"}}
		}, []api.EventType{api.EventTypeGroupChanged, api.EventTypeMemberJoined, api.EventTypeMemberLeft}},
		{"another group", func(s *scene) {
			s.groups["h"] = groupScene{version: 1}
			delete(s.groups, "g")
		}, []api.EventType{api.EventTypeGroupJoined, api.EventTypeGroupLeft}},
		{"a trouble gone, another come", func(s *scene) {
			s.health = ailing("other server", health.Warning, health.Finding{Text: "another server"})
		}, []api.EventType{api.EventTypeHealthCleared, api.EventTypeHealthRaised}},
		{"a trouble in other words", func(s *scene) {
			s.health = ailing("quorum", health.Warning, health.Finding{Text: "still too few"})
		}, []api.EventType{api.EventTypeHealthRaised}},
		{"a trouble with another remedy", func(s *scene) {
			s.health = ailing("quorum", health.Warning, health.Finding{Text: "too few", Remedy: "wait"})
		}, []api.EventType{api.EventTypeHealthRaised}},
		{"a trouble grown worse", func(s *scene) {
			s.health = ailing("quorum", health.Error, health.Finding{Text: "too few"})
		}, []api.EventType{api.EventTypeHealthRaised}},
		{"a trouble counted once more", func(s *scene) {
			for id, item := range s.health {
				item.Count = 9
				s.health[id] = item
			}
		}, nil},
		{"a switch of the mode that waits", func(s *scene) {
			s.pending = api.ModePending{To: api.ModeSetup{Mode: api.ModeRouter}, State: api.ModePendingStateWaiting, SecondsLeft: 60}
		}, []api.EventType{api.EventTypeModeChanged}},
	} {
		now := quietScene()
		now.groups, now.peers = maps.Clone(now.groups), maps.Clone(now.peers)
		c.change(&now)
		if got := kinds(now.since(quietScene())); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestASampleOfTrafficIsWhatWentThroughSinceTheOneBefore(t *testing.T) {
	last, now := quietScene(), quietScene()
	now.at = now.at.Add(2 * time.Second)
	now.peers[peerKey{"g", "m"}] = api.Peer{MemberID: "m", Name: "site-b", TxBytes: 1500, TxPackets: 1, RxBytes: 40, RxPackets: 2}
	now.peers[peerKey{"g", "n"}] = api.Peer{MemberID: "n", Name: "site-c"}
	s := now.traffic(last)
	want := api.TrafficCount{TxBytes: 1400, TxPackets: 1, RxBytes: 40, RxPackets: 2}
	if s.Milliseconds != 2000 || s.Total != want || len(s.Peers) != 1 || s.Peers[0].Name != "site-b" || s.Peers[0].Count != want {
		t.Errorf("got %+v", s)
	}
	if began := grown(5, 100); began != 5 {
		t.Errorf("a count that began anew has grown by %d", began)
	}
}
