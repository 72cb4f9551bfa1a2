package appliance

import (
	"fmt"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestTroublesAreListedWorstFirstUntilTheyEnd(t *testing.T) {
	var h health
	start := time.Now()
	h.report(api.HealthLevelWarning, "registry", "address", "first words", start)
	h.report(api.HealthLevelError, "router", "device", "worse", start.Add(time.Second))
	h.report(api.HealthLevelWarning, "registry", "address", "newer words", start.Add(2*time.Second))

	items := h.items()
	if len(items) != 2 || items[0].Component != "router" {
		t.Fatalf("troubles %+v, want the router's error first of two", items)
	}
	if w := items[1]; w.Count != 2 || !w.Since.Equal(start) || w.Text != "newer words" {
		t.Errorf("a trouble seen twice: %+v", w)
	}
	h.clear("router", "device")
	h.clear("registry", "address")
	if items := h.items(); len(items) != 0 {
		t.Errorf("after their end: %+v", items)
	}
}

func TestTroublesAreBounded(t *testing.T) {
	var h health
	for i := range 10 * maxTroubles {
		h.report(api.HealthLevelWarning, "overlay", fmt.Sprint(i), fmt.Sprint(i), time.Now())
	}
	if n := len(h.items()); n != maxTroubles {
		t.Errorf("%d troubles are kept, want %d", n, maxTroubles)
	}
}

func TestErrorsAreToldHoweverManyWarningsThereAre(t *testing.T) {
	var h health
	now := time.Now()
	for i := range maxTroubles {
		h.report(api.HealthLevelWarning, "arp", fmt.Sprint(i), fmt.Sprint(i), now.Add(time.Duration(i)*time.Second))
	}
	h.report(api.HealthLevelError, "lan", "port", "it has gone", now.Add(time.Hour))
	items := h.items()
	if len(items) != maxTroubles || items[0].Text != "it has gone" {
		t.Errorf("of %d troubles the first is %+v", len(items), items[0])
	}
	if last := items[len(items)-1]; last.Text != fmt.Sprint(maxTroubles-2) {
		t.Errorf("it isn't the warning that came last that gave way: %+v", last)
	}
	for i := range 2 * maxTroubles {
		h.report(api.HealthLevelError, "lan", fmt.Sprint(i), fmt.Sprint("error ", i), now.Add(time.Hour))
	}
	if n := len(h.items()); n != maxTroubles {
		t.Errorf("%d troubles are kept, want %d", n, maxTroubles)
	}
}
