package overlay

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/race"
)

const nodeVariable = "LANDBRIDGE_OVERLAY_TEST_NODE"

// idleNodes is the size of the group whose memory is measured.
const idleNodes = 4

// TestIdleMemory measures overlays that are processes of their own. They are copies of
// the test binary, whose file-backed part is larger than the daemon's; so the limit is
// on the anonymous part: heap, stacks, and the runtime's own.
func TestIdleMemory(t *testing.T) {
	if number := os.Getenv(nodeVariable); number != "" {
		runNode(t, number)
		return
	}
	if testing.Short() || race.Enabled {
		t.Skip("needs its own processes, without the race detector")
	}
	t.Parallel()
	var first string
	var pids []int
	for n := range idleNodes {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestIdleMemory$", "-test.v")
		cmd.Env = append(os.Environ(), nodeVariable+"="+strconv.Itoa(n)+" "+first)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = in.Close() // the node ends
			_ = cmd.Wait()
		})
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if addr, ok := strings.CutPrefix(lines.Text(), "node at "); ok && first == "" {
				first = addr
			}
			if n < idleNodes-1 && strings.HasPrefix(lines.Text(), "node at ") || lines.Text() == "connected to all" {
				break
			}
		}
		pids = append(pids, cmd.Process.Pid)
	}
	for n, pid := range pids {
		var rss, anonymous int
		eventuallyIn(t, 30*time.Second, fmt.Sprintf("node %d at rest has at most 14 MB", n), func() bool { // after what starting up brings with it
			rss, anonymous = residentOf(t, pid)
			return anonymous <= 14_000
		})
		t.Logf("node %d: RSS %.1f MB, of it anonymous %.1f MB", n, float64(rss)/1e3, float64(anonymous)/1e3)
	}
}

// runNode is one of the processes. It ends when standard input does.
func runNode(t *testing.T, variable string) {
	number, first, _ := strings.Cut(variable, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	node := start(t, n, func(cfg *setup) {
		if first != "" {
			cfg.peers = []string{first}
		}
	})
	var members []group.MemberID
	for i := range idleNodes {
		members = append(members, idOf(i))
	}
	node.SetMembers(members)
	node.Handle(echoProtocol, echo)
	fmt.Fprintln(os.Stdout, "node at "+node.addr())
	up := func() bool {
		direct := 0
		for _, p := range node.Peers() {
			if p.Direct {
				direct++
			}
		}
		return direct == idleNodes-1
	}
	eventually(t, "connected to all", up)
	for i := range idleNodes {
		if i != n {
			_, _ = node.Call(within(t, 30*time.Second), idOf(i), echoProtocol, []byte("warm"))
		}
	}
	runtime.GC()
	fmt.Fprintln(os.Stdout, "connected to all")
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

// residentOf returns the resident memory of a process, in kB.
func residentOf(t *testing.T, pid int) (rss, anonymous int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "VmRSS:":
			rss, _ = strconv.Atoi(fields[1])
		case "RssAnon:":
			anonymous, _ = strconv.Atoi(fields[1])
		}
	}
	return rss, anonymous
}
