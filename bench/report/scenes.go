package report

import (
	"fmt"
	"strings"
)

// The profiles of scenes other than a pair on one cable, followed by a number, of Mbit/s,
// and of peers; or by that of the wire.
const (
	WAN     = "wan-"
	Many    = "many-"
	Console = "console-"
)

// writeScenes writes what was measured on WANs, with many peers, and beside a flood of the console.
func writeScenes(b *strings.Builder, s Summary) {
	writeWAN(b, s)
	writeMany(b, s)
	writeConsole(b, s)
}

func writeWAN(b *strings.Builder, s Summary) {
	head := "\n**A WAN with a round trip of 20 ms: TCP with 4 streams, and ping meanwhile**\n\n" +
		"| path | Mbit/s | bare path's | of it, less headers | ping p50 idle, ms | ping p99 under load, ms | bare path's |\n" +
		"|---|---:|---:|---:|---:|---:|---:|\n"
	for _, profile := range s.Profiles() {
		rate, ok := strings.CutPrefix(profile, WAN)
		if !ok {
			continue
		}
		for _, peer := range s.Peers(profile) {
			tcp, ok := s.Figure(profile, peer, WANTCP)
			if !ok {
				continue
			}
			share, _ := s.Figure(profile, peer, WANShare)
			idle, _ := s.Figure(profile, peer, WANPing)
			loaded, _ := s.Figure(profile, peer, WANLoaded)
			fmt.Fprintf(b, "%s| %s, %s Mbit/s | %s | %s | %.3f | %s | %s | %s |\n", head, peer, rate,
				tcp, Number(tcp.Bare), share.Value, Number(idle.Value), Number(loaded.Value), Number(loaded.Bare))
			head = ""
		}
	}
}

// writeMany writes what was measured between one appliance and some of a crowd. A profile is
// their number and the wire's.
func writeMany(b *strings.Builder, s Summary) {
	head := "\n**One appliance and some of the others of its group, datagrams to each in turn, and from each in turn; in brackets of one's**\n\n" +
		"| wire, others | to, 64 B, 1/s | to, 1200 B, 1/s | from, 64 B, 1/s | from, 1200 B, 1/s | CPU of the appliance to, from, µs a datagram | bare wire, 64 B, 1200 B |\n" +
		"|---|---:|---:|---:|---:|---:|---:|\n"
	ones := make(map[string]float64)
	for _, profile := range s.Profiles() {
		members, wire, ok := strings.Cut(strings.TrimPrefix(profile, Many), "-")
		if !ok || !strings.HasPrefix(profile, Many) {
			continue
		}
		for _, peer := range s.Peers(profile) {
			row := fmt.Sprintf("| %s, %s |", wire, members)
			var bare []string
			for _, id := range []string{ManyUDP64, ManyUDP1200, ManyUDP64Back, ManyUDP1200Back} {
				f, ok := s.Figure(profile, peer, id)
				if !ok {
					row += " – |"
					continue
				}
				if members == "1" {
					ones[wire+id] = f.Value
				}
				row += " " + f.String()
				if one := ones[wire+id]; one != 0 {
					row += fmt.Sprintf(" (%.2f)", f.Value/one)
				}
				row += " |"
				if f.Bare != 0 {
					bare = append(bare, Number(f.Bare))
				}
			}
			to, _ := s.Figure(profile, peer, ManyCPU)
			from, _ := s.Figure(profile, peer, ManyCPUBack)
			fmt.Fprintf(b, "%s%s %s, %s | %s |\n", head, row, Number(to.Value), Number(from.Value), strings.Join(bare, ", "))
			head = ""
		}
	}
}
