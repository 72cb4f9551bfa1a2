package iface

import (
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
)

// toTAP sends a frame from the LAN and reports whether it reaches the TAP: one to the gateway MAC, which is sent after it,
// comes a moment later at the latest.
func toTAP(t *testing.T, tap *TAP, host netlink.Link, dst, src net.HardwareAddr) bool {
	t.Helper()
	drain(t, tap)
	f := testFrame(dst, 0x77)
	copy(f[6:], src)
	fd, fence := rawSocket(t, host.Attrs().Index), testFrame(gatewayMAC, 0x78)
	must(t, unix.Send(fd, f, 0))
	must(t, unix.Send(fd, fence, 0))
	pkts := make([]frame.Packet, 16)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if !awaitFrames(t, tap, 20*time.Millisecond) {
			continue
		}
		n, err := tap.ReadBatch(pkts)
		must(t, err)
		for _, p := range pkts[:n] {
			switch string(p.Ethernet()) {
			case string(f):
				return true
			case string(fence):
				end = time.Now().Add(50 * time.Millisecond)
			}
		}
	}
	return false
}

func TestABridgeTakesAnotherRoutersMACUntilItIsHeard(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	tap := openTAP(t)
	b, err := CreateBridge(bridgeConfig(tap, "lan0"))
	must(t, err)
	defer b.Close()
	awaitForwarding(t, tap, host)
	other, from := net.HardwareAddr{0x02, 0xcc, 0, 0, 0, 3}, net.HardwareAddr{0x02, 0xdd, 0, 0, 0, 4}
	broadcast := net.HardwareAddr{255, 255, 255, 255, 255, 255}

	if toTAP(t, tap, host, other, from) {
		t.Fatal("frames for another reach the TAP")
	}
	toTAP(t, tap, host, broadcast, other) // the bridge knows where it is
	must(t, b.TakeMAC(other))
	if !toTAP(t, tap, host, other, from) {
		t.Error("frames for the MAC that was taken don't reach the TAP")
	}
	toTAP(t, tap, host, broadcast, other) // it is back
	if toTAP(t, tap, host, other, from) {
		t.Error("frames for a MAC that is heard on the LAN reach the TAP")
	}
	must(t, b.GiveMACBack(other))
	must(t, b.TakeMAC(other))
	must(t, b.GiveMACBack(other))
	must(t, b.GiveMACBack(other)) // which it hasn't any more
	if toTAP(t, tap, host, other, from) {
		t.Error("frames for a MAC that was given back reach the TAP")
	}
}

// As in a loop, or while another stands in for us.
func TestAFrameFromTheGatewayMACOnTheLANDoesNotDeafenTheTAP(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	tap := openTAP(t)
	b, err := CreateBridge(bridgeConfig(tap, "lan0"))
	must(t, err)
	defer b.Close()
	awaitForwarding(t, tap, host)
	toTAP(t, tap, host, net.HardwareAddr{255, 255, 255, 255, 255, 255}, gatewayMAC)
	if !toTAP(t, tap, host, gatewayMAC, net.HardwareAddr{0x02, 0xdd, 0, 0, 0, 4}) {
		t.Error("frames for the gateway MAC don't reach the TAP any more")
	}
}

func TestAHushedTAPHearsNoBroadcasts(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	tap := openTAP(t)
	b, err := CreateBridge(bridgeConfig(tap, "lan0"))
	must(t, err)
	defer b.Close()
	awaitForwarding(t, tap, host)
	broadcast, from := net.HardwareAddr{255, 255, 255, 255, 255, 255}, net.HardwareAddr{0x02, 0xdd, 0, 0, 0, 4}
	for _, hushed := range []bool{false, true, false} {
		must(t, b.Hush(hushed))
		if got := toTAP(t, tap, host, broadcast, from); got == hushed {
			t.Errorf("hushed %v: a broadcast reaches the TAP: %v", hushed, got)
		}
		if !toTAP(t, tap, host, gatewayMAC, from) {
			t.Errorf("hushed %v: frames for the gateway MAC don't reach the TAP", hushed)
		}
	}
}
