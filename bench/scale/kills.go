package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"landbridge/console/api"
)

const (
	killEvery  = 10 * time.Second
	supervisor = time.Second     // until a daemon that has ended is started again: RestartSec of the unit
	settleTime = 2 * time.Minute // for all members, started at once
)

// kills restarts all members at once, kills a third of them again and again, and returns what was wrong.
func (g *group) kills(ctx context.Context) error {
	fmt.Fprintf(g.out, "%d members, a third of them killed each %v for %v; seed %d\n", g.members, killEvery, g.length, g.seed)
	for len(g.nodes) < g.members {
		if _, err := g.grow(ctx); err != nil {
			return err
		}
	}
	took, errs := reachAll(ctx, settleTime, g.nodes)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	fmt.Fprintf(g.out, "every pair has talked %v after the last joined\n", took.Round(time.Millisecond))
	leases, err := g.leases(ctx)
	if err != nil {
		return err
	}
	if err := g.restartAll(ctx); err != nil {
		return err
	}
	wrong := g.killThirds(ctx)
	if _, errs := reachAll(ctx, settleTime, g.nodes); len(errs) > 0 {
		wrong = append(wrong, errs...)
	}
	return errors.Join(append(wrong, g.compare(ctx, leases))...)
}

// restartAll kills all at the same time, starts them again, and tells when each pair has talked.
func (g *group) restartAll(ctx context.Context) error {
	if err := each(g.nodes, func(n *node) error { return n.Kill() }); err != nil {
		return err
	}
	if err := each(g.nodes, func(n *node) error { return n.Launch(ctx, g.ended) }); err != nil {
		return err
	}
	took, errs := reachAll(ctx, settleTime, g.nodes)
	if len(errs) > 0 {
		return fmt.Errorf("all restarted at once: %w", errors.Join(errs...))
	}
	fmt.Fprintf(g.out, "all restarted at once: every pair has talked after %v\n", took.Round(time.Millisecond))
	return nil
}

// killThirds kills a third each ten seconds. Those that live have to reach each other; the others come back.
func (g *group) killThirds(ctx context.Context) (wrong []error) {
	random := rand.New(rand.NewPCG(g.seed, 0))
	var living, back []time.Duration
	for end := time.Now().Add(g.length); time.Now().Before(end) && ctx.Err() == nil; {
		next := time.Now().Add(killEvery)
		victims, others := g.choose(random)
		if err := each(victims, func(n *node) error { return n.Kill() }); err != nil {
			return append(wrong, err)
		}
		killed := time.Now()
		var revived sync.WaitGroup
		var reviving error
		revived.Go(func() {
			if reviving = pause(ctx, supervisor); reviving == nil {
				reviving = each(victims, func(n *node) error { return n.Launch(ctx, g.ended) })
			}
		})
		took, errs := reachAll(ctx, g.within, others)
		revived.Wait()
		if err := errors.Join(reviving, ctx.Err()); err != nil {
			return append(wrong, err)
		}
		living, wrong = append(living, took), append(wrong, errs...)
		if _, errs := reachAll(ctx, time.Until(next), g.nodes); len(errs) == 0 {
			back = append(back, time.Since(killed))
		}
		fmt.Fprintf(g.out, "killed %d: the others have all talked after %v; %d of %d times all were back before the next kill\n",
			len(victims), took.Round(time.Millisecond), len(back), len(living))
		for _, err := range errs {
			fmt.Fprintln(g.out, "  ", err)
		}
		if err := pause(ctx, time.Until(next)); err != nil {
			return append(wrong, err)
		}
	}
	fmt.Fprintf(g.out, "%d kills of a third: the living reached each other within %v at the median, %v at most; all were back after %v at the median\n",
		len(living), median(living).Round(time.Millisecond), quantile(living, 1).Round(time.Millisecond), median(back).Round(time.Millisecond))
	return wrong
}

// choose returns a third of the members, and the others.
func (g *group) choose(random *rand.Rand) (victims, others []*node) {
	shuffled := slices.Clone(g.nodes)
	random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	third := len(shuffled) / 3
	return shuffled[:third], shuffled[third:]
}

// leases asks each member for the leases that it serves, and returns who has which address.
func (g *group) leases(ctx context.Context) (map[netip.Addr]string, error) {
	all := make(map[netip.Addr]string)
	for _, n := range g.nodes {
		var list api.LeaseList
		err := n.Wait(ctx, "its leases", func() (bool, error) {
			err := n.Ask(ctx, &list, "leases")
			return err == nil, err
		})
		if err != nil {
			return nil, err
		}
		for _, l := range list.Items {
			if l.MemberName == n.Name {
				all[l.Address] = l.MemberName
			}
		}
	}
	return all, nil
}

// compare is an error where a lease is lost, or an address has moved.
func (g *group) compare(ctx context.Context, before map[netip.Addr]string) error {
	after, err := g.leases(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for addr, who := range before {
		if after[addr] != who {
			errs = append(errs, fmt.Errorf("%v was leased to %s, and now to %q", addr, who, after[addr]))
		}
	}
	for _, n := range g.nodes {
		switch now, err := n.Address(ctx); {
		case err != nil:
			errs = append(errs, err)
		case now != n.addr:
			errs = append(errs, fmt.Errorf("%s had %v, and has %v now", n.Name, n.addr, now))
		}
	}
	if len(before) < len(g.nodes) {
		errs = append(errs, fmt.Errorf("%d members had %d leases: this was no test", len(g.nodes), len(before)))
	}
	if len(errs) == 0 {
		fmt.Fprintf(g.out, "all %d leases are as they were\n", len(before))
	}
	return errors.Join(errs...)
}

// each does the same with all of them at once.
func each(nodes []*node, do func(*node) error) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { errs[i] = do(n) })
	}
	all.Wait()
	return errors.Join(errs...)
}
