package housetest

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// floors lists the packages from the top of the house to its foundation. A package may
// import those on lower floors only; packages on one floor don't know each other.
func floors() [][]string {
	return [][]string{
		{"cmd/landbridge", "cmd/demo", "cmd/mkimage", "cmd/initramfs", "bench", "bench/soak", "bench/scale", "internal/e2e"},
		{"image"},
		{"image/pid1"},
		{"image/userdata", "image/slots", "image/hardware"},
		{"bench/peers", "bench/measure", "bench/report"},
		{"bench/crowd", "bench/flood"},
		{"bench/underlay", "bench/load", "bench/traffic", "bench/member"},
		{"appliance"},
		{"router", "internal/division"},
		{"iface", "internal/config"},
		{"dns/forward", "dhcp/dhcp6"},
		{"dhcp", "arp", "dns", "internal/strangers", "internal/doctor", "internal/neighbourhood"},
		{"console"},
		{"console/web"},
		{"internal/apifuzz"},
		{"console/metrics"},
		{"console/access", "console/issuance", "console/leasefile"},
		{"console/api"},
		{"image/updating"},
		{"image/bundle"},
		{"internal/registry"},
		{"internal/tunnel"},
		{"internal/overlay"},
		{"internal/hearing"},
		{"internal/portmap"},
		{"internal/beacon", "internal/share", "internal/vouch", "internal/modes", "internal/capture"},
		{"internal/group"},
		{"internal/store"},
		{"internal/loop", "internal/frame", "internal/ula", "internal/codel", "internal/aesgcm", "internal/logbook", "internal/throughput", "internal/budget", "internal/health"},
		{"internal/sorting", "internal/scratch", "internal/race"},
		{"internal/netlab"},
		{"internal/oldkernel", "internal/acmelab"},
		{"internal/housetest"},
	}
}

// floorOf returns the number of a package's floor, counted from the top.
func floorOf(pkg string) (int, bool) {
	for i, floor := range floors() {
		if slices.Contains(floor, pkg) {
			return i, true
		}
	}
	return 0, false
}

// graph returns for each package what it imports of this module, and of others, in files
// that are (or are not) tests.
func graph(t *testing.T, tests bool) (own, foreign map[string]map[string]bool) {
	t.Helper()
	own, foreign = make(map[string]map[string]bool), make(map[string]map[string]bool)
	for _, s := range sources(t) {
		if own[s.dir] == nil {
			own[s.dir], foreign[s.dir] = make(map[string]bool), make(map[string]bool)
		}
		if s.test != tests {
			continue
		}
		ours, others := s.imports(t)
		for _, p := range ours {
			own[s.dir][p] = true
		}
		for _, p := range others {
			foreign[s.dir][p] = true
		}
	}
	return own, foreign
}

// reach returns every package of this module that pkg needs, itself included.
func reach(own map[string]map[string]bool, pkg string) []string {
	seen := map[string]bool{pkg: true}
	for next := []string{pkg}; len(next) > 0; {
		p := next[0]
		next = next[1:]
		for q := range own[p] {
			if !seen[q] {
				seen[q] = true
				next = append(next, q)
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func TestImportsGoDownTheHouse(t *testing.T) {
	for _, tests := range []bool{false, true} {
		own, _ := graph(t, tests)
		for pkg, imports := range own {
			here, ok := floorOf(pkg)
			if !ok {
				t.Errorf("%s has no floor in the house: give it one in %s and in docs/architecture.md", pkg, "internal/housetest/imports_test.go")
				continue
			}
			for p := range imports {
				there, ok := floorOf(p)
				if p == pkg || ok && there > here { // an external test imports its own package
					continue
				}
				t.Errorf("%s imports %s, which is not below it (tests: %t)", pkg, p, tests)
			}
		}
	}
}

func TestLocalServicesKnowNothingOfTheOverlay(t *testing.T) {
	own, foreign := graph(t, false)
	for _, pkg := range []string{"arp", "dhcp", "dns", "dns/forward"} {
		for _, p := range reach(own, pkg) {
			if slices.Contains([]string{"internal/tunnel", "internal/overlay", "internal/registry", "internal/group"}, p) {
				t.Errorf("%s needs %s", pkg, p)
			}
			for f := range foreign[p] {
				if strings.HasPrefix(f, "github.com/libp2p/") || strings.HasPrefix(f, "github.com/multiformats/") {
					t.Errorf("%s needs %s (by %s)", pkg, f, p)
				}
			}
		}
	}
}

func TestTheRegistryGetsItsTransportFromOutside(t *testing.T) {
	own, _ := graph(t, false)
	for _, p := range reach(own, "internal/registry") {
		if p == "internal/overlay" || p == "internal/tunnel" {
			t.Errorf("internal/registry needs %s", p)
		}
	}
}

func TestOnlyTheApplianceImportsTheConsole(t *testing.T) {
	own, _ := graph(t, false)
	for pkg, imports := range own {
		if imports["console"] && pkg != "appliance" {
			t.Errorf("%s imports console: only appliance may, so that the core never waits for it", pkg)
		}
	}
}

// Go's own templates look methods up by name, for which the linker keeps every method of the
// program: docs/decisions/0006-memory.md.
func TestTheProgramHasNoTemplatesThatCallMethods(t *testing.T) {
	own, foreign := graph(t, false)
	for _, p := range reach(own, "cmd/landbridge") {
		if p == "console/api" {
			continue // its generator does, which isn't part of it
		}
		for _, f := range []string{"html/template", "text/template"} {
			if foreign[p][f] {
				t.Errorf("%s imports %s: use github.com/DataDog/datadog-agent/pkg/template, which calls functions alone", p, f)
			}
		}
	}
}
