package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"landbridge/bench/member"
	"landbridge/bench/traffic"
	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// watch looks at members and hosts while there is traffic.
type watch struct {
	options
	scene    *scene
	run      *traffic.Run
	began    time.Time
	samples  map[*member.Member][]sample
	sessions map[*member.Member][]api.Peer // as they were last
	made     map[*member.Member]int        // sessions, before the traffic
	anew     map[*member.Member]int        // sessions, since
	refused  map[*netlab.Host]int          // checksums, before the traffic
}

func newWatch(o options, s *scene, run *traffic.Run) (*watch, error) {
	w := &watch{
		options: o, scene: s, run: run, began: time.Now(),
		samples: make(map[*member.Member][]sample), sessions: make(map[*member.Member][]api.Peer),
		made: make(map[*member.Member]int), anew: make(map[*member.Member]int), refused: make(map[*netlab.Host]int),
	}
	for _, m := range s.members {
		log, err := os.ReadFile(m.Log)
		if err != nil {
			return nil, err
		}
		if w.made[m] = sessionsMade(string(log)); w.made[m] == 0 {
			return nil, fmt.Errorf("%s has sessions, and its log tells of none: are they told of in other words now?", m.Name)
		}
	}
	for _, h := range s.hosts() {
		n, err := checksumsRefused(h)
		if err != nil {
			return nil, err
		}
		w.refused[h] = n
	}
	return w, nil
}

// sampleEvery is the time between two samples of a run of this length.
func sampleEvery(length time.Duration) time.Duration {
	return max(time.Second, min(length/200, 10*time.Second))
}

// follow samples, inspects and tells how it goes, until the context ends or something is wrong.
func (w *watch) follow(ctx context.Context) error {
	sampling, telling := time.NewTicker(sampleEvery(w.length)), time.NewTicker(w.every)
	defer sampling.Stop()
	defer telling.Stop()
	if err := w.sample(); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-sampling.C:
			err = w.sample()
		case <-telling.C:
			w.progress()
			err = w.inspect(ctx)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// sample notes what each daemon uses.
func (w *watch) sample() error {
	for _, m := range w.scene.members {
		u, err := m.Usage()
		if err == nil {
			s := sample{at: time.Since(w.began), rss: u.RSS, fds: u.FDs, threads: u.Threads}
			w.samples[m] = append(w.samples[m], s)
			err = bounded(s)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

// inspect judges what may not happen at any time.
func (w *watch) inspect(ctx context.Context) error {
	var errs []error
	for _, m := range w.scene.members {
		if err := w.inspectMember(ctx, m); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Name, err))
		}
	}
	for _, h := range w.scene.hosts() {
		n, err := checksumsRefused(h)
		if err == nil && n > w.refused[h] {
			err = fmt.Errorf("%s: its kernel has refused %d packets for a wrong checksum: somebody changed bytes on the way", h.Name, n-w.refused[h])
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, w.scene.leased())...)
}

func (w *watch) inspectMember(ctx context.Context, m *member.Member) error {
	log, err := os.ReadFile(m.Log)
	if err != nil {
		return err
	}
	var counters api.CounterList
	if err := m.Ask(ctx, &counters, "counters"); err != nil {
		return err
	}
	var peers api.PeerList
	if err := m.Ask(ctx, &peers, "peers"); err != nil {
		return err
	}
	w.sessions[m], w.anew[m] = peers.Items, sessionsMade(string(log))-w.made[m]
	return errors.Join(errorsIn(string(log)), unmoved(counters.Items), renewed(peers.Items, time.Since(w.began), w.anew[m]))
}

// judge is inspect at the end, and all that can be said only then.
func (w *watch) judge(ctx context.Context) error {
	errs := []error{w.scene.direct(ctx), w.sample(), w.inspect(ctx)}
	for _, m := range w.scene.members {
		if err := flat(w.samples[m], w.length); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Name, err))
		}
		var status api.Status
		if err := m.Ask(ctx, &status, "status"); err != nil {
			errs = append(errs, err)
		}
		for _, h := range status.Health {
			errs = append(errs, fmt.Errorf("%s: its health says: %s", m.Name, h.Text))
		}
	}
	const links = 2 // between any two sites
	// All together tell of a smaller loss than each by itself.
	for _, d := range append(w.run.Directions(), traffic.Direction{From: "all ends", To: "all others", Totals: w.run.Totals()}) {
		errs = append(errs, arrived(d, groupMTU, links, w.link.Loss))
	}
	if c := w.scene.carried(); w.link.Loss > 0 && c.Lost == 0 || w.link.Reorder > 0 && c.Held == 0 {
		errs = append(errs, fmt.Errorf("the links have lost %d and held back %d of %d frames: this was no test", c.Lost, c.Held, c.Frames))
	}
	return errors.Join(errs...)
}

// checksumsRefused returns how many packets a host's kernel has dropped for a wrong
// TCP, UDP or ICMP checksum.
func checksumsRefused(h *netlab.Host) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/snmp", h.Pid()))
	if err != nil {
		return 0, err
	}
	return sumOf(string(text), "InCsumErrors")
}

// sumOf adds a column of all tables of /proc/net/snmp, each of which has a line of names
// and one of numbers.
func sumOf(snmp, column string) (sum int, err error) {
	found := 0
	lines := strings.Split(strings.TrimSpace(snmp), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j, name := range names {
			if name != column || j >= len(values) {
				continue
			}
			n, err := strconv.Atoi(values[j])
			if err != nil {
				return 0, fmt.Errorf("/proc/net/snmp: %s%s: %w", names[0], name, err)
			}
			sum += n
			found++
		}
	}
	if found == 0 {
		return 0, fmt.Errorf("/proc/net/snmp has no %s", column)
	}
	return sum, nil
}
