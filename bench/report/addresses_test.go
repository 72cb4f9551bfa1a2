package report

import (
	"strings"
	"testing"
)

func TestLeasesAndNamesAreComparedWithServers(t *testing.T) {
	sample := func(profile, peer, measure string, v float64) Sample {
		return Sample{Profile: profile, Peer: peer, Measure: measure, Value: v, Repetition: 1}
	}
	text, err := Addresses(Data{Machines: []Machine{{Commit: "abc"}}, Samples: []Sample{
		sample(DHCP, Disk, Syncs, 6000), sample(DHCP, "landbridge, alone", Leases, 4000), sample(DHCP, "kea", Leases, 8000),
		sample(DNS, "landbridge, alone", QueriesCPU, 90), sample(DNS, "coredns", QueriesCPU, 60),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"6,000 syncs", "× Kea's | ≥ 1 | 0.50 | **missed** |", "× CoreDNS's | ≥ 1 | 1.50 | met |", "| kea | 8,000 |", "commit `abc`"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "| disk |") || strings.Contains(text, "in a group of 4") {
		t.Errorf("the report says of what wasn't measured:\n%s", text)
	}
	if _, err := Addresses(Data{}); err == nil {
		t.Error("nothing is a report")
	}
}
