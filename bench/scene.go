package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

// scene is a network and what is measured on it.
type scene struct {
	profile string // of its samples
	kinds   []peers.Kind
	open    func(context.Context) (*underlay.Pair, error)
	measure func(*repetition, context.Context)
}

// scenes returns those that the command line asks for.
func (b *bench) scenes() []scene {
	if b.modes {
		return b.modeScenes()
	}
	var all []scene
	if b.wants(groupPing) || b.wants(groupTCP) || b.wants(groupUDP) || b.wants(groupRR) {
		for _, p := range b.profiles {
			all = append(all, scene{
				profile: string(p), kinds: b.kinds, measure: (*repetition).measure,
				open: func(ctx context.Context) (*underlay.Pair, error) { return underlay.Open(ctx, p) },
			})
		}
	}
	if b.wants(groupConsole) && len(b.only(peers.Landbridge)) > 0 {
		all = append(all, scene{
			profile: report.Console + string(underlay.NIC), kinds: []peers.Kind{peers.WithConsole()}, measure: (*repetition).console,
			open: func(ctx context.Context) (*underlay.Pair, error) { return underlay.Open(ctx, underlay.NIC) },
		})
	}
	if b.wants(groupWAN) {
		for _, megabits := range []int64{10, 100, 1000} {
			all = append(all, scene{
				profile: fmt.Sprint(report.WAN, megabits), kinds: b.only(peers.Landbridge, peers.WireGuardGo), measure: (*repetition).wan,
				open: func(ctx context.Context) (*underlay.Pair, error) {
					return underlay.OpenWAN(ctx, megabits*1e6, wanRoundTrip)
				},
			})
		}
	}
	return all
}

const wanRoundTrip = 20 * time.Millisecond

// only returns those of the chosen kinds that have one of these names.
func (b *bench) only(names ...string) []peers.Kind {
	return slices.DeleteFunc(slices.Clone(b.kinds), func(k peers.Kind) bool { return !slices.Contains(names, k.Name) })
}
