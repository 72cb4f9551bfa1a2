package registry

import (
	"os"
	"strconv"
	"testing"

	"landbridge/internal/race"
)

// schedules is how many random schedules a run plays: REGISTRY_SCHEDULES, or few. They run
// on one goroutine each: the race detector finds nothing in them, and makes them ten times as slow.
func schedules(t *testing.T, normal int) int {
	if n, err := strconv.Atoi(os.Getenv("REGISTRY_SCHEDULES")); err == nil {
		return n
	}
	switch {
	case race.Enabled:
		return normal / 20
	case testing.Short():
		return normal / 10
	}
	return normal
}

// A failure prints its seed; REGISTRY_SEED plays that one schedule.
func TestNoScheduleGrantsTwiceNorLeasesTwice(t *testing.T) {
	if seed, err := strconv.ParseUint(os.Getenv("REGISTRY_SEED"), 10, 64); err == nil {
		if err := newSim(seed, sound).run(); err != nil {
			t.Fatal(err)
		}
		return
	}
	n := schedules(t, 1000)
	var granted, renewed, heirs, leased, versions int
	for seed := range n {
		s := newSim(uint64(seed), sound)
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
		granted += s.granted
		renewed += s.renewed
		heirs += s.heirs
		leased += s.leased
		versions += len(s.rosters) - 1
	}
	t.Logf("%d schedules: %d grants, %d of them to heirs, %d renewals, %d leases, %d versions", n, granted, heirs, renewed, leased, versions)
	if granted < 4*n || renewed < 4*n || heirs < n/4 || leased < 20*n {
		t.Error("too little happened for the schedules to prove anything")
	}
}

// Each defect must be found by some schedule: else the checks above prove nothing.
func TestEveryDefectIsFoundBySomeSchedule(t *testing.T) {
	for d := sound + 1; d < defectCount; d++ {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			limit := schedules(t, 2000)
			for seed := range limit {
				if err := newSim(uint64(seed), d).run(); err != nil {
					t.Logf("found by schedule %d: %.200s", seed, err)
					return
				}
			}
			t.Errorf("%d schedules with %v, and none was violated", limit, d)
		})
	}
}
