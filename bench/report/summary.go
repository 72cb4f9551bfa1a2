package report

import (
	"slices"
	"strconv"
	"strings"
)

// Quiet is the most that others may use of a core in a quiet sample.
const Quiet = 0.2

// Summary answers with medians of samples.
type Summary struct{ samples []Sample }

// Summarize sums up samples: of each peer those of its newest version alone.
func Summarize(samples []Sample) Summary {
	all := Summary{samples}
	newest := make(map[string]string)
	for _, x := range samples {
		newest[x.Peer] = all.Version(x.Peer)
	}
	return Summary{slices.DeleteFunc(slices.Clone(samples), func(x Sample) bool {
		return x.Version != "" && x.Version != newest[x.Peer]
	})}
}

// Figure is a median of repetitions.
type Figure struct {
	Value    float64
	Low      float64 // of the repetitions
	High     float64
	Bare     float64 // median of what the underlay gave; 0: not measured
	Count    int     // of the repetitions that count
	Noisy    bool    // too few were quiet, so that all count
	Failures int
}

// String writes the median, and marks a noisy one.
func (f Figure) String() string {
	if f.Noisy {
		return Number(f.Value) + " ~"
	}
	return Number(f.Value)
}

// Figure returns a measure of a peer; ok is false where no repetition has it.
func (s Summary) Figure(profile, peer, measure string) (f Figure, ok bool) {
	count, f := s.counting(profile, peer, measure)
	var values, bare []float64
	for _, x := range count {
		values = append(values, x.Value)
		if x.Bare != 0 {
			bare = append(bare, x.Bare)
		}
	}
	if len(values) == 0 {
		return f, false
	}
	f.Value, f.Bare, f.Count = Median(values), Median(bare), len(values)
	f.Low, f.High = slices.Min(values), slices.Max(values)
	return f, true
}

// Ratio returns a measure in relation to the bare path's: the ratio of the medians. Half of the
// samples, each in relation to the bare path of its own moment, lies from Low to High.
func (s Summary) Ratio(profile, peer, measure string) (f Figure, ok bool) {
	count, f := s.counting(profile, peer, measure)
	var values, bare, ratios []float64
	for _, x := range count {
		if x.Bare != 0 {
			values, bare, ratios = append(values, x.Value), append(bare, x.Bare), append(ratios, x.Value/x.Bare)
		}
	}
	if len(ratios) == 0 {
		return f, false
	}
	slices.Sort(ratios)
	quarter := len(ratios) / 4
	f.Value, f.Count = Median(values)/Median(bare), len(ratios)
	f.Low, f.High = ratios[quarter], ratios[len(ratios)-1-quarter]
	return f, true
}

// counting returns the samples that count, and a figure that tells which these are.
func (s Summary) counting(profile, peer, measure string) (count []Sample, f Figure) {
	var all []Sample
	for _, x := range s.samples {
		switch {
		case x.Profile != profile || x.Peer != peer || x.Measure != measure:
		case x.Error != "":
			f.Failures++
		default:
			all = append(all, x)
			if x.Foreign < Quiet {
				count = append(count, x)
			}
		}
	}
	if len(count) < 2 && len(count) < len(all) {
		f.Noisy = true
		count = all
	}
	return count, f
}

// Profiles returns the profiles of which there are samples, in the order of their coming.
func (s Summary) Profiles() []string {
	return distinct(s.samples, func(x Sample) string { return x.Profile })
}

// Peers returns the peers of a profile, in the order of their coming.
func (s Summary) Peers(profile string) []string {
	of := slices.DeleteFunc(slices.Clone(s.samples), func(x Sample) bool { return x.Profile != profile })
	return distinct(of, func(x Sample) string { return x.Peer })
}

// Version returns the newest version of a peer.
func (s Summary) Version(peer string) string {
	for _, x := range slices.Backward(s.samples) {
		if x.Peer == peer && x.Version != "" {
			return x.Version
		}
	}
	return ""
}

func distinct(samples []Sample, of func(Sample) string) []string {
	var all []string
	for _, x := range samples {
		if v := of(x); !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// Median returns the middle value, the mean of the two in the middle of an even number
// of them, and 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	m := len(v) / 2
	if len(v)%2 == 1 {
		return v[m]
	}
	return (v[m-1] + v[m]) / 2
}

// Number writes a figure with three digits that count, and commas between thousands.
func Number(x float64) string {
	digits := 2
	switch a := max(x, -x); {
	case a >= 100:
		digits = 0
	case a >= 10:
		digits = 1
	case a == 0:
		return "0"
	}
	text := strconv.FormatFloat(x, 'f', digits, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return sign + whole
}
