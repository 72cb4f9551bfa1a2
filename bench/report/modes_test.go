package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// beside makes samples of a mode, each with what the bare path gave.
func beside(profile, mode, measure string, pairs ...[2]float64) []Sample {
	var all []Sample
	for _, p := range pairs {
		all = append(all, Sample{Peer: mode, Version: "v7 (go)", Profile: profile, Repetition: 1, Measure: measure, Value: p[0], Bare: p[1]})
	}
	return all
}

func modeData() Data {
	d := Data{Machines: data().Machines}
	for _, s := range [][]Sample{
		beside("lan-nic", "hybrid", NativeTCP, [2]float64{9700, 10_000}, [2]float64{9900, 9000}, [2]float64{9800, 12_000}, [2]float64{9000, 9900}),
		beside("lan-nic", "hybrid", NativeRR, [2]float64{104, 100}),
		beside("lan-nic", "hybrid", MTU, [2]float64{1500, 0}),
		beside("lan-nic", "hybrid", Carried, [2]float64{0, 0}, [2]float64{0, 0}, [2]float64{7, 0}),
		beside("lan-nic", "router", NativeTCP, [2]float64{9300, 10_000}),
		beside("lan-nic", "router", NativeTCPSame, [2]float64{9300, 9300}),
		beside("sites-nic", "interface", TCP1, [2]float64{6000, 12_000}),
		beside("sites-nic", "interface", CPU, [2]float64{1.5, 0}),
		beside("sites-nic", "interface", HostCPU, [2]float64{0.25, 0.5}),
		beside("sites-nic", "interface", Cores(500), [2]float64{0.22, 0}),
		{{Peer: "router", Profile: "sites-nic", Measure: Cores(500), Error: "no more than 300 got through"}},
		beside("sites-nic", "router", TCP1, [2]float64{5000, 14_000}),
		beside("sites-nic", "hybrid", TCP1, [2]float64{6100, 13_000}),
	} {
		d.Samples = append(d.Samples, s...)
	}
	return d
}

func TestModesAreComparedWithTheBareBridgeOfTheSameTurns(t *testing.T) {
	text, err := Modes(modeData())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2026-11-22, commit `v7`; a CPU",
		// The medians' ratio, 9,750 of 9,950, not that of the extremes.
		"| two hybrid hosts of one LAN: TCP, × the bare bridge's | ≥ 0.970 | 0.980 | met |\n",
		"| their round trip, × the bare bridge's | ≤ 1.030 | 1.040 | **missed** |\n",
		// One repetition in which something crossed is one too many.
		"| packets that the tunnels carried meanwhile | = 0 | 7.00 | **missed** |\n",
		"| two hosts of a router's LAN: TCP, × the bare bridge's | ≥ 0.990 | 0.930 | **missed** |\n" +
			"| the same, × a bare bridge's whose hosts have the same MTU | ≥ 0.990 | 1.000 | met |\n",
		"| hybrid | 1500 | 9,750 | 9,950 | 0.980 (0.91 to 0.97) | 0.980 (0.91 to 0.97) | 104 | 100 | 1.040 (1.04 to 1.04) | 0 | 0 | 4 |\n",
		// 0.75 GB/s at 1.5 s/GB.
		"| all that goes | 1.12 | – | – |\n",
		"| 500 | 0.22 | failed | – |\n| 1,000 | – | – | – |\n",
		"| interface | 6,000 | – | – | 1.50 | 0.25 | – | – |\n",
		"| none: the bare path | 13,000 | 0 | 0 | – | 0.50 | 0 | 0 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks\n%s\nit is\n%s", want, text)
		}
	}
	if text, err := Modes(Data{Machines: data().Machines}); err == nil {
		t.Errorf("of nothing: %s", text)
	}
}

func TestAModeThatFailsIsToldSo(t *testing.T) {
	d := modeData()
	d.Samples = append(beside("lan-nic", "hybrid", NativeRR, [2]float64{1, 1}),
		Sample{Peer: "router", Profile: "lan-nic", Measure: NativeTCP, Error: "no lease"},
		Sample{Peer: "router", Profile: "sites-nic", Measure: TCP1, Error: "no path"})
	text, err := Modes(d)
	if err != nil || strings.Count(text, "failed") != 2 {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestThePictureOfTheModesShowsEachAboveItsBareBridge(t *testing.T) {
	svg, err := ModesSVG(modeData())
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{">hybrid<", ">bare bridge<", ">9,750<", ">9,950<", ">1.50 / 1.75<", "profile nic"} {
		if !strings.Contains(svg, want) {
			t.Errorf("it lacks %q:\n%s", want, svg)
		}
	}
	if svg, err := ModesSVG(data()); err == nil {
		t.Errorf("without modes: %s", svg)
	}
}
