package image

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// patience is how long a machine under software emulation, on a busy computer, may take.
const patience = 3 * time.Minute

// builtImage returns the disk of make image and the program, or skips the test.
func builtImage(t *testing.T) (disk, program string) {
	disk, program = os.Getenv("LANDBRIDGE_IMAGE"), os.Getenv("LANDBRIDGE_BINARY")
	if disk == "" || program == "" {
		t.Skip("it boots the image in QEMU, which takes minutes: make test-image")
	}
	for _, err := range netlab.Missing("qemu-system-x86_64", "qemu-img", "genisoimage", "udhcpc", "ping") {
		t.Fatal(err)
	}
	return disk, program
}

// machine is one that QEMU emulates, on a host of the lab.
type machine struct {
	host   *netlab.Host
	began  time.Time
	serial string
	qemu   *netlab.Cmd
}

// changesTo returns a file that takes what is written to a disk, which stays as it is.
func changesTo(t *testing.T, disk string) string {
	t.Helper()
	changes := filepath.Join(t.TempDir(), "disk.qcow2")
	if out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", "raw", changes, "1G").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return changes
}

// boot starts a machine on a host; its changes to the disk are its own.
func boot(t *testing.T, host *netlab.Host, disk string, memoryMiB int, args ...string) *machine {
	t.Helper()
	return bootAgain(t, host, changesTo(t, disk), memoryMiB, args...)
}

// bootAgain starts a machine with what was written to its disk before.
func bootAgain(t *testing.T, host *netlab.Host, changes string, memoryMiB int, args ...string) *machine {
	t.Helper()
	return bootFrom(t, host, "file="+changes+",format=qcow2,if=virtio", memoryMiB, args...)
}

// bootFrom starts a machine with a disk as QEMU's -drive has it.
func bootFrom(t *testing.T, host *netlab.Host, drive string, memoryMiB int, args ...string) *machine {
	t.Helper()
	m := &machine{host: host, serial: filepath.Join(t.TempDir(), "serial")}
	whole := append([]string{
		"-machine", "accel=tcg", "-m", fmt.Sprint(memoryMiB), "-smp", "1", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "file:" + m.serial,
		"-drive", drive, "-device", "virtio-rng-pci",
	}, args...)
	m.qemu = host.Command(t.Context(), "qemu-system-x86_64", whole...)
	var said bytes.Buffer
	m.qemu.Stderr = &said
	m.began = time.Now()
	if err := m.qemu.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if m.qemu == nil {
			return // another goes on with its disk
		}
		m.pullPlug()
		if t.Failed() {
			text, _ := os.ReadFile(m.serial)
			t.Logf("%s: %s\nits serial line:\n%s", host.Name, &said, text[max(0, len(text)-4000):])
		}
	})
	return m
}

// pullPlug ends the machine at once. What it has flushed to its disk is there, and nothing else need be.
func (m *machine) pullPlug() {
	if m.qemu != nil {
		_ = m.qemu.Process.Kill()
		_ = m.qemu.Wait()
		m.qemu = nil
	}
}

// until waits for a condition, and says how long it took since the machine's start.
func (m *machine) until(t *testing.T, what string, cond func(context.Context) error) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		one, done := context.WithTimeout(ctx, 5*time.Second)
		err := cond(one)
		done()
		if err == nil {
			return time.Since(m.began).Round(100 * time.Millisecond)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// console asks the machine's console, at an address of its host.
func (m *machine) console(addr string) func(context.Context) error {
	client := &http.Client{Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return m.host.Dial(ctx, "tcp", addr) },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/healthz", nil) // by an address: the console has no name yet
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("the console answers %s", res.Status)
		}
		return nil
	}
}

// shows waits until the machine's serial line shows a text.
func (m *machine) shows(text string) func(context.Context) error {
	return func(context.Context) error {
		if got, err := os.ReadFile(m.serial); err != nil || !bytes.Contains(got, []byte(text)) {
			return fmt.Errorf("its serial line doesn't show %q (%v)", text, err)
		}
		return nil
	}
}

func outward() []string {
	return []string{"-netdev", "user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:8443-:443", "-device", "virtio-net-pci,netdev=n0"}
}

// uefi has a machine start by UEFI, with variables of its own.
func uefi(t *testing.T) []string {
	t.Helper()
	const ovmf = "/usr/share/OVMF/OVMF_"
	variables := filepath.Join(t.TempDir(), "variables")
	data, err := os.ReadFile(ovmf + "VARS.fd")
	if err == nil {
		err = os.WriteFile(variables, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return []string{"-drive", "if=pflash,format=raw,readonly=on,file=" + ovmf + "CODE.fd", "-drive", "if=pflash,format=raw,file=" + variables}
}

func TestTheImageStartsUpToItsConsole(t *testing.T) {
	disk, _ := builtImage(t)
	memory := map[string]int{"BIOS": 128, "UEFI": 256} // GRUB for UEFI can't load the kernel in 128
	for name, firmware := range map[string]func(*testing.T) []string{"BIOS": func(*testing.T) []string { return nil }, "UEFI": uefi} {
		t.Run(name, func(t *testing.T) {
			m := boot(t, netlab.ForTest(t).LAN("none").Host("machine"), disk, memory[name], append(firmware(t), outward()...)...)
			t.Logf("by %s, with %d MB: the console answers %v after QEMU's start", name, memory[name], m.until(t, "console", m.console("127.0.0.1:8443")))
			m.until(t, "what the screen says", m.shows("Setup code"))
		})
	}
}

func TestTheImageIsAsSmallAsItIsToBe(t *testing.T) {
	disk, _ := builtImage(t)
	for name, atMost := range map[string]int64{DiskName: 256e6, QCOW2Name: 25e6, OVAName: 25e6, UpdateName: 25e6} {
		st, err := os.Stat(filepath.Join(filepath.Dir(disk), name))
		if err != nil || st.Size() > atMost {
			t.Errorf("%s is larger than %d bytes, or isn't there: %+v, %v", name, atMost, st, err)
		}
	}
}

func TestUserDataThatIsWrongIsShownOnTheScreenAndByTheWizardAndNotApplied(t *testing.T) {
	disk, _ := builtImage(t)
	file := write(t, "user-data", "name: site-a\nmode: bridge\nmanagement-address: 192.168.7.1\n")
	m := boot(t, netlab.ForTest(t).LAN("none").Host("machine"), disk, 256, append(outward(), "-fw_cfg", "name=opt/landbridge/user-data,file="+file)...)
	m.until(t, "console", m.console("127.0.0.1:8443"))
	for _, want := range []string{"user-data:2: mode", "user-data:3: management-address", "Nothing of it is applied", "--- Landbridge"} {
		m.until(t, "what the screen says", m.shows(want))
	}
	o := setUp(t, m)
	for _, want := range []string{"What isn't well with this machine", "user-data:2: mode", "user-data:3: management-address", "Nothing of it is applied"} {
		m.until(t, "what the wizard says", func(ctx context.Context) error {
			text, err := o.page(ctx, "/start")
			if err == nil && !strings.Contains(text, want) {
				err = fmt.Errorf("no %q on it", want)
			}
			return err
		})
	}
}

func write(t *testing.T, name, text string) string {
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Two machines of one image, each with its file. Their management ports are on one wire; at the
// LAN port of each is a host, which is the lab's host on which QEMU runs.
func TestTwoAppliancesOfOneImageJoinUntouched(t *testing.T) {
	disk, program := builtImage(t)
	landbridge := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), program, args...).Output()
		if err != nil {
			t.Fatalf("landbridge %v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	state := t.TempDir()
	landbridge("group", "create", "--state", state, "--name", "office", "--prefix", "10.20.0.0/16", "--member-name", "site-a")
	invitation := landbridge("group", "invite", "--state", state, "--address", "192.168.7.1:4860")
	both := "mode: router\nlan-port: eth1\nmanagement-address: 192.168.7.%d/24\nname: site-%s\n"
	dataA := write(t, "user-data", fmt.Sprintf(both, 1, "a"))
	seed := filepath.Join(t.TempDir(), "seed.iso")
	if out, err := exec.CommandContext(t.Context(), "genisoimage", "-quiet", "-V", "cidata", "-J", "-R", "-o", seed, dataA, filepath.Join(state, "landbridge.db")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dataB := write(t, "user-data", fmt.Sprintf(both, 2, "b")+"invitation: "+invitation+"\n")

	lan := netlab.ForTest(t).LAN("none")
	wire := filepath.Join(t.TempDir(), "wire")
	ports := func(server string) []string {
		return []string{
			"-netdev", "stream,id=m,server=" + server + ",addr.type=unix,addr.path=" + wire, "-device", "virtio-net-pci,netdev=m,mac=52:54:00:00:00:0" + map[string]string{"on": "1", "off": "2"}[server],
			"-netdev", "tap,id=l,ifname=lan,script=no,downscript=no", "-device", "virtio-net-pci,netdev=l,mac=52:54:00:00:01:0" + map[string]string{"on": "1", "off": "2"}[server],
		}
	}
	a := boot(t, lan.Host("a"), disk, 128, append(ports("on"), "-drive", "file="+seed+",format=raw,if=virtio,readonly=on")...)
	a.until(t, "the wire", func(context.Context) error { _, err := os.Stat(wire); return err })
	b := boot(t, lan.Host("b"), disk, 128, append(ports("off"), "-fw_cfg", "name=opt/landbridge/user-data,file="+dataB)...)
	b.until(t, "the group on the screen", b.shows("office"))
	t.Logf("both were members %v after the first QEMU's start", time.Since(a.began).Round(100*time.Millisecond))

	addr := map[*machine]netip.Addr{}
	for _, m := range []*machine{a, b} {
		if _, err := m.host.Run(t.Context(), "ip", "link", "set", "lan", "up"); err != nil {
			t.Fatal(err)
		}
		if _, err := m.host.StartDHCP(t.Context(), netlab.Udhcpc, "lan"); err != nil {
			t.Fatal(err)
		}
		m.until(t, "a lease", func(context.Context) error {
			p, err := m.host.Addr("lan")
			addr[m] = p.Addr()
			return err
		})
	}
	took := a.until(t, "a ping across", func(ctx context.Context) error {
		_, err := a.host.Run(ctx, "ping", "-c1", "-W2", addr[b].String())
		return err
	})
	t.Logf("%v pinged %v across %v after the first QEMU's start", addr[a], addr[b], took)
	b.until(t, "a ping back", func(ctx context.Context) error {
		_, err := b.host.Run(ctx, "ping", "-c1", "-W2", addr[a].String())
		return err
	})
}
