package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// browsing is a script of browser/ that runs on a host of the lab.
type browsing struct {
	t     *testing.T
	in    io.Writer
	lines *bufio.Scanner
	cmd   *netlab.Cmd
}

// browse starts a script on a host, at a console. Screenshots go to bin/screenshots, or where
// LANDBRIDGE_SCREENSHOTS says.
func browse(t *testing.T, h *netlab.Host, script, url string) *browsing {
	t.Helper()
	chromium := "/usr/bin/chromium"
	if c := os.Getenv("CHROMIUM"); c != "" {
		chromium = c
	}
	for _, program := range []string{"node", chromium} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no browser to test with: %v (make deps)", err)
		}
	}
	if _, err := os.Stat("browser/node_modules/playwright-core"); err != nil {
		t.Skipf("the browser's driver is missing: %v (make deps)", err)
	}
	shots := os.Getenv("LANDBRIDGE_SCREENSHOTS")
	if shots == "" {
		shots = "../../bin/screenshots"
	}
	shots, err := filepath.Abs(shots)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	b := &browsing{t: t, cmd: h.Command(ctx, "node", "browser/"+script, url, shots)}
	out, in := io.Pipe()
	b.cmd.Stdout, b.cmd.Stderr = in, in
	b.lines = bufio.NewScanner(out)
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		err := b.cmd.Wait()
		fmt.Fprintln(in, "END", err)
		in.Close()
	}()
	return b
}

// next returns what the script wants done next, as key and value, and reports its faults;
// END is its end.
func (b *browsing) next() (key, value string) {
	b.t.Helper()
	for b.lines.Scan() {
		switch key, value, _ := strings.Cut(b.lines.Text(), " "); key {
		case "FAULT":
			b.t.Error(value)
		case "CODE", "HOSTS", "JOIN", "REMOVED", "END":
			return key, value
		default:
			b.t.Log(b.lines.Text())
		}
	}
	return "END", "without a word"
}

// answer tells the script that what it wanted is done.
func (b *browsing) answer(text string) { fmt.Fprintln(b.in, text) }

// setupCode returns what the appliance's screen would show.
func (m *machine) setupCode() string {
	m.t.Helper()
	client, err := api.Dial(m.t.Context(), m.Path(m.state()+"/"+api.SocketName))
	if err != nil {
		m.t.Fatal(err)
	}
	defer client.Close()
	c, err := client.GetConsoleWithResponse(m.t.Context())
	if err != nil || c.JSON200 == nil {
		m.t.Fatalf("the setup code: %v, %s", err, c.Body)
	}
	return c.JSON200.SetupCode
}

// An operator who has nothing but the page: set-up by the code, a group, router mode by
// plan and confirmation, hosts that appear as they get their leases, a site joined by the
// page's invitation, and removed. The script judges each page besides.
func TestAnOperatorSetsUpANetworkInABrowser(t *testing.T) {
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	host := wan.Host("d")
	addr, err := host.Addr("eth0")
	if err != nil {
		t.Fatal(err)
	}
	door := netip.AddrPortFrom(addr.Addr(), 4861).String()
	d := newMachine(t, host, "--console-listen", door, "--console-allow", "203.0.113.0/24")
	wire := wan.Site("site-d").Wire("d-cluster")
	wire.Plug(d.Host, "lan0")
	a := newMachine(t, wan.Site("site-a").Host("a"))
	d.start()

	var h *client
	// Not on d itself: a browser gives up what it has asked for when its host gets a device.
	b := browse(t, wan.Host("operator"), "console.mjs", "https://"+door)
	for {
		answer := "done"
		switch key, value := b.next(); key {
		case "CODE":
			answer = d.setupCode()
		case "HOSTS":
			for _, name := range []string{"h1", "h2", "h3"} {
				h = newClient(t, wire, name).lease(netlab.Udhcpc)
			}
		case "JOIN":
			a.must("join", value, "--name", "a")
			a.start()
			reaches(t, a.Host, h.addr)
		case "REMOVED":
			a.wait("to hear of its removal", func() (bool, error) {
				health := fmt.Sprint(a.status().Health)
				return strings.Contains(health, "removed"), fmt.Errorf("health says %s", health)
			})
		case "END":
			if value != "<nil>" {
				t.Errorf("the browser's script ended with %s", value)
			}
			return
		}
		b.answer(answer)
	}
}
