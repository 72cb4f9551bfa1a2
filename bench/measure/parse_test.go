package measure

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRoundTripsAreReadFromPing(t *testing.T) {
	want := []time.Duration{83 * time.Microsecond, 23 * time.Microsecond, 15 * time.Microsecond}
	if got := parsePing(string(read(t, "ping.txt"))); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// From a machine that answers late, and for another.
	said := "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=1234 ms (DUP!)\nFrom 10.0.0.9 icmp_seq=2 Destination Host Unreachable\n"
	if got := parsePing(said); !slices.Equal(got, []time.Duration{1234 * time.Millisecond}) {
		t.Errorf("got %v", got)
	}
}

func TestWhatTheReceiverGotIsReadFromIperf(t *testing.T) {
	got, err := parseIperf(read(t, "iperf3.json"))
	if err != nil || got.Bytes != 6657671168 || int(got.BitsPerSecond) != 53255937238 {
		t.Errorf("got %+v (%v)", got, err)
	}
	if want := 1627 * time.Millisecond; got.CPU.Round(time.Millisecond) != want { // 95.5 % and 67.2 % of a core, for 1 s
		t.Errorf("the programs took %v, want %v", got.CPU, want)
	}
}

func TestAnIperfThatFailsSaysWhy(t *testing.T) {
	_, err := parseIperf(read(t, "iperf3-refused.json"))
	if !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "Connection refused") {
		t.Errorf("it says %v", err)
	}
	for _, said := range []string{"", "iperf3: interrupted", `{"end":{}}`} {
		if got, err := parseIperf([]byte(said)); err == nil {
			t.Errorf("%q is %+v", said, got)
		}
	}
}
