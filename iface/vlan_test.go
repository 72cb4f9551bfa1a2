package iface

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestNamesOfVLANs(t *testing.T) {
	for name, want := range map[string]struct {
		parent string
		id     uint16
	}{
		"eth1.10": {"eth1", 10}, "eth1.4094": {"eth1", 4094}, "eth1.10.20": {"eth1.10", 20}, "a.1": {"a", 1},
		"eth1": {}, "eth1.": {}, ".10": {}, "eth1.0": {}, "eth1.4095": {}, "eth1.010": {}, "eth1.-1": {}, "eth1.x": {}, "": {}, ".": {},
	} {
		parent, id, ok := splitVLAN(name)
		if parent != want.parent || id != want.id || ok != (want.id != 0) {
			t.Errorf("%q is VLAN %d of %q, %t", name, id, parent, ok)
		}
	}
}

// The bytes are those of ip link add link eth1 name eth1.10 type vlan id 10, eth1 being device
// 7, in the order of our attributes. See linux/if_link.h.
func TestTheRequestForAVLAN(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the bytes are those of a little-endian machine")
	}
	got := vlanRequest("eth1.10", 7, 10).Serialize()
	const header = 16 + 16 // struct nlmsghdr, struct ifinfomsg
	want := []byte{
		12, 0, unix.IFLA_IFNAME, 0, 'e', 't', 'h', '1', '.', '1', '0', 0,
		8, 0, unix.IFLA_LINK, 0, 7, 0, 0, 0,
		32, 0, unix.IFLA_LINKINFO, 0,
		8, 0, 1, 0, 'v', 'l', 'a', 'n', // IFLA_INFO_KIND
		20, 0, 2, 0, // IFLA_INFO_DATA
		6, 0, 1, 0, 10, 0, 0, 0, // IFLA_VLAN_ID, padded
		6, 0, 5, 0, 0x81, 0, 0, 0, // IFLA_VLAN_PROTOCOL, in network order, padded
	}
	if !bytes.Equal(got[header:], want) {
		t.Errorf("the request is\n%v\nwant\n%v", got[header:], want)
	}
	if kind := binary.NativeEndian.Uint16(got[4:]); kind != unix.RTM_NEWLINK {
		t.Errorf("it is of type %d", kind)
	}
	const flags = unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_EXCL
	if got := binary.NativeEndian.Uint16(got[6:]); got != flags {
		t.Errorf("its flags are %#x, want %#x", got, flags)
	}
}

func TestAVLANOfNothingIsRefused(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	tap := openTAP(t)
	before := snapshot(t)
	_, err := CreateBridge(bridgeConfig(tap, "eth9.10"))
	if !errors.Is(err, ErrNoPort) || !strings.Contains(err.Error(), "nor eth9, of which it could be VLAN 10; it has lan0") {
		t.Errorf("got %v", err)
	}
	if err := CheckPort("lo.10", "test"); !errors.Is(err, ErrLoopback) {
		t.Errorf("lo.10: %v", err)
	}
	if now := snapshot(t); now != before {
		t.Errorf("the host's network changed from\n%s\nto\n%s", before, now)
	}
}

// Where the kernel has no VLAN devices this tests the refusal, where it has, the VLAN's life.
func TestAVLANIsMadeWithItsBridgeAndGoesWithIt(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	tap := openTAP(t)
	before := snapshot(t)
	b, err := CreateBridge(bridgeConfig(tap, "lan0.10"))
	if errors.Is(err, ErrNoVLAN) {
		if !strings.Contains(err.Error(), "VLAN 10 of lan0 can't be made, as this kernel has no VLAN devices (802.1Q); load the module (modprobe 8021q)") {
			t.Errorf("the refusal says: %v", err)
		}
		if after := snapshot(t); after != before {
			t.Errorf("the host's network changed from\n%s\nto\n%s", before, after)
		}
		t.Skip("this kernel has no VLAN devices: the refusal was tested alone")
	}
	must(t, err)
	vlan := linkNamed(t, "lan0.10")
	if !isOwnVLAN(vlan, "test") || vlan.Attrs().ParentIndex != linkNamed(t, "lan0").Attrs().Index || vlan.Attrs().MasterIndex == 0 {
		t.Errorf("lan0.10 is %+v", vlan.Attrs())
	}
	if err := CheckPort("lan0.10", "another"); err == nil {
		t.Error("another owner may have it too")
	}
	must(t, b.Close())
	if after := snapshot(t); after != before {
		t.Errorf("the host's network changed from\n%s\nto\n%s", before, after)
	}
	child := startChild(t, "lan0.10")
	must(t, child.Process.Kill())
	_ = child.Wait()
	must(t, Recover("test", quiet()))
	if after := snapshot(t); after != before {
		t.Errorf("after a kill and Recover the host's network changed from\n%s\nto\n%s", before, after)
	}
}

// Untagged frames are one group's, those of VLAN 10 another's, on one port.
func TestAPortAndItsVLANAreTwoWires(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	must(t, netlink.LinkSetDown(linkNamed(t, "lan0")))
	plain, tagged := openTAP(t), openTAP(t)
	before := snapshot(t)
	v, err := CreateBridge(bridgeConfig(tagged, "lan0.10"))
	if errors.Is(err, ErrNoVLAN) {
		t.Skip("this kernel has no VLAN devices")
	}
	must(t, err)
	p, err := CreateBridge(bridgeConfig(plain, "lan0"))
	must(t, err)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = "far.10", host.Attrs().Index
	must(t, netlink.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: 10}))
	far := linkNamed(t, "far.10")
	must(t, netlink.LinkSetUp(far))

	awaitForwarding(t, tagged, far)
	awaitForwarding(t, plain, host)
	drain(t, tagged)
	everybody := net.HardwareAddr{255, 255, 255, 255, 255, 255}
	must(t, unix.Send(rawSocket(t, host.Attrs().Index), testFrame(everybody, 1), 0))
	must(t, unix.Send(rawSocket(t, far.Attrs().Index), testFrame(everybody, 2), 0))
	if got := readFrames(t, plain, 1); got[0][20] != 1 {
		t.Errorf("untagged came frame %d", got[0][20])
	}
	if got := readFrames(t, tagged, 1); got[0][20] != 2 {
		t.Errorf("of VLAN 10 came frame %d", got[0][20])
	}
	if awaitFrames(t, plain, 50*time.Millisecond) || awaitFrames(t, tagged, 50*time.Millisecond) {
		t.Error("a frame came to both")
	}
	must(t, netlink.LinkDel(far))
	must(t, p.Close())
	if a := linkNamed(t, "lan0").Attrs(); a.Flags&net.FlagUp == 0 {
		t.Error("the port of a VLAN that goes on was set down")
	}
	must(t, v.Close())
	if after := snapshot(t); after != before {
		t.Errorf("the host's network changed from\n%s\nto\n%s", before, after)
	}
}
