package report

import (
	"strings"
	"testing"
)

func TestTargetsAreJudgedByTheWorstOfTheirMeasures(t *testing.T) {
	d := data()
	for _, s := range [][]Sample{
		of("landbridge", TCP1Back, 4000), of("wireguard-go", TCP1Back, 2000),
		of("landbridge", TCP4, 6000), of("wireguard-go", TCP4, 2000),
		of("landbridge-router", TCP1, 4600), of("landbridge-router", TCP4, 5700),
		of("landbridge", CPU, 2), of("wireguard-go", CPU, 5), of("landbridge", UDP64, 210_000),
		of("landbridge", PingP99, 200), of("wireguard-go", PingP99, 600), of("n2n", PingP99, 160), of("veth", PingP99, 30),
		of("landbridge", RR, 7000), of("wireguard-go", RR, 3500), of("n2n", RR, 5000), of("veth", RR, 10_000),
	} {
		d.Samples = append(d.Samples, s...)
	}
	var b strings.Builder
	writeTargets(&b, Summarize(d.Samples), style(), "nic")
	want := "\n**Targets, profile `nic`**\n\n| what | target | measured | |\n|---|---:|---:|---|\n" +
		"| TCP, each way and 4 streams, × wireguard-go | ≥ 2.50 | 2.00 | **missed** |\n" +
		"| CPU a gigabyte, × wireguard-go | ≤ 0.45 | 0.40 | met |\n" +
		"| UDP of 64 bytes, datagrams/s | ≥ 210,000 | 210,000 | met |\n" +
		"| ping p50 and p99, × the best other's | ≤ 1.00 | 1.25 | **missed** |\n" +
		"| requests/s, × the best other's | ≥ 1.00 | 1.40 | met |\n" +
		"| router mode's TCP, × interface mode's | ≥ 0.90 | 0.92 | met |\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if writeTargets(&b, Summarize(d.Samples), style(), "veth"); b.Len() != 0 {
		t.Errorf("of a profile without samples: %s", b.String())
	}
}
