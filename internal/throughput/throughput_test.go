package throughput

import (
	"testing"
	"time"
)

func TestADayIsRememberedByTheMinuteAndFiveMinutesByTheSecond(t *testing.T) {
	var h History
	at := time.Unix(1_800_000_000, 0)
	if s, m := h.Read(); len(s.Rates)+len(m.Rates) != 0 {
		t.Errorf("before anything: %d, %d", len(s.Rates), len(m.Rates))
	}
	for i := range 90 { // the first 60 s: 8 Mbit/s sent
		sent := uint64(0)
		if i < 60 {
			sent = 1e6
		}
		at = at.Add(time.Second)
		h.Add(at, time.Second, sent, 125)
	}
	s, m := h.Read()
	if len(s.Rates) != 90 || s.Rates[0] != (Rate{8e6, 1000}) || s.Rates[89] != (Rate{0, 1000}) || !s.Until.Equal(at) {
		t.Errorf("%d seconds until %v, the first %v, the last %v", len(s.Rates), s.Until, s.Rates[0], s.Rates[89])
	}
	if len(m.Rates) != 1 || m.Rates[0] != (Rate{8e6, 1000}) || !m.Until.Equal(at.Add(-30*time.Second)) {
		t.Errorf("minutes: %v", m)
	}
	for i := range 2 * 24 * 3600 {
		at = at.Add(time.Second)
		h.Add(at, time.Second, uint64(i), 0)
	}
	s, m = h.Read()
	if len(s.Rates) != Seconds || len(m.Rates) != Minutes || s.Rates[Seconds-1].Sent != 8*(2*24*3600-1) || s.Rates[0].Sent >= s.Rates[1].Sent {
		t.Errorf("after two days: %d and %d, the last %v", len(s.Rates), len(m.Rates), s.Rates[Seconds-1])
	}
}

func TestASpanThatWasSleptThroughHasItsMean(t *testing.T) {
	var h History
	at := time.Unix(1_800_000_000, 0)
	h.Add(at, 10*time.Second, 1000, 0)
	h.Add(at, 300*time.Millisecond, 30, 0)
	h.Add(at, 0, 1, 1)
	if s, _ := h.Read(); len(s.Rates) != 11 || s.Rates[9].Sent != 800 || s.Rates[10].Sent != 800 {
		t.Errorf("%v", s.Rates)
	}
	h.Add(at, 1000*time.Hour, 1, 0)
	if s, m := h.Read(); len(s.Rates) != Seconds || len(m.Rates) != Minutes {
		t.Errorf("%d, %d", len(s.Rates), len(m.Rates))
	}
}
