package measure

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestWhatALeaseTookIsReadFromPerfdhcp(t *testing.T) {
	got, err := parsePerfdhcp(string(read(t, "perfdhcp.txt")))
	var want []time.Duration
	for _, micros := range []int64{991 - 80, 4476 - 4135, 6357 - 6073, 8415 - 8107, 10576 - 10094} {
		want = append(want, time.Duration(micros*1000))
	}
	for i := range got.Times {
		got.Times[i] = got.Times[i].Round(time.Microsecond)
	}
	if err != nil || got.Sent != 999 || got.Acked != 999 || got.Lost != 0 || !slices.Equal(got.Times, want) {
		t.Errorf("got %+v (%v), want %v", got, err, want)
	}
	if _, err := parsePerfdhcp("Error: server not found"); !errors.Is(err, ErrNothing) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestAnExchangeThatGotNoOfferIsPairedWithNoOther(t *testing.T) {
	offers := []stamp{{sent: 0.001, received: 0.002}, {sent: 0.003, received: 0.004}}
	acks := []stamp{{sent: 0.0041, received: 0.006}}
	if got := pair(offers, acks); len(got) != 1 || got[0].Round(time.Microsecond) != 3*time.Millisecond {
		t.Errorf("got %v, want 3 ms", got)
	}
}

func TestAnswersAreReadFromDnsperf(t *testing.T) {
	got, err := parseDnsperf(string(read(t, "dnsperf.txt")))
	if err != nil || got.Completed != 2000 || got.Lost != 0 || got.PerSecond < 1000 || got.Wrong < 0.49 || got.Wrong > 0.51 {
		t.Errorf("got %+v (%v)", got, err)
	}
	if _, err := parseDnsperf("Error: cannot reread input"); !errors.Is(err, ErrNothing) {
		t.Errorf("of nothing: %v", err)
	}
}
