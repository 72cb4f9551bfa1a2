package report

import (
	"strings"
	"testing"
	"time"
)

func data() Data {
	d := Data{Machines: []Machine{{
		Started: time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC), CPU: "a CPU", Cores: 2, Memory: 8e9, Kernel: "6.18", Commit: "abc1234",
	}}}
	for _, s := range [][]Sample{
		of("wireguard-go", TCP1, 2000, 2100, 1900), of("landbridge", TCP1, 5000, 5200, 4800), of("veth", TCP1, 20000),
		of("wireguard-go", PingP50, 300), of("landbridge", PingP50, 60),
	} {
		d.Samples = append(d.Samples, s...)
	}
	d.Samples = append(d.Samples, Sample{Peer: "tinc", Profile: "nic", Measure: TCP1, Error: "it doesn't start"})
	return d
}

func style() Style {
	return Style{Order: []string{"landbridge", "wireguard-go", "tinc", "veth"}, Plain: []string{"veth"}, Reference: "wireguard-go"}
}

func TestTheTableShowsMediansAndRatios(t *testing.T) {
	text, err := Markdown(data(), style())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2026-11-22, commit `v1`; a CPU, 2 cores, 8.00 GB; Linux 6.18. Medians of 3 repetitions",
		"**Throughput, profile `nic`**\n\n| peer | TCP, 1 stream, Mbit/s |\n|---|---:|\n" +
			"| landbridge | 5,000 (2.50) |\n| wireguard-go | 2,000 |\n| tinc | failed |\n| veth | 20,000 (10.0) |\n",
		"| peer | ping p50, µs |\n|---|---:|\n| landbridge | 60.0 (0.20) |\n| wireguard-go | 300 |\n\n",
		"Versions: landbridge v1, wireguard-go v1, veth v1.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks\n%s\nit is\n%s", want, text)
		}
	}
	if strings.Contains(text, "WAN") || strings.Contains(text, "A group") {
		t.Errorf("it shows scenes that weren't measured:\n%s", text)
	}
}

func TestTheCommitIsThatOfTheSourcesWhereLandbridgeWasNotMeasured(t *testing.T) {
	d := data()
	d.Samples = of("tinc", TCP1, 500)
	if text, err := Markdown(d, style()); err != nil || !strings.Contains(text, "commit `abc1234`") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestAPeerThatOthersDisturbedIsMarked(t *testing.T) {
	d := data()
	for i := range d.Samples {
		d.Samples[i].Foreign = 1
	}
	text, err := Markdown(d, style())
	if err != nil || !strings.Contains(text, "| landbridge | 5,000 ~ (2.50) |") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestTheReportReplacesTheOneBetweenTheMarkersAlone(t *testing.T) {
	document := "before\n" + Begin + "\nold\n" + End + "\nafter\n"
	want := "before\n" + Begin + "\nnew\n" + End + "\nafter\n"
	for range 2 {
		got, err := Insert(document, Begin, "\nnew\n\n")
		if err != nil || got != want {
			t.Fatalf("got %q (%v)", got, err)
		}
		document = got
	}
	for _, none := range []string{"", "before " + Begin, End + Begin, BeginModes + End} {
		if got, err := Insert(none, Begin, "new"); err == nil {
			t.Errorf("%q becomes %q", none, got)
		}
	}
}

func TestAWANIsComparedWithItsBarePathAndMembersWithOne(t *testing.T) {
	d := data()
	d.Samples = append(d.Samples,
		Sample{Peer: "landbridge", Profile: "wan-100", Measure: WANTCP, Value: 90, Bare: 95},
		Sample{Peer: "landbridge", Profile: "wan-1000", Measure: WANTCP, Value: 500, Bare: 950, Foreign: 1},
		Sample{Peer: "landbridge", Profile: "wan-100", Measure: WANShare, Value: 0.981},
		Sample{Peer: "landbridge", Profile: "wan-100", Measure: WANPing, Value: 20.5},
		Sample{Peer: "landbridge", Profile: "wan-100", Measure: WANLoaded, Value: 33, Bare: 120},
		Sample{Peer: "landbridge", Profile: "many-1-nic", Measure: ManyUDP64, Value: 200_000},
		Sample{Peer: "landbridge", Profile: "many-100-nic", Measure: ManyUDP64, Value: 170_000, Bare: 500_000},
		Sample{Peer: "landbridge", Profile: "many-100-nic", Measure: ManyUDP64Back, Value: 190_000},
		Sample{Peer: "landbridge", Profile: "many-100-nic", Measure: ManyCPU, Value: 2.5})
	text, err := Markdown(d, style())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| landbridge, 100 Mbit/s | 90.0 | 95.0 | 0.981 | 20.5 | 33.0 | 120 |\n",
		"| landbridge, 1000 Mbit/s | 500 ~ | 950 |",
		"| nic, 1 | 200,000 (1.00) | – | – | – | 0, 0 |  |\n| nic, 100 | 170,000 (0.85) | – | 190,000 | – | 2.50, 0 | 500,000 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks\n%s\nit is\n%s", want, text)
		}
	}
}

func TestAFloodedEndIsComparedWithAFloodOfAnotherAppliance(t *testing.T) {
	d := data()
	for id, values := range map[string][2]float64{
		ConsoleAlone50: {150, 15}, ConsoleAlone99: {700, 100},
		ConsoleOther50: {200, 30}, ConsoleOther99: {4000, 200}, ConsoleOtherRate: {999, 0},
		ConsolePing50: {220, 40}, ConsolePing99: {5000, 250}, ConsoleRate: {998, 0}, ConsoleStreams: {500, 0}, ConsoleRSS: {110, 0},
	} {
		d.Samples = append(d.Samples, Sample{Peer: "landbridge", Profile: "console-nic", Measure: id, Value: values[0], Bare: values[1]})
	}
	text, err := Markdown(d, style())
	if err != nil {
		t.Fatal(err)
	}
	want := "| nic, nothing | 150 | 700 | 15.0, 100 | – | – | – |\n" +
		"| nic, a flood of another appliance | 200 | 4,000 | 30.0, 200 | 999 | – | – |\n" +
		"| nic, a flood of the tunnel's end | 220 (1.10) | 5,000 (1.25) | 40.0, 250 | 998 | 500 | 110 |\n"
	if !strings.Contains(text, want) {
		t.Errorf("the report lacks\n%s\nit is\n%s", want, text)
	}
}
