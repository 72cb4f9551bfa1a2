package iface

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
)

func TestTAPsThatShareABridgeGetTheLANsFramesAndNoneOfEachOther(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	first, second := openTAP(t), openTAP(t)
	a, err := CreateBridge(bridgeConfig(first, "lan0"))
	must(t, err)
	defer a.Close()
	otherMAC := net.HardwareAddr{0x02, 0xbb, 0, 0, 0, 3}
	b, err := a.Share(second, otherMAC, quiet())
	must(t, err)
	defer b.Close()
	if a.Name() != b.Name() || b.MTU() != a.MTU() {
		t.Errorf("bridges %s and %s, MTU %d and %d", a.Name(), b.Name(), a.MTU(), b.MTU())
	}
	awaitForwarding(t, first, host)
	drain(t, second)

	// What the first writes, by each way that a bridge forwards. Its last frame reaches the LAN.
	everybody := net.HardwareAddr{255, 255, 255, 255, 255, 255}
	lan := rawSocket(t, host.Attrs().Index)
	must(t, first.WriteBatch([]frame.Packet{packetOf(testFrame(otherMAC, 1)), packetOf(testFrame(everybody, 2))}))
	buf := make([]byte, 128)
	for buf[20] != 2 {
		if _, err := unix.Read(lan, buf); err != nil {
			t.Fatalf("the broadcast of the first TAP didn't reach the LAN: %v", err)
		}
	}
	// What the LAN says: to the second alone, and to all.
	must(t, unix.Send(lan, testFrame(otherMAC, 3), 0))
	must(t, unix.Send(lan, testFrame(everybody, 4), 0))
	if got := readFrames(t, second, 2); got[0][20] != 3 || got[1][20] != 4 {
		t.Errorf("the second TAP got frames %d and %d, want 3 (its gateway MAC) and 4 (broadcast)", got[0][20], got[1][20])
	}
	if got := readFrames(t, first, 1); got[0][20] != 4 {
		t.Errorf("the first TAP got frame %d, want 4 alone", got[0][20])
	}
}

func TestTheLastThatSharesABridgeTakesItDown(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	first, second := openTAP(t), openTAP(t)
	a, err := CreateBridge(bridgeConfig(first, "lan0"))
	must(t, err)
	b, err := a.Share(second, net.HardwareAddr{0x02, 0xbb, 0, 0, 0, 3}, quiet())
	must(t, err)

	must(t, a.Close())
	must(t, a.Close())
	if linkNamed(t, first.Name()).Attrs().MasterIndex != 0 {
		t.Error("the TAP that has gone is still on the bridge")
	}
	must(t, b.Check("lan0"))
	must(t, unix.Send(rawSocket(t, host.Attrs().Index), testFrame(net.HardwareAddr{255, 255, 255, 255, 255, 255}, 9), 0))
	readFrames(t, second, 1)
	if joined, err := b.Rejoin(); joined || err != nil {
		t.Errorf("Rejoin with the port there: %t, %v", joined, err)
	}
	c, err := b.Share(first, gatewayMAC, quiet()) // it comes again
	must(t, err)
	must(t, b.Close())
	must(t, c.Check("lan0"))
	must(t, c.Close())
	assertReleased(t, "lan0", true)
	if _, err := c.Share(second, gatewayMAC, quiet()); err == nil {
		t.Error("a bridge that has gone was shared")
	}
}
