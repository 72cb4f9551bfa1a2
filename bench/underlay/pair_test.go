package underlay

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

func forTest(t *testing.T, profile Profile) (context.Context, *Pair) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	for _, err := range netlab.Missing("ip", "ping", "ethtool") {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	p, err := Open(ctx, profile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return ctx, p
}

func TestTheWireOfANICCutsSuperFramesAndThatOfAVethDoesNot(t *testing.T) {
	for profile, want := range map[Profile]string{Veth: "tcp-segmentation-offload: on", NIC: "tcp-segmentation-offload: off"} {
		ctx, p := forTest(t, profile)
		far, device := p.A.Port("eth0").Far()
		if out, err := far.Run(ctx, "ethtool", "-k", device); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: the wire's side: %v\n%s", profile, err, out)
		}
		// The sender leaves the cutting to the wire in both.
		if out, err := p.A.Run(ctx, "ethtool", "-k", "eth0"); err != nil || !strings.Contains(out, "tcp-segmentation-offload: on") {
			t.Errorf("%s: the sender's side: %v\n%s", profile, err, out)
		}
	}
}

func TestABareEthernetIsAsThePairsButForItsMTU(t *testing.T) {
	ctx, p := forTest(t, NIC)
	for _, mtu := range []int{MTU, 1376} {
		a, b, err := p.Bare(ctx, mtu)
		if err != nil {
			t.Fatal(err)
		}
		send := func(bytes int) (string, error) {
			return a.Run(ctx, "ping", "-q", "-c", "1", "-w", "3", "-M", "do", "-s", strconv.Itoa(bytes-28), b.Addr.String())
		}
		if out, err := send(mtu); err != nil {
			t.Errorf("a packet of %d bytes: %v: %s", mtu, err, out)
		}
		if out, err := send(mtu + 1); err == nil {
			t.Errorf("a packet of %d bytes crosses an Ethernet whose MTU is %d: %s", mtu+1, mtu, out)
		}
		far, device := a.Port("eth0").Far()
		if out, err := far.Run(ctx, "ethtool", "-k", device); err != nil || !strings.Contains(out, "tcp-segmentation-offload: off") {
			t.Errorf("its wire doesn't cut super-frames: %v\n%s", err, out)
		}
		if _, err := a.Spawn(ctx, "sleep", "1000"); err != nil {
			t.Fatal(err)
		}
	}
	if u, err := Used(); err != nil || u.Processes != 0 {
		t.Errorf("what runs there is accounted: %+v (%v)", u, err)
	}
}

func TestWhatAPeerLeavesBehindIsAccountedAndWhatServesItIsNot(t *testing.T) {
	ctx, p := forTest(t, Veth)
	// A program that goes to the background, as some do whatever they are told.
	if _, err := p.A.Spawn(ctx, "sh", "-c", "setsid sleep 1000 & echo it runs"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.W.Spawn(ctx, "sleep", "1000"); err != nil {
		t.Fatal(err)
	}
	err := netlab.WaitFor(ctx, "the program to detach itself", func() (bool, error) {
		u, err := Used()
		return u.Processes == 1 && u.RSS > 0 && u.Peak >= u.RSS, err
	})
	if err != nil {
		u, uerr := Used()
		t.Errorf("%v: %+v (%v)", err, u, uerr)
	}
	if u, err := Used(p.B); err != nil || u.Processes != 0 {
		t.Errorf("on the other side: %+v (%v)", u, err)
	}
	if u, err := Used(p.A); err != nil || u.Processes != 1 {
		t.Errorf("on its side: %+v (%v)", u, err)
	}
	if log := p.A.Log(); !strings.Contains(log, "it runs") {
		t.Errorf("the log says %q", log)
	}
	p.Close()
	if u, err := Used(); err != nil || u.Processes != 0 {
		t.Errorf("after the pair: %+v (%v)", u, err)
	}
}

func TestAWANDelaysAndSlowsDown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	p, err := OpenWAN(ctx, 1e6, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	// 1,042 bytes take 8.3 ms at 1 Mbit/s, there and back. Of a busy machine the least says most.
	out, err := p.A.Run(ctx, "ping", "-n", "-q", "-c", "20", "-i", "0.1", "-s", "1000", p.B.Addr.String())
	_, rest, _ := strings.Cut(out, "min/avg/max/mdev = ")
	least, perr := time.ParseDuration(strings.Split(rest, "/")[0] + "ms")
	if err != nil || perr != nil || least < 36*time.Millisecond || least > 60*time.Millisecond {
		t.Errorf("a round trip takes %v (%v, %v):\n%s", least, err, perr, out)
	}
}

func TestASideThatIsToldToEndEnds(t *testing.T) {
	ctx, p := forTest(t, Veth)
	c, err := p.B.Spawn(ctx, "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	if err := Terminate(c); err != nil {
		t.Error(err)
	}
	if u, err := Used(); err != nil || u.Processes != 0 {
		t.Errorf("after its end: %+v (%v)", u, err)
	}
	if p.Other(p.A) != p.B || p.Other(p.B) != p.A {
		t.Error("the other side of a side is wrong")
	}
}
