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
	var all, quiet []Sample
	for _, x := range s.samples {
		switch {
		case x.Profile != profile || x.Peer != peer || x.Measure != measure:
		case x.Error != "":
			f.Failures++
		default:
			all = append(all, x)
			if x.Foreign < Quiet {
				quiet = append(quiet, x)
			}
		}
	}
	if len(quiet) < 2 && len(quiet) < len(all) {
		f.Noisy = true
		quiet = all
	}
	var values, bare []float64
	for _, x := range quiet {
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
