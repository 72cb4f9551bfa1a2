package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

const (
	prefix = "10.77.0.0/16"
	zone   = "demo.internal"
	// patience bounds everything that should take a moment.
	patience = 20 * time.Second
)

// demo is the scene: who is there, and where to show it.
type demo struct {
	view    *view
	lab     *netlab.Lab
	binary  string
	verbose bool

	wan *netlab.WAN

	d, a, b, c *box
	e          *box    // a second public member, for measuring alone
	boxes      []*box  // all appliances, D first
	hosts      []*host // all that have a virtual address
}

// box is a machine that runs Landbridge.
type box struct {
	*netlab.Host
	role   string
	shows  string   // what there is to do on its console
	args   []string // of landbridge run
	daemon *netlab.Cmd
	log    *os.File
	binary string
}

// host is a machine with a virtual address: a cluster's, with nothing installed, or a
// box in interface mode.
type host struct {
	*netlab.Host
	device string
	client netlab.DHCPKind // "" for a box
	box    *box            // whose appliance serves it
	addr   netip.Addr
}

func (d *demo) introduce() {
	d.view.say(`%s

  site A (router mode)          site B (router mode)         host C            host D
  a1 a2   no software           b1 b2   no software          interface mode    interface mode
   └─┬─ LAN                      └─┬─ LAN                        │                │
  appliance A                   appliance B                      │                │
     │ port-restricted NAT         │ port-restricted NAT         │ NAT            │ public
  ───┴─────────────────────────────┴─── the WAN, 203.0.113.0/24 ─┴────────────────┴───

  One group, %s: every machine gets an address of it and reaches every other.`,
		d.view.paint(bold, "Landbridge: three sites behind NAT, real hosts, one network"), prefix)
}

// build makes the machines and the wires. Nothing runs on them yet.
func (d *demo) build() error {
	return d.view.do("build the WAN, three sites behind NATs, and their LANs", func(note noteFunc) error {
		d.wan = d.lab.WAN("203.0.113.0/24")
		wan := d.wan
		link := netlab.Link{Delay: 2 * time.Millisecond}
		siteA := wan.Site("site-a", netlab.Behind(netlab.PortRestricted), link)
		siteB := wan.Site("site-b", netlab.Behind(netlab.PortRestricted), link)
		siteC := wan.Site("site-c", netlab.Behind(netlab.PortRestricted), link)
		wireA, wireB := siteA.Wire("cluster"), siteB.Wire("cluster")

		d.d = d.box(wan.Host("d"), "public member")
		d.a = d.box(siteA.Host("a"), "router, site A", "--mode", "router", "--lan-port", "lan0")
		d.b = d.box(siteB.Host("b"), "router, site B", "--mode", "router", "--lan-port", "lan0")
		d.c = d.box(siteC.Host("c"), "interface, behind a NAT")
		d.d.shows, d.a.shows = "the group's authority, where appliances are invited and settings changed", "its LAN's hosts, reservations, DHCP"
		d.b.shows, d.c.shows = "the other LAN", "a host by itself"
		wireA.Plug(d.a.Host, "lan0")
		wireB.Plug(d.b.Host, "lan0")
		for _, h := range []*host{
			{Host: wireA.Host("a1"), client: netlab.Dhclient, box: d.a},
			{Host: wireA.Host("a2"), client: netlab.Udhcpc, box: d.a},
			{Host: wireB.Host("b1"), client: netlab.Dhcpcd, box: d.b},
			{Host: wireB.Host("b2"), client: netlab.Udhcpc, box: d.b},
		} {
			h.device = "eth0"
			d.hosts = append(d.hosts, h)
		}
		d.hosts = append(d.hosts, &host{Host: d.c.Host, device: "lb0", box: d.c}, &host{Host: d.d.Host, device: "lb0", box: d.d})
		return d.lab.Err()
	})
}

func (d *demo) box(h *netlab.Host, role string, args ...string) *box {
	b := &box{Host: h, role: role, binary: d.binary}
	if h != nil {
		b.args = append([]string{"run", "--state", b.state(), "--name", h.Name}, args...)
		if d.verbose {
			b.args = append(b.args, "--log-level", "debug")
		}
	}
	d.boxes = append(d.boxes, b)
	return b
}

func (b *box) state() string { return b.Dir() + "/landbridge" }

// boot starts the appliances as their operators would, then the clusters' hosts.
func (d *demo) boot(ctx context.Context) error {
	d.view.title("One group, four appliances")
	err := d.view.do("D creates the group and runs", func(note noteFunc) error {
		if _, err := d.d.landbridge(ctx, "group", "create", "--name", "demo", "--prefix", prefix, "--zone", zone); err != nil {
			return err
		}
		note("landbridge group create --name demo --prefix %s --zone %s", prefix, zone)
		return d.d.run(ctx)
	})
	for _, b := range []*box{d.a, d.b, d.c} {
		if err != nil {
			return err
		}
		err = d.view.do(fmt.Sprintf("%s joins by invitation and runs (%s)", strings.ToUpper(b.Name), b.role), func(note noteFunc) error {
			return d.join(ctx, b, note)
		})
	}
	if err != nil {
		return err
	}
	d.view.title("Hosts that never heard of Landbridge, by plain DHCP")
	for _, h := range d.hosts {
		if err := d.lease(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// join invites a box, has it join, and starts its daemon.
func (d *demo) join(ctx context.Context, b *box, note noteFunc) error {
	var invitation api.Invitation
	if err := d.d.landbridgeJSON(ctx, &invitation, "group", "invite"); err != nil {
		return err
	}
	note("landbridge join %.16s…", invitation.Token)
	if _, err := b.landbridge(ctx, "join", invitation.Token, "--name", b.Name); err != nil {
		return err
	}
	return b.run(ctx)
}

// lease gets a host its address: by its DHCP client, or from the appliance on it.
func (d *demo) lease(ctx context.Context, h *host) error {
	what := fmt.Sprintf("%s: %s", h.Name, h.client)
	if h.client == "" {
		what = fmt.Sprintf("%s: address of its own appliance", h.Name)
	}
	return d.view.do(what, func(note noteFunc) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if h.client != "" {
			lease, err := h.StartDHCP(ctx, h.client, h.device)
			if err != nil {
				return err
			}
			h.addr = lease.Addr.Addr()
			note("%v in %v", lease.Addr, lease.Took.Round(time.Millisecond))
			return nil
		}
		if err := netlab.WaitFor(ctx, "the address on "+h.device, func() (bool, error) {
			addr, err := h.Addr(h.device)
			h.addr = addr.Addr()
			return err == nil, err
		}); err != nil {
			return err
		}
		note("%v", h.addr)
		// A host in interface mode keeps its own resolver: the operator points
		// it at the service address if he wants the names.
		return h.WriteFile("/etc/resolv.conf", []byte("search "+zone+"\nnameserver "+serviceAddr()+"\n"), 0o644)
	})
}

func serviceAddr() string { return netip.MustParsePrefix(prefix).Addr().Next().String() }

// landbridge runs the CLI on the box.
func (b *box) landbridge(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return b.Run(ctx, b.binary, append(args, "--state", b.state())...)
}

func (b *box) landbridgeJSON(ctx context.Context, into any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := b.Command(ctx, b.binary, append(args, "--state", b.state(), "--json")...).Output()
	if err != nil {
		return fmt.Errorf("landbridge %s on %s: %w", strings.Join(args, " "), b.Name, err)
	}
	return json.Unmarshal(out, into)
}

// start starts the daemon.
func (b *box) start(ctx context.Context) error {
	b.daemon = b.Command(context.WithoutCancel(ctx), b.binary, b.args...)
	if b.log == nil {
		log, err := os.CreateTemp("", "landbridge-demo-"+b.Name+"-*.log")
		if err != nil {
			return err
		}
		if err := os.Remove(log.Name()); err != nil { // it lives as long as it is open
			return err
		}
		b.log = log
	}
	b.daemon.Stdout, b.daemon.Stderr = b.log, b.log
	return b.daemon.Start()
}

// run starts the daemon and waits until it answers.
func (b *box) run(ctx context.Context) error {
	if err := b.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return netlab.WaitFor(ctx, "the daemon on "+b.Name, func() (bool, error) {
		var status api.Status
		err := b.landbridgeJSON(ctx, &status, "status")
		return err == nil, err
	})
}

// kill ends the daemon as a power failure would.
func (b *box) kill() error {
	if err := b.daemon.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	_ = b.daemon.Wait() // "signal: killed"
	return nil
}

// logs returns the end of what each daemon said, for a failure.
func (d *demo) logs() error {
	tail := int64(3000)
	if d.verbose {
		tail = 1 << 20
	}
	var all []error
	for _, b := range d.boxes {
		if b.log == nil {
			continue
		}
		size, err := b.log.Seek(0, 2)
		if err != nil {
			continue
		}
		text := make([]byte, min(size, tail))
		if _, err := b.log.ReadAt(text, size-int64(len(text))); err != nil {
			continue
		}
		all = append(all, fmt.Errorf("---- the end of what appliance %s said ----\n%s", b.Name, text))
	}
	return errors.Join(all...)
}

// hints tells what to try while the demo is up, and opens the consoles.
func (d *demo) hints(ctx context.Context) {
	d.view.title("Look around")
	d.consoles(ctx)
	d.view.say("  Machines are namespaces; a shell on one:")
	for _, h := range d.hosts {
		d.view.say("    nsenter -a -t %-7d # %s, %v", h.Pid(), h.Name, h.addr)
	}
	d.view.say("  There, try:  ping %s    ip neigh    getent hosts b2    ssh, iperf3, anything", d.hosts[len(d.hosts)-1].Name)
	d.view.say("  The appliances themselves:")
	for _, b := range d.boxes {
		d.view.say("    nsenter -a -t %d %s --state %s status|peers|leases   # %s", b.Pid(), b.binary, b.state(), strings.ToUpper(b.Name))
	}
	d.view.say("\n%s", d.view.paint(bold, "Ctrl-C ends the demo and removes everything."))
}
