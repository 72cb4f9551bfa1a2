package main

import (
	"time"

	"landbridge/bench/load"
)

// plan says how long things are measured.
type plan struct {
	rounds, echoes int           // of ping
	bulk           time.Duration // of a TCP transfer
	bareBulk       time.Duration // of one on the underlay
	udp, bareUDP   load.Plan     // without the size
	requests       time.Duration
	bareRequests   time.Duration
	wan            time.Duration // of a transfer on a WAN
	settle         int           // echoes before anything is measured, 50 ms apart
	await          time.Duration // at most, until others leave the machine alone, before a repetition
	awaitAgain     time.Duration // likewise, before what others disturbed is measured again; 0: it isn't
	rate           time.Duration // of a transfer of limited rate
	console        time.Duration // of echoes beside a flood of the console, and of as many before and after it
	lease, query   time.Duration // of clients at one rate, and of names asked for
	turns          int           // of a native path and the bare one
	limit          time.Duration // for one repetition of one peer
}

func full() plan {
	return plan{
		rounds: 4, echoes: 50,
		bulk: 10 * time.Second, bareBulk: 3 * time.Second,
		udp:      load.Plan{Flood: time.Second, Trial: 600 * time.Millisecond, Trials: 7},
		bareUDP:  load.Plan{Flood: 700 * time.Millisecond, Trial: 400 * time.Millisecond, Trials: 3},
		requests: 2500 * time.Millisecond, bareRequests: 1500 * time.Millisecond,
		wan:    15 * time.Second,
		settle: 30,
		await:  10 * time.Second, awaitAgain: 5 * time.Second,
		rate: 3 * time.Second, turns: 8,
		console: 15 * time.Second,
		lease:   3 * time.Second, query: 10 * time.Second,
		limit: 5 * time.Minute,
	}
}

func quick() plan {
	return plan{
		rounds: 2, echoes: 50,
		bulk: 2 * time.Second, bareBulk: time.Second,
		udp:      load.Plan{Flood: 500 * time.Millisecond, Trial: 300 * time.Millisecond, Trials: 5},
		bareUDP:  load.Plan{Flood: 400 * time.Millisecond, Trial: 300 * time.Millisecond, Trials: 2},
		requests: time.Second, bareRequests: 500 * time.Millisecond,
		wan:    5 * time.Second,
		settle: 10,
		await:  10 * time.Second, awaitAgain: 5 * time.Second,
		rate: time.Second, turns: 3,
		console: 5 * time.Second,
		lease:   2 * time.Second, query: 4 * time.Second,
		limit: 2 * time.Minute,
	}
}

// ofModes is a plan for many repetitions that cost little: the modes differ by percents, which
// takes many figures that are near each other in time, and not long ones.
func (p plan) ofModes(turns int) plan {
	if turns > 0 {
		p.turns = turns
	}
	p.bulk, p.bareBulk = min(p.bulk, 3*time.Second), time.Second
	p.requests = 500 * time.Millisecond
	p.await, p.awaitAgain = 2*time.Second, 0
	return p
}

// sized is a plan for datagrams of that size.
func sized(p load.Plan, bytes int) load.Plan {
	p.Size = bytes
	return p
}
