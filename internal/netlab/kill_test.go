package netlab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// childEnv makes TestChildOfTheKillTest build instead of being skipped.
const childEnv = "NETLAB_TEST_CHILD"

// TestChildOfTheKillTest is the process that is killed: it builds without end, with
// all that could survive it.
func TestChildOfTheKillTest(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		t.Skip("runs as a child of TestNothingIsLeftWhenTheProgramIsKilled alone")
	}
	lab := New(slog.New(slog.DiscardHandler))
	wan := lab.WAN("203.0.113.0/24")
	for i := 0; ; i++ {
		site := wan.Site(fmt.Sprintf("s%d", i), Behind(NAT(i%4)), Link{Delay: time.Millisecond})
		h := site.Host(fmt.Sprintf("h%d", i))
		site.Wire("cluster").Plug(h, "lan0")
		if lab.Err() != nil {
			t.Fatal(lab.Err())
		}
		// An orphan in a session of its own, and one that holds a mount.
		for _, script := range []string{"setsid sleep 1000 & setsid ping -q 203.0.113.1 >/dev/null & exit", "mount -t tmpfs tmpfs /mnt; cd /mnt; exec sleep 1000"} {
			if err := h.Command(context.Background(), "sh", "-c", script).Start(); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Printf("built %d\n", i)
	}
}

func TestNothingIsLeftWhenTheProgramIsKilled(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("makes network namespaces, which needs root")
	}
	before := machine(t)
	// To kill it while it is idle would be the easy case; it is killed at some point
	// of building, a different one each time.
	var dead []func() []string
	for round := range 3 {
		mark, namespaces, when := killChild(t, round+1, time.Duration(round)*7*time.Millisecond)
		gone(t, func() []string { return append(marked(mark), users(namespaces, when, false)...) })
		dead = append(dead, func() []string { return users(namespaces, when, true) })
	}
	// The dead are this machine's init's to bury, which may take it a second or two.
	for _, left := range dead {
		gone(t, left)
	}
	if after := machine(t); after != before {
		t.Errorf("the machine's own namespaces have changed:\n%s\nwere:\n%s", after, before)
	}
}

// killChild lets a child build some sites and kills it a moment later. It returns
// the mark of its processes, and the namespaces that it had made and when that was.
func killChild(t *testing.T, sites int, later time.Duration) (string, map[string]bool, float64) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestChildOfTheKillTest$")
	child.Env = append(os.Environ(), childEnv+"=1")
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for range sites {
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "built") {
		}
	}
	mark := fmt.Sprintf("LANDBRIDGE_LAB=%d", child.Process.Pid)
	namespaces, when := namespacesOf(mark), uptime(t)
	if len(namespaces) < 4*4 { // of the wires, the WAN, a NAT and a host
		t.Errorf("the child has made the namespaces %v only: %s", namespaces, lines.Text())
	}
	<-time.After(later) // into the next site
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	return mark, namespaces, when
}

// gone waits until left returns nothing.
func gone(t *testing.T, left func() []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := WaitFor(ctx, "the end of all that the child made", func() (bool, error) {
		if all := left(); len(all) > 0 {
			return false, fmt.Errorf("left: %s", strings.Join(all, "; "))
		}
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsLeftWhenTheLabIsClosed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("makes network namespaces, which needs root")
	}
	before := machine(t)
	lab := New(slog.New(slog.DiscardHandler))
	defer lab.Close()
	h := lab.WAN("203.0.113.0/24").Site("a", Link{Delay: time.Millisecond}).Host("h")
	if lab.Err() != nil {
		t.Fatal(lab.Err())
	}
	var out bytes.Buffer // a copying goroutine hangs on the process
	cmd := h.Command(t.Context(), "sh", "-c", "setsid sleep 1000 & exec sleep 1000")
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := h.Command(t.Context(), "true").Start(); err != nil { // a zombie that nobody waits for
		t.Fatal(err)
	}
	// Namespaces, not the mark: other labs of this process have that, too.
	namespaces := map[string]bool{}
	for _, host := range lab.hosts {
		for _, kind := range []string{"net", "mnt", "pid", "uts"} {
			ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", host.Pid(), kind))
			if err != nil {
				t.Fatal(err)
			}
			namespaces[ns] = true
		}
	}
	if len(namespaces) != 4*4 {
		t.Errorf("4 hosts share namespaces: %v", namespaces)
	}
	since := uptime(t) // and not after Close: what others begin meanwhile may get a number that is free again
	lab.Close()
	lab.Close()
	if left := users(namespaces, since, true); len(left) > 0 {
		t.Errorf("left after Close: %v", left)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("a command outlived its lab without an error")
	}
	if _, err := h.Run(t.Context(), "true"); err == nil {
		t.Error("a command ran in a closed lab")
	}
	if err := h.Do(func() error { return nil }); err == nil {
		t.Error("Do ran in a closed lab")
	}
	if after := machine(t); after != before {
		t.Errorf("the machine's own namespaces have changed:\n%s\nwere:\n%s", after, before)
	}
}

// marked lists the processes that carry the mark in their environment.
func marked(mark string) (all []string) {
	envs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range envs {
		env, err := os.ReadFile(path)
		if err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			all = append(all, fmt.Sprintf("%s: %q", filepath.Dir(path), cmdline))
		}
	}
	return all
}

// namespacesOf returns the namespaces of marked processes that aren't this one's.
func namespacesOf(mark string) map[string]bool {
	found := map[string]bool{}
	for _, proc := range marked(mark) {
		dir, _, _ := strings.Cut(proc, ":")
		for _, kind := range []string{"net", "mnt", "pid", "uts"} {
			ns, err := os.Readlink(filepath.Join(dir, "ns", kind))
			own, _ := os.Readlink("/proc/self/ns/" + kind)
			if err == nil && ns != own {
				found[ns] = true
			}
		}
	}
	return found
}

// users lists what keeps one of the namespaces alive: threads and open files of
// processes, also dead ones, if asked, that are older than since (the kernel gives a namespace's number to a new one
// as soon as it is free, and others make namespaces on this machine, too), and mounts.
func users(namespaces map[string]bool, since float64, dead bool) (all []string) {
	for _, pattern := range []string{"/proc/[0-9]*/task/[0-9]*/ns/*", "/proc/[0-9]*/fd/*"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			ns, err := os.Readlink(path)
			if err != nil || !namespaces[ns] {
				continue
			}
			// The dead keep their PID namespace until they are buried, and so does its
			// first process, which waits for that.
			if began(path) <= since && (dead || !strings.HasPrefix(ns, "pid:")) {
				all = append(all, path+" -> "+ns)
			}
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for ns := range namespaces {
		if bytes.Contains(mounts, []byte(ns)) {
			all = append(all, "a mount of "+ns)
		}
	}
	return all
}

// uptime returns the seconds since the machine was booted.
func uptime(t *testing.T) (seconds float64) {
	t.Helper()
	text, err := os.ReadFile("/proc/uptime")
	if err == nil {
		_, err = fmt.Sscan(string(text), &seconds)
	}
	if err != nil {
		t.Fatal(err)
	}
	return seconds
}

// began returns when, in seconds of uptime, the process of a path in /proc began.
func began(path string) float64 {
	stat, _ := os.ReadFile(filepath.Join("/proc", strings.Split(path, "/")[2], "stat"))
	_, fields, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(fields); len(f) > 19 {
		ticks, _ := strconv.ParseFloat(f[19], 64)
		return ticks / 100
	}
	return math.Inf(1) // gone meanwhile
}

// machine describes what the lab must not touch: devices, routes and mounts of the
// machine, and the directories that DHCP clients write to.
func machine(t *testing.T) string {
	t.Helper()
	var s strings.Builder
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		fmt.Fprintln(&s, l.Attrs().Index, l.Attrs().Name, l.Attrs().Flags)
	}
	for _, file := range []string{"/proc/self/mountinfo", "/proc/net/route", "/proc/sys/net/ipv4/ip_forward",
		"/proc/sys/net/bridge/bridge-nf-call-iptables", "/proc/sys/kernel/hostname", "/etc/resolv.conf"} {
		text, _ := os.ReadFile(file)
		fmt.Fprintf(&s, "%s: %s\n", file, text)
	}
	for _, dir := range []string{"/run", "/var/lib/dhcp", "/var/lib/dhcpcd"} {
		entries, _ := os.ReadDir(dir)
		fmt.Fprintln(&s, dir, entries)
	}
	return s.String()
}
