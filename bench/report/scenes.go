package report

import (
	"fmt"
	"strconv"
	"strings"
)

// The profiles of scenes other than a pair on one cable, followed by a number: of Mbit/s,
// and of peers.
const (
	WAN  = "wan-"
	Many = "many-"
)

// writeScenes writes what was measured on WANs and with many peers.
func writeScenes(b *strings.Builder, s Summary) {
	writeWAN(b, s)
	writeMany(b, s)
}

func writeWAN(b *strings.Builder, s Summary) {
	head := "\n**A WAN with a round trip of 20 ms: TCP with 4 streams, and ping meanwhile**\n\n" +
		"| path | Mbit/s | of the bare path | ping p50 idle, ms | ping p99 under load, ms | bare path's |\n|---|---:|---:|---:|---:|---:|\n"
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
			idle, _ := s.Figure(profile, peer, WANPing)
			loaded, _ := s.Figure(profile, peer, WANLoaded)
			share := "–"
			if tcp.Bare != 0 {
				share = fmt.Sprintf("%.3f", tcp.Value/tcp.Bare)
			}
			fmt.Fprintf(b, "%s| %s, %s Mbit/s | %s | %s | %s | %s | %s |\n", head, peer, rate,
				Number(tcp.Value), share, Number(idle.Value), Number(loaded.Value), Number(loaded.Bare))
			head = ""
		}
	}
}

func writeMany(b *strings.Builder, s Summary) {
	head := "\n**One member with traffic to many**\n\n| members | UDP 64 B received by all, 1/s | of one member's |\n|---:|---:|---:|\n"
	var one float64
	for _, profile := range s.Profiles() {
		members, err := strconv.Atoi(strings.TrimPrefix(profile, Many))
		if err != nil || !strings.HasPrefix(profile, Many) {
			continue
		}
		for _, peer := range s.Peers(profile) {
			f, ok := s.Figure(profile, peer, ManyUDP64)
			if !ok {
				continue
			}
			if members == 1 {
				one = f.Value
			}
			share := "–"
			if one != 0 {
				share = fmt.Sprintf("%.2f", f.Value/one)
			}
			fmt.Fprintf(b, "%s| %d | %s | %s |\n", head, members, Number(f.Value), share)
			head = ""
		}
	}
}
