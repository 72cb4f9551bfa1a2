package web

import (
	"cmp"
	"slices"

	"landbridge/console/api"
	"landbridge/internal/sorting"
)

// kind says in one word how a member is reached; it is a CSS class, too.
type kind string

// Kinds of paths, the best first.
const (
	kindNative     kind = "native" // on this LAN: nothing goes by the tunnel
	kindLAN        kind = "lan"
	kindDirect     kind = "direct"
	kindTCP        kind = "tcp"
	kindRelay      kind = "relay"
	kindConnecting kind = "connecting"
	kindIdle       kind = "idle" // reachable, without a session
	kindAway       kind = "away"
)

// kinds lists them in the order in which people see them.
func kinds() []kind {
	return []kind{kindNative, kindLAN, kindDirect, kindTCP, kindRelay, kindConnecting, kindIdle, kindAway}
}

func kindOf(p api.Peer) kind {
	switch {
	case p.Native:
		return kindNative
	case p.Session == api.SessionStateEstablished && p.Path == api.PathKindLAN:
		return kindLAN
	case p.Session == api.SessionStateEstablished && p.Path == api.PathKindDirect:
		return kindDirect
	case p.Session == api.SessionStateEstablished && p.Path == api.PathKindTCP:
		return kindTCP
	case p.Session == api.SessionStateEstablished && p.Path == api.PathKindRelay:
		return kindRelay
	case p.Session != api.SessionStateNone:
		return kindConnecting
	case p.Connected:
		return kindIdle
	}
	return kindAway
}

// link is a member and the way to it, as pages show them.
type link struct {
	api.Peer
	Kind kind
	Rate rate
}

// linksOf returns the members by kind of path, then name.
func linksOf(peers []api.Peer, rates map[string]rate) []link {
	all := make([]link, 0, len(peers))
	for _, p := range peers {
		all = append(all, link{Peer: p, Kind: kindOf(p), Rate: rates[p.MemberID]})
	}
	order := kinds()
	sorting.StablyBy(all, func(a, b link) int {
		return cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind))
	})
	return all
}

// tally is how many members are reached in a way, and why, where all say the same.
type tally struct {
	Kind  kind
	Why   string
	Count int
}

// tallies counts links by kind, and those that could be better by their reason, too.
func tallies(links []link) []tally {
	var all []tally
	for _, l := range links {
		why := ""
		if l.Kind == kindTCP || l.Kind == kindRelay || l.Kind == kindAway {
			why = l.Why
		}
		i := slices.IndexFunc(all, func(t tally) bool { return t.Kind == l.Kind && t.Why == why })
		if i < 0 {
			i = len(all)
			all = append(all, tally{Kind: l.Kind, Why: why})
		}
		all[i].Count++
	}
	return all
}
