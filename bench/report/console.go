package report

import (
	"fmt"
	"strings"
)

// consoleRow is a state of the machine in which round trips are measured.
type consoleRow struct{ beside, p50, p99, rate, streams, rss string }

// writeConsole writes what round trips suffered while a console was flooded: that of an end of the
// tunnel and, for comparison, that of an appliance which only shares the machine.
func writeConsole(b *strings.Builder, s Summary) {
	head := "\n**Ping while a console gets 1,000 requests/s, 20 wrong passwords/s, 500 streams of events and 100 connections of a slow-loris; " +
		"in brackets, of what it is beside the same flood of an appliance that is no end of the tunnel**\n\n" +
		"| wire, beside | p50, µs | p99, µs | bare path's p50 and p99, µs | answers, 1/s | streams that stood | RSS peak, MB |\n|---|---:|---:|---:|---:|---:|---:|\n"
	rows := []consoleRow{
		{"nothing", ConsoleAlone50, ConsoleAlone99, "", "", ""},
		{"a flood of another appliance", ConsoleOther50, ConsoleOther99, ConsoleOtherRate, "", ""},
		{"a flood of the tunnel's end", ConsolePing50, ConsolePing99, ConsoleRate, ConsoleStreams, ConsoleRSS},
	}
	for _, profile := range s.Profiles() {
		wire, ok := strings.CutPrefix(profile, Console)
		if !ok {
			continue
		}
		for _, peer := range s.Peers(profile) {
			for _, r := range rows {
				p50, bare50 := s.roundTrip(profile, peer, r.p50, ConsolePing50, ConsoleOther50)
				p99, bare99 := s.roundTrip(profile, peer, r.p99, ConsolePing99, ConsoleOther99)
				fmt.Fprintf(b, "%s| %s, %s | %s | %s | %s, %s | %s | %s | %s |\n", head, wire, r.beside, p50, p99, bare50, bare99,
					s.cell(profile, peer, r.rate), s.cell(profile, peer, r.streams), s.cell(profile, peer, r.rss))
				head = ""
			}
		}
	}
}

// roundTrip returns a measure and the bare path's; one that is compared, in relation to another.
func (s Summary) roundTrip(profile, peer, measure, compared, other string) (text, bare string) {
	f, ok := s.Figure(profile, peer, measure)
	if !ok {
		return s.cell(profile, peer, measure), "–"
	}
	text = f.String()
	if o, ok := s.Figure(profile, peer, other); ok && measure == compared && o.Value != 0 {
		text += fmt.Sprintf(" (%.2f)", f.Value/o.Value)
	}
	return text, Number(f.Bare)
}
