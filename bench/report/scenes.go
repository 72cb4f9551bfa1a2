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

func writeMany(b *strings.Builder, s Summary) {
	head := "\n**A group whose members are all on this machine: datagrams of 64 bytes from one to some, each in turn**\n\n" +
		"| to | under 1 % loss, 1/s | of one's | at any loss, 1/s | CPU of the sender's program, µs a datagram |\n|---:|---:|---:|---:|---:|\n"
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
			most, _ := s.Figure(profile, peer, ManyUDP64Max)
			cpu, _ := s.Figure(profile, peer, ManyCPU)
			fmt.Fprintf(b, "%s| %d | %s | %s | %s | %s |\n", head, members, f, share, Number(most.Value), Number(cpu.Value))
			head = ""
		}
	}
}
