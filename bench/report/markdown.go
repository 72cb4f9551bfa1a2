package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Style says what is compared with what, and how the peers are ordered.
type Style struct {
	Order     []string // of peers; others come after
	Plain     []string // peers that send as it is what they carry: bounds, no rivals
	Reference string   // the peer that ratios refer to
}

// The markers between which a document holds the report: one of the first, and the last.
const (
	Begin          = "<!-- bench: from here written by make bench -->"
	BeginModes     = "<!-- bench: from here written by make bench-modes -->"
	BeginAddresses = "<!-- bench: from here written by make bench-addresses -->"
	BeginScale     = "<!-- bench: from here written by make bench-scale -->"
	End            = "<!-- bench: to here -->"
)

// Insert puts text between the markers of a document, the first of which is begin.
func Insert(document, begin, text string) (string, error) {
	before, rest, found := strings.Cut(document, begin)
	_, after, closed := strings.Cut(rest, End)
	if !found || !closed {
		return "", fmt.Errorf("the document has no place for the report: it wants the lines %q and %q", begin, End)
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n" + End + after, nil
}

// table is one table of the report.
type table struct {
	title   string
	columns []string // measures
}

func tables() []table {
	return []table{
		{"Throughput", []string{TCP1, TCP1Back, TCP4, CPU, UDP64, UDP1200}},
		{"Latency, start and memory", []string{PingP50, PingP99, RR, RRP99, CRR, CRRP99, Startup, RSSIdle, RSSLoad}},
	}
}

// Markdown writes the report of one or more runs.
func Markdown(d Data, style Style) (string, error) {
	if len(d.Machines) == 0 {
		return "", errors.New("nothing was measured")
	}
	s := Summarize(d.Samples)
	var b strings.Builder
	b.WriteString(origin(d, repeated(d)+"; in brackets the ratio to wireguard-go"))
	for _, profile := range s.Profiles() {
		if strings.HasPrefix(profile, WAN) || strings.HasPrefix(profile, Many) || strings.HasPrefix(profile, Console) {
			continue // below
		}
		writeTargets(&b, s, style, profile)
		peers := style.sort(s.Peers(profile))
		for _, t := range tables() {
			columns := slices.DeleteFunc(slices.Clone(t.columns), func(m string) bool { return !measured(s, profile, peers, m) })
			if len(columns) > 0 {
				fmt.Fprintf(&b, "\n**%s, profile `%s`**\n\n", t.title, profile)
				writeTable(&b, s, style, profile, peers, columns)
			}
		}
	}
	writeScenes(&b, s)
	writeVersions(&b, s, style)
	return b.String(), nil
}

// subject says what was measured: the version of Landbridge, or where it wasn't, the
// commit of the sources.
func subject(d Data) string {
	s := Summarize(d.Samples)
	var versions []string
	for _, peer := range append([]string{ours}, modes()...) {
		if v, _, _ := strings.Cut(s.Version(peer), " "); v != "" && !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return cmp.Or(strings.Join(versions, " and "), d.Machines[len(d.Machines)-1].Commit)
}

// origin says where the figures come from, and what they are medians of.
func origin(d Data, medians string) string {
	m := d.Machines[len(d.Machines)-1]
	noisy := 0
	for _, x := range d.Samples {
		if x.Foreign >= Quiet {
			noisy++
		}
	}
	quick := ""
	if slices.ContainsFunc(d.Machines, func(m Machine) bool { return m.Quick }) {
		quick = " Short measurements (`-quick`): their spread is larger."
	}
	return fmt.Sprintf("%s, commit `%s`; %s, %d cores, %s GB; Linux %s. %s. "+
		"`~`: other programs used the machine meanwhile (%d of %d samples).%s\n",
		m.Started.Format("2006-01-02"), subject(d), m.CPU, m.Cores, Number(float64(m.Memory)/1e9), m.Kernel, medians, noisy, len(d.Samples), quick)
}

// repeated says of how many repetitions the figures are.
func repeated(d Data) string {
	repetitions := 0
	for _, x := range d.Samples {
		repetitions = max(repetitions, x.Repetition)
	}
	if repetitions > 1 {
		return fmt.Sprintf("Medians of %d repetitions", repetitions)
	}
	return "One repetition"
}

func measured(s Summary, profile string, peers []string, measure string) bool {
	return slices.ContainsFunc(peers, func(p string) bool {
		_, ok := s.Figure(profile, p, measure)
		return ok
	})
}

func writeTable(b *strings.Builder, s Summary, style Style, profile string, peers, columns []string) {
	b.WriteString("| peer |")
	for _, id := range columns {
		m, _ := Describe(id)
		fmt.Fprintf(b, " %s, %s |", m.Title, m.Unit)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(columns)) + "\n")
	for _, p := range peers {
		tried := func(m string) bool {
			f, ok := s.Figure(profile, p, m)
			return ok || f.Failures > 0
		}
		if !slices.ContainsFunc(columns, tried) {
			continue
		}
		fmt.Fprintf(b, "| %s |", p)
		for _, id := range columns {
			fmt.Fprintf(b, " %s |", cell(s, style, profile, p, id))
		}
		b.WriteString("\n")
	}
}

// cell writes a figure and its ratio to the reference's.
func cell(s Summary, style Style, profile, peer, measure string) string {
	f, ok := s.Figure(profile, peer, measure)
	switch {
	case !ok && f.Failures > 0:
		return "failed"
	case !ok:
		return "–"
	}
	text := f.String()
	if r, ok := s.Figure(profile, style.Reference, measure); ok && r.Value != 0 && peer != style.Reference {
		text += fmt.Sprintf(" (%s)", Number(f.Value/r.Value))
	}
	return text
}

func writeVersions(b *strings.Builder, s Summary, style Style) {
	var all []string
	for _, p := range style.sort(distinct(s.samples, func(x Sample) string { return x.Peer })) {
		if v := s.Version(p); v != "" {
			all = append(all, p+" "+v)
		}
	}
	if len(all) > 0 {
		fmt.Fprintf(b, "\nVersions: %s.\n", strings.Join(all, ", "))
	}
}

// sort orders peers.
func (style Style) sort(peers []string) []string {
	rank := func(p string) int {
		if i := slices.Index(style.Order, p); i >= 0 {
			return i
		}
		return len(style.Order)
	}
	sorted := slices.Clone(peers)
	slices.SortStableFunc(sorted, func(a, b string) int { return rank(a) - rank(b) })
	return sorted
}
