package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTheMedianIsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := Median(c.of); got != c.want {
			t.Errorf("of %v: %v, want %v", c.of, got, c.want)
		}
	}
	values := []float64{3, 1, 2}
	Median(values)
	if values[0] != 3 {
		t.Error("it sorts what isn't its own")
	}
}

func TestNumbersHaveThreeDigitsThatCount(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 0.124: "0.12", 1.5: "1.50", 12.34: "12.3", 123.4: "123", 1234.5: "1,234", 1234567: "1,234,567", -1234: "-1,234", -0.5: "-0.50",
	} {
		if got := Number(x); got != want {
			t.Errorf("%v is %q, want %q", x, got, want)
		}
	}
}

// of makes samples of one measure.
func of(peer, measure string, values ...float64) []Sample {
	var all []Sample
	for i, v := range values {
		all = append(all, Sample{Peer: peer, Version: "v1", Profile: "nic", Repetition: i + 1, Measure: measure, Value: v, Bare: 10 * v})
	}
	return all
}

func TestNoisySamplesDoNotCountWhereEnoughAreQuiet(t *testing.T) {
	samples := of("tinc", TCP1, 100, 200, 900)
	samples[2].Foreign = 0.5
	f, ok := Summarize(samples).Figure("nic", "tinc", TCP1)
	if want := (Figure{Value: 150, Low: 100, High: 200, Bare: 1500, Count: 2}); !ok || f != want {
		t.Errorf("two quiet ones: %+v, want %+v", f, want)
	}
	samples[1].Foreign = 0.5
	f, _ = Summarize(samples).Figure("nic", "tinc", TCP1)
	if f.Value != 200 || !f.Noisy || f.Count != 3 {
		t.Errorf("one quiet one: %+v", f)
	}
	if f, ok := Summarize(samples).Figure("veth", "tinc", TCP1); ok {
		t.Errorf("of another profile: %+v", f)
	}
}

func TestOneQuietSampleIsNoNoise(t *testing.T) {
	if f, ok := Summarize(of("tinc", TCP1, 100)).Figure("nic", "tinc", TCP1); !ok || f.Noisy {
		t.Errorf("%+v", f)
	}
}

func TestFailuresAreCountedAndNotValues(t *testing.T) {
	samples := append(of("tinc", TCP1, 100), Sample{Peer: "tinc", Profile: "nic", Measure: TCP1, Error: "no route"})
	if f, ok := Summarize(samples).Figure("nic", "tinc", TCP1); !ok || f.Value != 100 || f.Failures != 1 {
		t.Errorf("%+v", f)
	}
	if f, ok := Summarize(samples[1:]).Figure("nic", "tinc", TCP1); ok || f.Failures != 1 {
		t.Errorf("nothing but failures: %+v", f)
	}
}

func TestSamplesOfAnOlderVersionDoNotCount(t *testing.T) {
	samples := append(of("landbridge", TCP1, 100), of("landbridge", TCP1, 900)...)
	samples[1].Version = "v2"
	samples = append(samples, of("tinc", TCP1, 50)...)
	s := Summarize(samples)
	if f, ok := s.Figure("nic", "landbridge", TCP1); !ok || f.Value != 900 || f.Count != 1 {
		t.Errorf("%+v", f)
	}
	if f, ok := s.Figure("nic", "tinc", TCP1); !ok || f.Value != 50 {
		t.Errorf("another peer: %+v", f)
	}
}

func TestSamplesAreReadAsTheyWereWritten(t *testing.T) {
	at := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	want := Data{
		Machines: []Machine{{Started: at, CPU: "a CPU", Cores: 2, Memory: 1 << 34, Kernel: "6.18", Commit: "abc", Quick: true}},
		Samples:  []Sample{{At: at, Peer: "tinc", Version: "1.0", Profile: "nic", Repetition: 1, Measure: TCP1, Value: 1.5, Bare: 2.5, Foreign: 0.1}},
	}
	var file bytes.Buffer
	w, err := NewWriter(&file, want.Machines[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(want.Samples[0]); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&file)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v)", got, err)
	}
}

func TestAFileThatIsNoneOfSamplesIsRefused(t *testing.T) {
	for what, text := range map[string]string{"empty": "", "no JSON": "hello\n", "something else": `{"machine":{}}` + "\n" + `{"cat":1}` + "\n"} {
		if d, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %+v", what, d)
		}
	}
}
