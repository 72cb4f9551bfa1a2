package main

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

func TestTheCommandLineChoosesWhatIsMeasured(t *testing.T) {
	o, err := parse(nil)
	if err != nil || len(o.kinds) != len(peers.All()) || o.reps != 3 || o.quick || o.add || o.docs != "" || len(o.members) != 0 ||
		!slices.Equal(o.profiles, []underlay.Profile{underlay.NIC, underlay.Veth}) || !slices.Equal(o.measures, groups()) {
		t.Errorf("by default: %+v (%v)", o, err)
	}
	if !strings.HasPrefix(o.programs.Landbridge, "/") || !strings.HasPrefix(o.programs.Cache, "/") {
		t.Errorf("hosts won't find the programs: %+v", o.programs)
	}
	o, err = parse([]string{"-quick", "-peers", "veth,landbridge", "-measures", "tcp"})
	if err != nil || len(o.kinds) != 2 || o.kinds[0].Name != "landbridge" || o.reps != 1 || !o.wants(groupTCP) || o.wants(groupUDP) ||
		!slices.Equal(o.profiles, []underlay.Profile{underlay.NIC}) {
		t.Errorf("quick: %+v (%v)", o, err)
	}
	o, err = parse([]string{"-quick", "-reps", "5", "-profile", "veth"})
	if err != nil || o.reps != 5 || !slices.Equal(o.profiles, []underlay.Profile{underlay.Veth}) {
		t.Errorf("quick, but: %+v (%v)", o, err)
	}
}

func TestWhatIsNotThereIsRefusedAndWhatIsIsNamed(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-peers ipsec", "wireguard-go"}, {"-profile wifi", "nic"}, {"-measures speed", "udp"}, {"-many 1000", "200"}, {"tcp", "-help"},
	} {
		if _, err := parse(strings.Fields(c.args)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}

func TestTheModesAreMeasuredByTheirOwnCommandLine(t *testing.T) {
	o, err := parse([]string{"modes"})
	if err != nil || !o.modes || o.reps != 3 || o.out != "out/bench-modes" || !slices.Equal(o.measures, modeGroups()) {
		t.Errorf("by default: %+v (%v)", o, err)
	}
	o, err = parse([]string{"modes", "-quick", "-measures", "sites,hybrid", "-turns", "5", "-add"})
	if err != nil || o.reps != 1 || o.turns != 5 || !o.add {
		t.Fatalf("a part: %+v (%v)", o, err)
	}
	b := &bench{options: o, plan: quick().ofModes(o.turns)}
	var got []string
	for _, s := range b.scenes() {
		for _, k := range s.kinds {
			got = append(got, s.profile+" "+k.Name)
		}
	}
	if want := []string{"lan-nic hybrid", "sites-nic interface", "sites-nic router", "sites-nic hybrid"}; !slices.Equal(got, want) || b.plan.turns != 5 {
		t.Errorf("%d turns of %q, want 5 of %q", b.plan.turns, got, want)
	}
	for _, c := range []struct{ args, want string }{{"-measures tcp", "hybrid"}, {"-turns -1", "turns"}, {"-peers veth", "peers"}, {"x", "bench-modes -help"}} {
		if _, err := parse(append([]string{"modes"}, strings.Fields(c.args)...)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}

func TestEachPathIsFirstInTurn(t *testing.T) {
	paths := make([]measure.Path, 3)
	for i := range paths {
		paths[i].Addr = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
	}
	for n, want := range []string{"012", "120", "201", "012"} {
		var order strings.Builder
		got, err := inTurn(&repetition{}, n, paths, func(p measure.Path) (byte, error) {
			last := p.Addr.As4()[3]
			order.WriteByte('0' + last)
			return last, nil
		})
		if err != nil || order.String() != want || !slices.Equal(got, []byte{0, 1, 2}) {
			t.Errorf("turn %d goes %s and gives %v (%v), want %s", n, order.String(), got, err, want)
		}
	}
	broken := errors.New("broken")
	if _, err := inTurn(&repetition{}, 0, paths, func(measure.Path) (int, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("what fails is %v", err)
	}
}

func TestWANsAreForLandbridgeAndItsReferenceAlone(t *testing.T) {
	o, err := parse([]string{"-measures", "wan,tcp", "-profile", "nic"})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{options: o}
	var got []string
	for _, s := range b.scenes() {
		got = append(got, s.profile)
		if strings.HasPrefix(s.profile, report.WAN) && len(s.kinds) != 2 {
			t.Errorf("%s is for %d peers", s.profile, len(s.kinds))
		}
	}
	if want := []string{"nic", "wan-10", "wan-100", "wan-1000"}; !slices.Equal(got, want) {
		t.Errorf("scenes %v, want %v", got, want)
	}
}

func TestATunnelThatFillsItsFramesIsChargedForItsHeadersAlone(t *testing.T) {
	// A link of 10,000 frames of 1,514 bytes a second: the bare path carries 1,448 bytes in
	// each, a tunnel with an MTU of 1,400 and 60 bytes more in each 1,348 in its 1,474.
	const link = 10_000 * 1514 * 8.0
	bare := loaded{rate: link * 1448 / 1514, frame: 1514}
	tunnel := loaded{rate: link * 1348 / 1474, frame: 1474}
	if got := tunnel.share(1400) / bare.share(1500); math.Abs(got-1) > 1e-9 {
		t.Errorf("it carries %.4f of the bare path, less headers", got)
	}
	tunnel.rate *= 0.9
	if got := tunnel.share(1400) / bare.share(1500); math.Abs(got-0.9) > 1e-9 {
		t.Errorf("with a tenth lost it carries %.4f", got)
	}
}

func TestTheNumbersOfACrowdAreReadInTheirOrder(t *testing.T) {
	got, err := parseMany("100,1,10,1")
	if err != nil || !slices.Equal(got, []int{1, 10, 100}) {
		t.Errorf("got %v (%v)", got, err)
	}
	if got, err := parseMany(""); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %v (%v)", got, err)
	}
	for _, bad := range []string{"0", "201", "ten", "-1"} {
		if got, err := parseMany(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}
