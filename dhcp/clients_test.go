package dhcp

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
)

// Real clients against the server: each in network, mount and UTS namespaces of its
// own, so that nothing of this machine is touched, over a veth pair and an AF_PACKET
// socket. With -capture the messages that they send become the files in testdata.

var capture = flag.Bool("capture", false, "write the messages of real clients to testdata")

const inNamespace = "LANDBRIDGE_DHCP_TEST_NAMESPACE"

var (
	wireService = netip.MustParseAddr("10.9.0.1")
	wireMAC     = frame.MAC{0x02, 0xaa, 0, 0, 0, 1}
)

// inOwnNamespaces runs the calling test again in a child process with namespaces of
// its own. It reports true in the child; in the parent it takes over the outcome.
func inOwnNamespaces(t *testing.T, program string) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		hideSystem(t)
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed", program)
	}
	t.Parallel()
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	if *capture {
		args = append(args, "-capture")
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

// hideSystem covers what DHCP clients and their scripts write to.
func hideSystem(t *testing.T) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/run", "/var/lib/dhcp", "/var/lib/dhcpcd"} {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(empty, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
}

// message is one that a client sent, and the answer.
type message struct {
	kind  dhcpv4.MessageType
	reply dhcpv4.MessageType
	req   *dhcpv4.DHCPv4
}

func (m message) String() string { return fmt.Sprintf("%v -> %v", m.kind, m.reply) }

// wire serves a veth pair: "cli" is for the client, the other end is the server's.
type wire struct {
	t      *testing.T
	server *Server
	leaser *fakeLeaser
	file   *os.File
	inUse  netip.Addr // this address answers ARP, as a host without a lease would
	prefix string     // of captured files

	mu       sync.Mutex
	messages []message
	changed  chan struct{} // closed at each message
}

func newWire(t *testing.T, prefix string, lease time.Duration) *wire {
	t.Helper()
	w := &wire{t: t, leaser: newFakeLeaser("10.9.1.1"), prefix: prefix, changed: make(chan struct{})}
	w.server = NewServer(Config{
		Prefix: netip.MustParsePrefix("10.9.0.0/16"), ServiceAddr: wireService, MTU: 1376, Zone: "demo.example",
		Options: Options{LeaseTime: lease, Domain: "demo.example"}, Leaser: w.leaser, Prober: &fakeProber{},
	})
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "srv"}, PeerName: "cli", PeerHardwareAddr: []byte{0x52, 0x54, 0, 0, 0, 1}}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lo", "srv", "cli"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			t.Fatal(err)
		}
	}
	w.knowService()
	w.open()
	var running sync.WaitGroup
	running.Go(w.serve)
	t.Cleanup(func() { _ = w.file.Close(); running.Wait() })
	return w
}

// knowService spares a client's kernel the ARP for the server: dhcpcd deletes its
// address right after it sent its RELEASE, and the kernel would drop what still waits.
func (w *wire) knowService() {
	link, err := netlink.LinkByName("cli")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := netlink.NeighAdd(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT,
		IP: wireService.AsSlice(), HardwareAddr: wireMAC.HardwareAddr(),
	}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) open() {
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
	if err != nil {
		w.t.Fatal(err)
	}
	link, err := netlink.LinkByName("srv")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Attrs().Index}); err != nil {
		w.t.Fatal(err)
	}
	w.file = os.NewFile(uintptr(fd), "srv")
}

func (w *wire) serve() {
	buf := make([]byte, 2048)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		e, err := frame.ParseEthernet(buf[:n])
		if err != nil {
			continue
		}
		switch e.EtherType() {
		case frame.EtherTypeARP:
			w.arp(e)
		case frame.EtherTypeIPv4:
			w.dhcp(e)
		}
	}
}

func (w *wire) arp(e frame.Ethernet) {
	a, err := frame.ParseARP(e.Payload())
	if err != nil || a.Op() != frame.ARPRequest || (a.TargetIP() != wireService && a.TargetIP() != w.inUse) {
		return
	}
	_, _ = w.file.Write(frame.AppendARP(nil, a.SenderMAC(), wireMAC, frame.ARPFields{
		Op: frame.ARPReply, SenderMAC: wireMAC, SenderIP: a.TargetIP(), TargetMAC: a.SenderMAC(), TargetIP: a.SenderIP(),
	}))
}

func (w *wire) dhcp(e frame.Ethernet) {
	p, err := frame.ParseIPv4(e.Payload())
	if err != nil || p.Protocol() != frame.ProtocolUDP || e.Src() == wireMAC {
		return
	}
	u, err := frame.ParseUDP(p.Payload())
	if err != nil || u.DstPort() != 67 {
		return
	}
	m := message{}
	if m.req, err = dhcpv4.FromBytes(u.Payload()); err != nil {
		w.t.Errorf("client sent %x: %v", u.Payload(), err)
		return
	}
	m.kind = m.req.MessageType()
	reply, ok, err := w.server.Handle(context.Background(), u.Payload(), e.Src())
	if err != nil {
		w.t.Logf("%v: %v", m.kind, err)
	}
	if ok {
		m.reply = w.send(reply)
	}
	w.record(m, u.Payload())
}

func (w *wire) send(r Reply) dhcpv4.MessageType {
	b := frame.AppendEthernet(nil, r.DstMAC, wireMAC, frame.EtherTypeIPv4)
	b = frame.AppendUDP(b, netip.AddrPortFrom(wireService, 67), netip.AddrPortFrom(r.Dst, 68), r.Payload)
	if _, err := w.file.Write(b); err != nil {
		w.t.Error(err)
	}
	d, err := dhcpv4.FromBytes(r.Payload)
	if err != nil {
		w.t.Errorf("reply %x: %v", r.Payload, err)
		return dhcpv4.MessageTypeNone
	}
	return d.MessageType()
}

func (w *wire) record(m message, payload []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = append(w.messages, m)
	close(w.changed)
	w.changed = make(chan struct{})
	if !*capture {
		return
	}
	name := filepath.Join("testdata", fmt.Sprintf("%s-%02d-%s.hex", w.prefix, len(w.messages), strings.ToLower(m.kind.String())))
	if err := os.WriteFile(name, []byte(hex.Dump(payload)), 0o644); err != nil {
		w.t.Error(err)
	}
}

// wait blocks until a message that is wanted has come, after the first n, and
// returns it and the number of messages up to it.
func (w *wire) wait(n int, what string, wanted func(message) bool) (message, int) {
	w.t.Helper()
	deadline := time.After(time.Minute)
	for {
		w.mu.Lock()
		messages, changed := w.messages, w.changed
		w.mu.Unlock()
		for i := n; i < len(messages); i++ {
			if wanted(messages[i]) {
				return messages[i], i + 1
			}
		}
		select {
		case <-changed:
		case <-deadline:
			w.t.Fatalf("no %s; seen: %v", what, messages)
		}
	}
}

// client starts a DHCP client, which is killed with its helpers at the end of the test.
func (w *wire) client(name string, args ...string) *exec.Cmd {
	w.t.Helper()
	out, err := os.CreateTemp(w.t.TempDir(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if b, err := os.ReadFile(out.Name()); err == nil && w.t.Failed() {
			w.t.Logf("%s said:\n%s", name, b)
		}
	})
	return cmd
}

func (w *wire) signal(cmd *exec.Cmd, s os.Signal) {
	w.t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		w.t.Fatal(err)
	}
}

// signalUntil signals now and every other second until stopped.
func (w *wire) signalUntil(cmd *exec.Cmd, s os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var signalling sync.WaitGroup
	signalling.Go(func() {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for ctx.Err() == nil {
			_ = cmd.Process.Signal(s) // where it has ended, the test's wait says so
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return func() { cancel(); signalling.Wait() }
}

func acked(m message) bool    { return m.reply == dhcpv4.MessageTypeAck }
func offered(m message) bool  { return m.reply == dhcpv4.MessageTypeOffer }
func released(m message) bool { return m.kind == dhcpv4.MessageTypeRelease }
func declined(m message) bool { return m.kind == dhcpv4.MessageTypeDecline }

func renewing(m message) bool {
	return m.kind == dhcpv4.MessageTypeRequest && !m.req.ClientIPAddr.IsUnspecified() && acked(m)
}

func rebooting(m message) bool {
	return m.kind == dhcpv4.MessageTypeRequest && m.req.ClientIPAddr.IsUnspecified() && !m.req.Options.Has(dhcpv4.OptionServerIdentifier)
}

// script writes a client's hook that sets the address and reports it to a file.
func (w *wire) script(body string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// expectFile waits until a hook has written these words, in any order, into a file.
func (w *wire) expectFile(path string, words ...string) {
	w.t.Helper()
	var b []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		b, _ = os.ReadFile(path)
		missing := false
		for _, word := range words {
			missing = missing || !strings.Contains(string(b), word)
		}
		if !missing {
			return
		}
	}
	w.t.Fatalf("hook wrote %q, want %q", b, words)
}

func TestUdhcpcGetsRenewsReleasesAndDeclines(t *testing.T) {
	if !inOwnNamespaces(t, "udhcpc") {
		return
	}
	w := newWire(t, "udhcpc", time.Hour)
	out := filepath.Join(t.TempDir(), "out")
	hook := w.script(`[ "$1" = bound ] && ip addr add $ip/$mask dev $interface && echo "$ip/$mask $dns $domain $mtu $lease $serverid $search" >` + out + "\nexit 0\n")
	cmd := w.client("udhcpc", "-f", "-i", "cli", "-s", hook, "-x", "hostname:Box.one", "-O", "mtu", "-O", "search")
	_, n := w.wait(0, "ACK", acked)
	w.expectFile(out, "10.9.1.1/16", "10.9.0.1", "demo.example", "1376", "3600")
	w.signal(cmd, syscall.SIGUSR1)
	_, n = w.wait(n, "renewal", renewing)
	w.signal(cmd, syscall.SIGUSR2)
	w.wait(n, "RELEASE", released)
	if w.leaser.names[netip.MustParseAddr("10.9.1.1")] != "box" || w.leaser.seen("release 10.9.1.1") != 1 {
		t.Fatalf("names %v, calls %v", w.leaser.names, w.leaser.calls)
	}
	w.signal(cmd, syscall.SIGTERM)

	w.inUse = netip.MustParseAddr("10.9.1.1")
	w.client("udhcpc", "-f", "-q", "-a", "-A", "1", "-i", "cli", "-s", hook)
	_, n = w.wait(n, "DECLINE", declined)
	w.wait(n, "OFFER of another address", func(m message) bool { return offered(m) && w.leaser.seen("decline 10.9.1.1") == 1 })
}

// leaseElsewhere is what dhclient remembers of another network.
const leaseElsewhere = `lease {
  interface "cli";
  fixed-address 192.168.7.5;
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 86400;
  option dhcp-message-type 5;
  option dhcp-server-identifier 192.168.7.1;
  renew 5 2037/01/02 00:00:00;
  rebind 6 2037/01/03 00:00:00;
  expire 0 2037/01/04 00:00:00;
}
`

func TestDhclientComesFromElsewhereGetsRenewsRebootsAndReleases(t *testing.T) {
	if !inOwnNamespaces(t, "dhclient") {
		return
	}
	w := newWire(t, "dhclient", time.Hour)
	w.leaser.end = func() time.Time { // the first lease is short, so that the client renews it soon
		if slices.Index(w.leaser.calls, "commit") == len(w.leaser.calls)-1 || !slices.Contains(w.leaser.calls, "commit") {
			return time.Now().Add(8 * time.Second)
		}
		return time.Now().Add(time.Hour)
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	hook := w.script(`case $reason in BOUND|REBOOT) ip addr add $new_ip_address/$new_subnet_mask dev $interface;;
RENEW|REBIND) echo "again $new_ip_address" >>` + out + `;; esac
echo "$reason $new_ip_address $new_subnet_mask $new_domain_name_servers $new_domain_name $new_domain_search $new_interface_mtu" >>` + out + "\nexit 0\n")
	config := filepath.Join(dir, "dhclient.conf")
	if err := os.WriteFile(config, []byte(`send host-name "alpha";
request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers, domain-search, host-name, interface-mtu;
`), 0o644); err != nil {
		t.Fatal(err)
	}
	leases := filepath.Join(dir, "leases")
	if err := os.WriteFile(leases, []byte(leaseElsewhere), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-4", "-d", "-cf", config, "-sf", hook, "-lf", leases, "-pf", filepath.Join(dir, "pid"), "cli"}
	cmd := w.client("dhclient", args...)
	_, n := w.wait(0, "NAK", func(m message) bool { return rebooting(m) && m.reply == dhcpv4.MessageTypeNak })
	_, n = w.wait(n, "ACK", acked)
	w.expectFile(out, "BOUND 10.9.1.1 255.255.0.0 10.9.0.1 demo.example demo.example. 1376")
	_, n = w.wait(n, "renewal", renewing)
	w.expectFile(out, "again 10.9.1.1") // the client has the ACK
	w.signal(cmd, syscall.SIGKILL)
	_ = cmd.Wait()

	w.client("dhclient", args...)
	_, n = w.wait(n, "INIT-REBOOT", func(m message) bool { return rebooting(m) && acked(m) })
	w.expectFile(out, "REBOOT 10.9.1.1")
	w.client("dhclient", append([]string{"-r"}, args...)...)
	w.wait(n, "RELEASE", released)
}

// dhcpcd starts it with more lines of configuration; out is what its hook writes.
func (w *wire) dhcpcd(more string) (cmd *exec.Cmd, out string) {
	w.t.Helper()
	dir := w.t.TempDir()
	out = filepath.Join(dir, "out")
	hook := w.script(`echo "$reason $new_ip_address $new_subnet_mask $new_domain_name_servers $new_domain_name $new_domain_search $new_interface_mtu" >>` + out + "\nexit 0\n")
	config := filepath.Join(dir, "dhcpcd.conf")
	text := "vendorclassid dhcpcd-9.4.1\nhostname beta\nclientid\npersistent\noption domain_name_servers, domain_name, domain_search\noption interface_mtu\nrequire dhcp_server_identifier\n" + more
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return w.client("dhcpcd", "-4", "-B", "--noarp", "-f", config, "-c", hook, "-d", "cli"), out
}

func TestDhcpcdGetsRebindsAndReleases(t *testing.T) {
	if !inOwnNamespaces(t, "dhcpcd") {
		return
	}
	w := newWire(t, "dhcpcd", time.Hour)
	cmd, out := w.dhcpcd("")
	_, n := w.wait(0, "ACK", acked)
	w.expectFile(out, "BOUND 10.9.1.1 255.255.0.0 10.9.0.1 demo.example demo.example 1376")
	asked := w.signalUntil(cmd, syscall.SIGHUP) // it forgets one that comes while it still sets its address up
	_, n = w.wait(n, "renewal", func(m message) bool { return m.kind == dhcpv4.MessageTypeRequest && acked(m) })
	asked()
	w.expectFile(out, "RENEW 10.9.1.1")         // the client has the ACK
	asked = w.signalUntil(cmd, syscall.SIGALRM) // "release and exit"; it forgets one that comes while its hook still runs
	w.wait(n, "RELEASE", released)
	asked()
	if w.leaser.names[netip.MustParseAddr("10.9.1.1")] != "beta" {
		t.Fatalf("names %v", w.leaser.names)
	}
}
