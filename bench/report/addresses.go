package report

import (
	"errors"
	"fmt"
	"strings"
)

// The profiles of what make bench-addresses measures, and the peer that the machine's disk is.
const (
	DHCP = "dhcp"
	DNS  = "dns"
	Disk = "disk"
)

// addressTarget is a figure of Landbridge's in relation to a server's.
type addressTarget struct{ profile, peer, rival, measure, what string }

func addressTargets() []addressTarget {
	return []addressTarget{
		{DHCP, "landbridge, alone", "kea", Leases, "leases a second of an appliance alone, × Kea's"},
		{DHCP, "landbridge, of 4", "kea", Leases, "the same in a group of 4"},
		{DNS, "landbridge, alone", "coredns", QueriesCPU, "queries a CPU second, × CoreDNS's"},
	}
}

// Addresses writes the report of make bench-addresses.
func Addresses(d Data) (string, error) {
	if len(d.Machines) == 0 || len(d.Samples) == 0 {
		return "", errors.New("nothing was measured")
	}
	s := Summarize(d.Samples)
	var b strings.Builder
	b.WriteString(origin(d, repeated(d)))
	if f, ok := s.Figure(DHCP, Disk, Syncs); ok {
		fmt.Fprintf(&b, "\nThe disk takes %s syncs a second, one after the other.\n", f)
	}
	b.WriteString("\n| what | target | measured | |\n|---|---:|---:|---|\n")
	for _, t := range addressTargets() {
		ours, ok := s.Figure(t.profile, t.peer, t.measure)
		theirs, also := s.Figure(t.profile, t.rival, t.measure)
		if !ok || !also || theirs.Value == 0 {
			continue
		}
		verdict := "met"
		if ours.Value < theirs.Value {
			verdict = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | ≥ 1 | %s | %s |\n", t.what, Number(ours.Value/theirs.Value), verdict)
	}
	for _, t := range []struct {
		profile, title string
		columns        []string
	}{
		{DHCP, "DHCP", []string{Leases, LeaseCPU, LeaseP50, LeaseP99}},
		{DNS, "DNS", []string{QueriesCPU, Queries, QueriesLost}},
	} {
		var servers []string
		for _, p := range s.Peers(t.profile) {
			if p != Disk {
				servers = append(servers, p)
			}
		}
		if len(servers) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n**%s**\n\n", t.title)
		writeTable(&b, s, Style{}, t.profile, servers, t.columns)
	}
	writeVersions(&b, s, Style{})
	return b.String(), nil
}
