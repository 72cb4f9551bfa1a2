package health

import "time"

// Nothing is alarming while what is watched is being taken up, nor as long as a member takes to
// restart.
const (
	grace   = 10 * time.Second
	persist = 5 * time.Second
)

// Vigil decides which troubles are worth telling: those that have lasted. It is pure, and not safe
// for concurrent use.
type Vigil struct {
	begun time.Time
	since map[string]time.Time // by key; when it was first seen
	told  map[string]Trouble
}

// NewVigil returns a vigil over something that is being taken up now.
func NewVigil(now time.Time) *Vigil {
	return &Vigil{begun: now, since: make(map[string]time.Time), told: make(map[string]Trouble)}
}

// Step takes what is wrong now and returns what to tell that is new, or in new words, and
// what has ended. Keys tell the troubles apart.
func (v *Vigil) Step(all []Trouble, now time.Time) (tell, ended []Trouble) {
	seen := make(map[string]bool)
	for _, t := range all {
		seen[t.Key] = true
		if v.since[t.Key].IsZero() {
			v.since[t.Key] = now
		}
		lasting := now.Sub(v.since[t.Key]) >= persist && now.Sub(v.begun) >= grace
		if was, told := v.told[t.Key]; lasting && (!told || was != t) {
			v.told[t.Key] = t
			tell = append(tell, t)
		}
	}
	for key := range v.since {
		if seen[key] {
			continue
		}
		delete(v.since, key)
		if t, told := v.told[key]; told {
			delete(v.told, key)
			ended = append(ended, t)
		}
	}
	return tell, ended
}

// Told returns the troubles that have been told and have not ended.
func (v *Vigil) Told() (all []Trouble) {
	for _, t := range v.told {
		all = append(all, t)
	}
	return all
}
