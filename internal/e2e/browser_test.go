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

// browse starts a script on a host, at a console; more are further arguments of it. Screenshots go to bin/screenshots, or where
// LANDBRIDGE_SCREENSHOTS says.
func browse(t *testing.T, h *netlab.Host, script, url string, more ...string) *browsing {
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
	settled(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	b := &browsing{t: t, cmd: h.Command(ctx, "node", append([]string{"browser/" + script, url, shots}, more...)...)}
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

// settled waits until no address of a host is tentative any longer (RFC 4862 section 5.4): a browser
// gives up what it loads when an address becomes ready on its host.
func settled(t *testing.T, h *netlab.Host) {
	t.Helper()
	waitFor(t, h.Name+": its addresses to be ready", func() (bool, error) {
		tentative, err := h.Run(t.Context(), "ip", "-6", "-o", "addr", "show", "tentative")
		return err == nil && tentative == "", fmt.Errorf("tentative: %s (%v)", tentative, err)
	})
}

// serve does what the script wants done outside of the browser, by the key of it, until the
// script is over, and reports its faults. What is done returns what the script is answered.
func (b *browsing) serve(do map[string]func(value string) string) {
	b.t.Helper()
	for b.lines.Scan() {
		key, value, _ := strings.Cut(b.lines.Text(), " ")
		switch act := do[key]; {
		case act != nil:
			fmt.Fprintln(b.in, act(value))
		case key == "FAULT":
			b.t.Error(value)
		case key == "END":
			if value != "<nil>" {
				b.t.Errorf("the browser's script ended with %s", value)
			}
			return
		default:
			b.t.Log(b.lines.Text())
		}
	}
	b.t.Error("the browser's script ended without a word")
}

// door opens the console at the address of a device, to everybody, from the next start on, and
// returns its URL.
func (m *machine) door(device string) string {
	m.t.Helper()
	addr, err := m.Addr(device)
	if err != nil {
		m.t.Fatal(err)
	}
	door := netip.AddrPortFrom(addr.Addr(), 4861).String()
	m.flags = append(m.flags, "--console-listen", door, "--console-allow", "0.0.0.0/0")
	return "https://" + door
}

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
	d := newMachine(t, wan.Host("d"))
	url := d.door("eth0")
	wire := wan.Site("site-d").Wire("d-cluster")
	wire.Plug(d.Host, "lan0")
	a := newMachine(t, wan.Site("site-a").Host("a"))
	d.start()

	var h *client
	// Not on d itself: a browser gives up what it has asked for when its host gets a device.
	browse(t, wan.Host("operator"), "console.mjs", url).serve(map[string]func(string) string{
		"CODE": func(string) string { return d.setupCode() },
		"HOSTS": func(string) string {
			for _, name := range []string{"h1", "h2", "h3"} {
				h = newClient(t, wire, name).lease(netlab.Udhcpc)
			}
			return "done"
		},
		"JOIN": func(token string) string {
			a.start()
			var waiting api.JoinApplication
			if err := a.get(&waiting, "join", token, "--name", "a", "--no-wait"); err != nil {
				t.Fatal(err)
			}
			return waiting.Fingerprint
		},
		"JOINED": func(string) string {
			a.wait("to be let in", func() (bool, error) { g := a.groups(); return len(g) == 1, nil })
			reaches(t, a.Host, h.addr)
			return "done"
		},
		"REMOVED": func(string) string {
			a.wait("to hear of its removal", func() (bool, error) {
				health := fmt.Sprint(a.status().Health)
				return strings.Contains(health, "its site has closed"), fmt.Errorf("health says %s", health)
			})
			return "done"
		},
	})
}
