package iface

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
)

func readFrameWithin(t *testing.T, w *Wire, patience time.Duration) []byte {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(w.FD()), Events: unix.POLLIN}}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		_, _ = unix.Poll(fds, 10)
		buf := make([]byte, 2000)
		n, err := w.Read(buf)
		must(t, err)
		if n > 0 {
			return buf[:n]
		}
	}
	t.Fatal("no frame came")
	return nil
}

func openWire(t *testing.T, port string) *Wire {
	t.Helper()
	w, err := OpenWire(port, frame.EtherTypeBeacon)
	must(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// ethernet is a broadcast frame of w with a text in it.
func ethernet(w *Wire, etherType uint16, text string) []byte {
	f := frame.AppendEthernet(nil, frame.Broadcast(), w.MAC(), etherType)
	f = append(f, text...)
	return append(f, make([]byte, 60-len(f))...)
}

func TestAWireTakesOneEtherTypeOnly(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	awaitCarrier(t, "lan0")
	near, far := openWire(t, "lan0"), openWire(t, host.Attrs().Name)
	if own, _ := frame.MACFrom(linkNamed(t, "lan0").Attrs().HardwareAddr); near.MAC() != own {
		t.Errorf("the MAC is %v, want %v", near.MAC(), own)
	}
	tagged := frame.AppendEthernet(nil, frame.Broadcast(), far.MAC(), frame.EtherTypeVLAN)
	tagged = append(tagged, 0, 5, byte(frame.EtherTypeBeacon>>8), byte(frame.EtherTypeBeacon&0xff))
	tagged = append(append(tagged, "in VLAN 5"...), make([]byte, 40)...)
	must(t, far.Write(ethernet(far, frame.EtherTypeARP, "another EtherType")))
	must(t, far.Write(tagged))
	want := ethernet(far, frame.EtherTypeBeacon, "this one")
	must(t, far.Write(want))
	if got := readFrameWithin(t, near, 20*time.Second); !bytes.Equal(got, want) {
		t.Errorf("came %q", got)
	}
	if n, err := near.Read(make([]byte, 2000)); n != 0 || err != nil {
		t.Errorf("%d bytes more came, %v", n, err)
	}
	if n, err := far.Read(make([]byte, 2000)); n != 0 || err != nil {
		t.Errorf("what was sent came back: %d bytes, %v", n, err)
	}
	must(t, near.Close())
	if _, err := near.Read(make([]byte, 2000)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed wire reads: %v", err)
	}
}

func TestAWireOutlivesALinkThatIsDownForAWhile(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	awaitCarrier(t, "lan0")
	near, far := openWire(t, "lan0"), openWire(t, host.Attrs().Name)
	must(t, netlink.LinkSetDown(linkNamed(t, "lan0")))
	must(t, near.Write(ethernet(near, frame.EtherTypeBeacon, "lost")))
	if near.Refused() != 1 {
		t.Errorf("%d frames were refused, want 1", near.Refused())
	}
	_, err := near.Read(make([]byte, 2000))
	must(t, err)
	must(t, netlink.LinkSetUp(linkNamed(t, "lan0")))
	awaitCarrier(t, "lan0")
	assertPasses(t, near, far)
	assertPasses(t, far, near)
}

// assertPasses sends until a frame has come: the kernel opens a link's queues some time after
// it says that the link is up.
func assertPasses(t *testing.T, from, to *Wire) {
	t.Helper()
	want, buf := ethernet(from, frame.EtherTypeBeacon, "up again"), make([]byte, 2000)
	fds := []unix.PollFd{{Fd: int32(to.FD()), Events: unix.POLLIN}}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		must(t, from.Write(want))
		_, _ = unix.Poll(fds, 10)
		n, err := to.Read(buf)
		must(t, err)
		if n > 0 {
			if !bytes.Equal(buf[:n], want) {
				t.Errorf("came %q", buf[:n])
			}
			return
		}
	}
	t.Fatal("no frame passes")
}

func TestAWatchTellsWhatBecomesOfAPort(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	awaitCarrier(t, "lan0")
	states := make(chan PortState, 64)
	w, err := WatchPort("lan0", quiet(), func(s PortState) { states <- s })
	must(t, err)
	first := await(t, states, func(s PortState) bool { return s.Running })

	must(t, netlink.LinkSetDown(host)) // the cable is pulled
	began := time.Now()
	await(t, states, func(s PortState) bool { return !s.Running && s.Index == first.Index })
	t.Logf("the loss of the carrier was told after %v", time.Since(began))
	must(t, netlink.LinkSetUp(host))
	await(t, states, func(s PortState) bool { return s.Running })

	addAddr(t, "lan0", "192.0.2.2/24")
	await(t, states, func(s PortState) bool { return s.Running }) // told, though the state is the same

	must(t, netlink.LinkDel(linkNamed(t, "lan0")))
	await(t, states, func(s PortState) bool { return s.Index == 0 })
	addLAN(t, "lan0")
	again := await(t, states, func(s PortState) bool { return s.Running })
	if again.Index == first.Index || len(again.MAC) != 6 {
		t.Errorf("the new device is told as %+v", again)
	}
	w.Close()
	must(t, netlink.LinkDel(linkNamed(t, "lan0")))
	for len(states) > 0 {
		<-states
	}
}

func await(t *testing.T, states <-chan PortState, which func(PortState) bool) PortState {
	t.Helper()
	patience := time.After(30 * time.Second)
	for {
		select {
		case s := <-states:
			if which(s) {
				return s
			}
		case <-patience:
			t.Fatal("the state wasn't told")
		}
	}
}

func TestNeighboursThatDoNotAnswerAreTold(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	addAddr(t, "lan0", "192.0.2.2/24")
	awaitCarrier(t, "lan0")
	must(t, os.WriteFile("/proc/sys/net/ipv4/neigh/lan0/retrans_time_ms", []byte("20"), 0))
	type silence struct {
		index int
		addr  netip.Addr
	}
	told := make(chan silence, 16)
	w, err := WatchSilence(quiet(), func(index int, addr netip.Addr) { told <- silence{index, addr} })
	must(t, err)
	must(t, exec.Command("sh", "-c", "ping -q -c1 -W1 192.0.2.9 || true").Run())
	select {
	case got := <-told:
		if want := (silence{linkNamed(t, "lan0").Attrs().Index, netip.MustParseAddr("192.0.2.9")}); got != want {
			t.Errorf("told of %v, want %v", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Error("not told")
	}
	w.Close()
}
