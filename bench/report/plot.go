package report

import (
	"cmp"
	"errors"
	"fmt"
	"html"
	"slices"
	"strings"
)

// panel is one measure of the plot.
type panel struct {
	measure string
	tail    string // measure whose figure is shown behind the bar; empty: none
	title   string
}

func panels() []panel {
	return []panel{
		{TCP1, "", "TCP, 1 stream, Mbit/s"},
		{TCP4, "", "TCP, 4 streams, Mbit/s"},
		{UDP64, "", "UDP of 64 bytes, datagrams/s at < 1 % loss"},
		{UDP1200, "", "UDP of 1200 bytes, Mbit/s at < 1 % loss"},
		{PingP50, PingP99, "ping, µs: p50, and p99 behind it"},
		{RR, "", "TCP requests/s, one after the other"},
		{CPU, "", "CPU of both ends, seconds a gigabyte"},
		{RSSLoad, "", "memory after load, MB"},
	}
}

// Sizes and places, in the plot's own pixels.
const (
	plotWidth   = 960
	plotHead    = 74
	plotFoot    = 34
	panelColumn = 464 // from one column to the next
	panelLeft   = 24
	panelHead   = 30
	panelGap    = 26
	rowHeight   = 22
	barHeight   = 14
	labelWidth  = 130
	barWidth    = 220 // of the largest figure
)

// A card of its own background, so that it reads on light and dark pages.
const (
	cardFill    = "#f7f8fa"
	cardStroke  = "#d5dae1"
	inkStrong   = "#1d2733"
	inkWeak     = "#5b6675"
	barOurs     = "#2f6fb5"
	barOursTail = "#b9d0ea"
	barTheirs   = "#98a2b0"
	barTail     = "#d9dee5"
)

// SVG draws the medians of a profile: a panel for each measure, a bar for each tunnel,
// all scales linear and from zero, the best on top. What plain peers do is told in words.
func SVG(d Data, profile string, style Style) (string, error) {
	s := Summarize(d.Samples)
	var all []chart
	for _, p := range panels() {
		if c := collect(s, p, profile, style.Plain); len(c.bars) > 0 {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return "", errors.New("nothing to draw: no tunnel was measured")
	}
	return draw(d, "Landbridge beside other tunnels", profile, all), nil
}

// draw puts charts onto a card, two in a row.
func draw(d Data, title, profile string, charts []chart) string {
	var drawn []string
	column, y, tallest := 0, plotHead, 0
	for _, c := range charts {
		text, height := c.draw(panelLeft+column*panelColumn, y)
		drawn = append(drawn, text)
		tallest = max(tallest, height)
		if column++; column == 2 {
			column, y, tallest = 0, y+tallest+panelGap, 0
		}
	}
	if column == 1 {
		y += tallest + panelGap
	}
	height := y + plotFoot - panelGap
	m := d.Machines[len(d.Machines)-1]
	return card(height, title, fmt.Sprintf("%s, commit %s, profile %s; %s, %d cores, both ends and the load on them; medians",
		m.Started.Format("2006-01-02"), subject(d), profile, m.CPU, m.Cores), "Bars of medians; the same figures stand in the tables.", strings.Join(drawn, ""))
}

// chart is a panel with its figures.
type chart struct {
	title   string
	lower   bool // is better
	bars    []bar
	without string // what carries packets as they are, in words
}

// bar is one row of a chart.
type bar struct {
	peer        string
	value, tail float64
	ours        bool
}

// draw draws a chart with its upper left corner at x, y, and returns its height.
func (c chart) draw(x, y int) (text string, height int) {
	better := "longer is better"
	if c.lower {
		better = "shorter is better"
	}
	var b strings.Builder
	b.WriteString(label(x, y+12, 13, inkStrong, `font-weight="600"`, c.title))
	b.WriteString(label(x+panelColumn-24, y+12, 11, inkWeak, `text-anchor="end"`, better))
	most := 0.0
	for _, r := range c.bars {
		most = max(most, r.value, r.tail)
	}
	y += panelHead
	for _, r := range c.bars {
		fill, tail, weight := barTheirs, barTail, ""
		if r.ours {
			fill, tail, weight = barOurs, barOursTail, `font-weight="600"`
		}
		b.WriteString(label(x, y+barHeight-3, 12, inkStrong, weight, r.peer))
		end, value := x+labelWidth+length(r.value, most), Number(r.value)
		if r.tail > 0 {
			end = x + labelWidth + length(r.tail, most)
			value += " / " + Number(r.tail)
			b.WriteString(rectangle(x+labelWidth, y, length(r.tail, most), tail))
		}
		b.WriteString(rectangle(x+labelWidth, y, length(r.value, most), fill))
		b.WriteString(label(end+6, y+barHeight-3, 12, inkStrong, weight, value))
		y += rowHeight
	}
	height = panelHead + len(c.bars)*rowHeight
	if c.without != "" {
		b.WriteString(label(x, y+barHeight-3, 11, inkWeak, "", "without encryption: "+c.without))
		height += rowHeight
	}
	return b.String(), height
}

// collect returns the figures of a panel, the best first, and in words those of what
// carries packets as they are.
func collect(s Summary, p panel, profile string, plain []string) chart {
	m, _ := Describe(p.measure)
	c := chart{title: p.title, lower: m.Lower}
	var words []string
	for _, peer := range s.Peers(profile) {
		f, ok := s.Figure(profile, peer, p.measure)
		if !ok {
			continue
		}
		if slices.Contains(plain, peer) {
			words = append(words, peer+" "+Number(f.Value))
			continue
		}
		tail, _ := s.Figure(profile, peer, p.tail)
		c.bars = append(c.bars, bar{peer, f.Value, tail.Value, strings.HasPrefix(peer, ours)})
	}
	slices.SortStableFunc(c.bars, func(a, b bar) int {
		if m.Lower {
			return cmp.Compare(a.value, b.value)
		}
		return cmp.Compare(b.value, a.value)
	})
	c.without = strings.Join(words, ", ")
	return c
}

// length is that of a bar, a pixel at least.
func length(value, most float64) int {
	if most <= 0 {
		return 1
	}
	return max(1, int(value/most*barWidth+0.5))
}

func rectangle(x, y, width int, fill string) string {
	return fmt.Sprintf(`<rect x="%d" y="%d" width="%d" height="%d" rx="2" fill="%s"/>`+"\n", x, y, width, barHeight, fill)
}

func label(x, y, size int, fill, more, text string) string {
	if more != "" {
		more = " " + more
	}
	return fmt.Sprintf(`<text x="%d" y="%d" font-size="%d" fill="%s"%s>%s</text>`+"\n", x, y, size, fill, more, html.EscapeString(text))
}
