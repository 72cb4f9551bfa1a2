package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"landbridge/bench/traffic"
	"landbridge/internal/netlab"
)

// soak runs the whole, and returns all that was wrong, or ctx's error.
func soak(ctx context.Context, o options) error {
	if missing := netlab.Missing("udhcpc", "ping"); len(missing) > 0 {
		return errors.Join(missing...)
	}
	if _, err := os.Stat(o.binary); err != nil {
		return fmt.Errorf("%w: build it with make build", err)
	}
	if err := os.MkdirAll(o.logs, 0o755); err != nil {
		return err
	}
	s, err := build(o)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	o.introduce()
	if err := s.boot(ctx, stop); err != nil {
		return errors.Join(s.casualty(), err)
	}
	return s.carry(ctx, stop, o)
}

// carry has the traffic, watches meanwhile, judges and tells.
func (s *scene) carry(ctx context.Context, stop context.CancelCauseFunc, o options) error {
	run, err := traffic.Open(s.ends, traffic.Plan{Rate: o.rate, MTU: groupMTU, Seed: o.seed})
	if err != nil {
		return err
	}
	defer run.Close()
	w, err := newWatch(o, s, run)
	if err != nil {
		return err
	}
	w.start()
	watching, enough := context.WithCancel(ctx)
	defer enough()
	var watcher sync.WaitGroup
	watcher.Go(func() {
		if err := w.follow(watching); err != nil {
			stop(err)
		}
	})
	err = run.Do(ctx, o.length)
	enough()
	watcher.Wait()
	if err != nil {
		w.summary()
		return errors.Join(s.casualty(), err)
	}
	err = w.judge(ctx)
	w.summary()
	if err == nil {
		fmt.Fprintln(o.out, "Nothing was wrong.")
	}
	return err
}
