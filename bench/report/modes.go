package report

import (
	"errors"
	"fmt"
	"strings"
)

// The profiles of what make bench-modes measures, followed by that of the wire: two hosts
// of one LAN, and two of different sites.
const (
	LAN   = "lan-"
	Sites = "sites-"
)

// modes are the peers of make bench-modes.
func modes() []string { return []string{"interface", "router", "hybrid"} }

// lanTarget is what two hosts of one LAN are to have in relation to a bare bridge.
type lanTarget struct {
	mode    string
	measure string
	what    string
	limit   float64
}

func lanTargets() []lanTarget {
	return []lanTarget{
		{"hybrid", NativeTCP, "two hybrid hosts of one LAN: TCP, × the bare bridge's", 0.97},
		{"hybrid", NativeRR, "their round trip, × the bare bridge's", 1.03},
		{"hybrid", Carried, "packets that the tunnels carried meanwhile", 0},
		{"router", NativeTCP, "two hosts of a router's LAN: TCP, × the bare bridge's", 0.99},
		{"router", NativeTCPSame, "the same, × a bare bridge's whose hosts have the same MTU", 0.99},
		{"router", NativeRR, "their round trip, × the bare bridge's", 1.03},
		{"router", Carried, "packets that the tunnels carried meanwhile", 0},
	}
}

// Modes writes the report of make bench-modes.
func Modes(d Data) (string, error) {
	if len(d.Machines) == 0 || len(d.Samples) == 0 {
		return "", errors.New("nothing was measured")
	}
	s := Summarize(d.Samples)
	var b strings.Builder
	b.WriteString(origin(d, "Medians"))
	for _, profile := range s.Profiles() {
		if wire, ok := strings.CutPrefix(profile, LAN); ok {
			writeLANTargets(&b, s, profile, wire)
			writeLAN(&b, s, profile, wire)
		}
		if wire, ok := strings.CutPrefix(profile, Sites); ok {
			writeSites(&b, s, profile, wire)
			writeRates(&b, s, profile)
		}
	}
	return b.String(), nil
}

func writeLANTargets(b *strings.Builder, s Summary, profile, wire string) {
	fmt.Fprintf(b, "\n**Targets, profile `%s`**\n\n| what | target | measured | |\n|---|---:|---:|---|\n", wire)
	for _, t := range lanTargets() {
		m, _ := Describe(t.measure)
		figure := s.Ratio
		if t.measure == Carried {
			figure = s.Figure
		}
		f, ok := figure(profile, t.mode, t.measure)
		if !ok {
			continue
		}
		value, limit := f.Value, share(t.limit)
		sign, met := "≥", value >= t.limit
		if m.Lower {
			sign, met = "≤", value <= t.limit
		}
		measured := share(value)
		if t.measure == Carried { // the most of all repetitions
			sign, met, limit, measured = "=", f.High == 0, "0", Number(f.High)
		}
		verdict := "**missed**"
		if met {
			verdict = "met"
		}
		fmt.Fprintf(b, "| %s | %s %s | %s%s | %s |\n", t.what, sign, limit, measured, mark(f), verdict)
	}
}

// share writes a ratio that is near 1.
func share(x float64) string { return fmt.Sprintf("%.3f", x) }

// mark tells a noisy figure.
func mark(f Figure) string {
	if f.Noisy {
		return " ~"
	}
	return ""
}

func writeLAN(b *strings.Builder, s Summary, profile, wire string) {
	fmt.Fprintf(b, "\n**Two hosts of one LAN beside two on a bare bridge, in turns, profile `%s`**\n\n", wire)
	b.WriteString("| mode | MTU | TCP, Mbit/s | bare | ratio | ratio at the hosts' MTU | request p50, µs | bare | ratio | ping p50, µs | bare | turns |\n" +
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, mode := range modes() {
		tcp, ok := s.Figure(profile, mode, NativeTCP)
		if !ok {
			if tcp.Failures > 0 {
				fmt.Fprintf(b, "| %s | failed |\n", mode)
			}
			continue
		}
		rr, _ := s.Figure(profile, mode, NativeRR)
		tcpRatio, _ := s.Ratio(profile, mode, NativeTCP)
		same := spread(tcpRatio)
		if f, ok := s.Ratio(profile, mode, NativeTCPSame); ok {
			same = spread(f)
		}
		rrRatio, _ := s.Ratio(profile, mode, NativeRR)
		ping, _ := s.Figure(profile, mode, PingP50)
		mtu, _ := s.Figure(profile, mode, MTU)
		fmt.Fprintf(b, "| %s | %.0f | %s | %s | %s | %s | %s | %s | %s | %s | %s | %d |\n", mode, mtu.Value,
			tcp, Number(tcp.Bare), spread(tcpRatio), same, rr, Number(rr.Bare), spread(rrRatio), ping, Number(ping.Bare), tcp.Count)
	}
}

// spread writes the median of ratios, and between which the half of them lies.
func spread(f Figure) string { return fmt.Sprintf("%.3f (%.2f to %.2f)", f.Value, f.Low, f.High) }

func writeSites(b *strings.Builder, s Summary, profile, wire string) {
	fmt.Fprintf(b, "\n**Two hosts of different sites, by the tunnel, profile `%s`**\n\n", wire)
	b.WriteString("| mode | TCP, Mbit/s | back | 4 streams | CPU of the appliances, s/GB | CPU of the hosts' programs, s/GB | ping p50, µs | p99 |\n" +
		"|---|---:|---:|---:|---:|---:|---:|---:|\n")
	bare := make(map[string][]float64)
	for _, mode := range modes() {
		cell := func(id string) string {
			if f, ok := s.Figure(profile, mode, id); ok {
				bare[id] = append(bare[id], f.Bare)
			}
			return s.cell(profile, mode, id)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", mode, cell(TCP1), cell(TCP1Back), cell(TCP4),
			cell(CPU), cell(HostCPU), cell(PingP50), cell(PingP99))
	}
	of := func(id string) string { return Number(Median(bare[id])) }
	fmt.Fprintf(b, "| none: the bare path | %s | %s | %s | – | %s | %s | %s |\n", of(TCP1), of(TCP1Back), of(TCP4), of(HostCPU), of(PingP50), of(PingP99))
}

// cell writes a figure of a mode.
func (s Summary) cell(profile, mode, id string) string {
	f, ok := s.Figure(profile, mode, id)
	switch {
	case ok:
		return f.String()
	case f.Failures > 0:
		return "failed"
	}
	return "–"
}

// writeRates writes what the appliances use at each rate, and at the highest that goes.
func writeRates(b *strings.Builder, s Summary, profile string) {
	b.WriteString("\n**CPU against bandwidth: cores that the appliances of both sites use together, for one stream of TCP**\n\n| Mbit/s |")
	for _, mode := range modes() {
		fmt.Fprintf(b, " %s |", mode)
	}
	b.WriteString("\n|---:|" + strings.Repeat("---:|", len(modes())) + "\n")
	for _, megabits := range Rates() {
		fmt.Fprintf(b, "| %s |", Number(float64(megabits)))
		for _, mode := range modes() {
			fmt.Fprintf(b, " %s |", s.cell(profile, mode, Cores(megabits)))
		}
		b.WriteString("\n")
	}
	b.WriteString("| all that goes |")
	for _, mode := range modes() {
		fmt.Fprintf(b, " %s |", s.cores(profile, mode))
	}
	b.WriteString("\n")
}

// cores returns how many cores the appliances of both ends use while one stream goes as fast as it can.
func (s Summary) cores(profile, mode string) string {
	rate, ok := s.Figure(profile, mode, TCP1)
	cpu, have := s.Figure(profile, mode, CPU)
	if !ok || !have {
		return "–"
	}
	return Number(rate.Value / 8e3 * cpu.Value)
}

// ModesSVG draws the report of make bench-modes, on the first profile of the wire that was measured.
func ModesSVG(d Data) (string, error) {
	s := Summarize(d.Samples)
	var charts []chart
	var wire string
	for _, profile := range s.Profiles() {
		of, lan := strings.CutPrefix(profile, LAN)
		of, sites := strings.CutPrefix(of, Sites)
		if wire == "" {
			wire = of
		}
		switch {
		case of != wire:
		case lan:
			charts = append(charts, s.lanChart(profile, NativeTCP, "One LAN: TCP, Mbit/s"),
				s.lanChart(profile, NativeRR, "One LAN: a request over TCP, p50, µs"))
		case sites:
			charts = append(charts, s.siteChart(profile, "Two sites: TCP, 1 stream, Mbit/s", TCP1, ""),
				s.siteChart(profile, "Two sites: CPU, s/GB: appliances, and hosts", CPU, HostCPU))
		}
	}
	if len(charts) == 0 {
		return "", errors.New("nothing to draw: no mode was measured")
	}
	return draw(d, "Landbridge's modes", wire, charts), nil
}

// lanChart shows each mode above the bare bridge of its own turns.
func (s Summary) lanChart(profile, measure, title string) chart {
	m, _ := Describe(measure)
	c := chart{title: title, lower: m.Lower}
	for _, mode := range modes() {
		if f, ok := s.Figure(profile, mode, measure); ok {
			c.bars = append(c.bars, bar{peer: mode, value: f.Value, ours: true}, bar{peer: "bare bridge", value: f.Bare})
		}
	}
	return c
}

// siteChart shows the modes; behind a bar, the sum of its measure and another one.
func (s Summary) siteChart(profile, title, measure, added string) chart {
	m, _ := Describe(measure)
	c := chart{title: title, lower: m.Lower}
	for _, mode := range modes() {
		f, ok := s.Figure(profile, mode, measure)
		if !ok {
			continue
		}
		r := bar{peer: mode, value: f.Value, ours: true}
		if more, ok := s.Figure(profile, mode, added); ok {
			r.tail = f.Value + more.Value
		}
		c.bars = append(c.bars, r)
	}
	return c
}
