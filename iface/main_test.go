package iface

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// The namespace ring: these tests make real devices in a network namespace of their
// own, which dies with them. They need root.

const childEnv = "LANDBRIDGE_IFACE_TEST_CHILD"

var (
	testMAC    = net.HardwareAddr{0x02, 0xaa, 0, 0, 0, 1}
	gatewayMAC = net.HardwareAddr{0x02, 0xbb, 0, 0, 0, 2}
)

// inNamespace moves the test into a new network namespace.
func inNamespace(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	own, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = own.Close()
		if err := netns.Set(home); err != nil {
			t.Errorf("back to the first namespace: %v", err)
			return // the thread stays locked and dies with the goroutine
		}
		_ = home.Close()
		runtime.UnlockOSThread()
	})
}

// addLAN makes a LAN port and the far end of its cable: host0 stands for a host.
func addLAN(t *testing.T, port string) (host netlink.Link) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = port
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: port + "-host"}))
	host = linkNamed(t, port+"-host")
	must(t, netlink.LinkSetUp(host))
	must(t, netlink.LinkSetUp(linkNamed(t, port)))
	return host
}

func openTAP(t *testing.T) *TAP {
	t.Helper()
	tap, err := OpenTAP("", TAPOptions{MAC: testMAC, Owner: "test"})
	must(t, err)
	t.Cleanup(func() { _ = tap.Close() })
	return tap
}

func bridgeConfig(tap *TAP, port string) BridgeConfig {
	return BridgeConfig{LANPort: port, TAP: tap, GatewayMAC: gatewayMAC, Owner: "test", Log: quiet()}
}

func linkNamed(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatalf("device %s: %v", name, err)
	}
	return l
}

func exists(name string) bool {
	_, err := netlink.LinkByName(name)
	return err == nil
}

func addAddr(t *testing.T, dev, prefix string) {
	t.Helper()
	p := netip.MustParsePrefix(prefix)
	must(t, netlink.AddrAdd(linkNamed(t, dev), &netlink.Addr{
		IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startChild runs a Landbridge-like process in this namespace: a TAP, bridged with
// port (or of "presence PORT ADDR", with that presence); it returns once that stands, and the
// child lives until killed.
func startChild(t *testing.T, port string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+port)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("child said %q, %v", line, err)
	}
	return cmd
}

func TestMain(m *testing.M) {
	port := os.Getenv(childEnv)
	if port == "" {
		os.Exit(m.Run())
	}
	tap, err := OpenTAP("", TAPOptions{MAC: testMAC, Owner: "test"})
	if err == nil {
		err = attachChild(tap, port)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

func attachChild(tap *TAP, how string) error {
	words := strings.Fields(how)
	if words[0] != "presence" {
		_, err := CreateBridge(bridgeConfig(tap, how))
		return err
	}
	addr := netip.MustParseAddr(words[2])
	if err := AssignAddress(tap, netip.PrefixFrom(addr, 16)); err != nil {
		return err
	}
	p, err := EnterPresence(PresenceConfig{Port: words[1], Addr: addr, TAP: tap, Log: quiet()})
	if err != nil {
		return err
	}
	return p.AddRoute(addr.Next())
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
