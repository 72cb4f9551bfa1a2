package netlab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DHCPKind is a DHCP client program that people use; the lab runs the real one.
type DHCPKind string

// The clients, each in the foreground and for IPv4 alone.
const (
	Dhclient DHCPKind = "dhclient" // ISC's, with Debian's own script
	Udhcpc   DHCPKind = "udhcpc"   // BusyBox's, with Debian's own script
	Dhcpcd   DHCPKind = "dhcpcd"   // Roy Marples's, with its own hooks; waits, and probes the address (RFC 5227), for some 7 s. Sets the MTU on its routes alone
)

// DHCPClient is a client that runs on a host and keeps its lease.
type DHCPClient struct {
	Kind   DHCPKind
	Device string
	Addr   netip.Prefix  // leased first
	Took   time.Duration // from the program's start until its script had set the device up

	host  *Host
	extra []string
	cmd   *Cmd
	ended chan struct{}
}

// dhclientConf asks for what Debian's own configuration asks for.
const dhclientConf = `send host-name = gethostname();
request subnet-mask, broadcast-address, time-offset, routers, domain-name,
	domain-name-servers, domain-search, host-name, interface-mtu;
`

// dhcpcdConf is Debian's configuration without IPv6 and link-local addresses.
const dhcpcdConf = `hostname
duid
persistent
ipv4only
noipv4ll
option domain_name_servers, domain_name, domain_search, host_name, interface_mtu
require dhcp_server_identifier
`

// A line for each event that a client has dealt with, by the clients' own names for
// them, is written after the client's script has done its work.
const (
	dhclientScript = "#!/bin/sh\n/sbin/dhclient-script\nrc=$?\necho $reason >> %s\nexit $rc\n"
	udhcpcScript   = "#!/bin/sh\n/etc/udhcpc/default.script \"$@\"\nrc=$?\necho $1 >> %s\nexit $rc\n"
	dhcpcdHook     = "[ $interface != %s ] || echo $reason >> %s\n" // sourced by dhcpcd's
)

// StartDHCP runs a DHCP client for a device of the host, whose IPv4 addresses are
// removed first, and returns when the device has an address from it. The client goes on, and
// renews, until Kill, Release or the lab's end. ctx bounds the wait alone. Further
// arguments go to the program: "--noarp", "--nodelay" make dhcpcd as quick as the others.
func (h *Host) StartDHCP(ctx context.Context, kind DHCPKind, device string, args ...string) (*DHCPClient, error) {
	c := &DHCPClient{Kind: kind, Device: device, host: h, extra: args, ended: make(chan struct{})}
	if err := c.start(); err != nil {
		return nil, fmt.Errorf("%s on %s: %w", kind, h.Name, err)
	}
	began := time.Now()
	err := WaitFor(ctx, "a lease", func() (bool, error) {
		if !c.Running() {
			return false, errors.New("the client has ended")
		}
		// The address alone is no sign: it may be there before its netmask.
		if !slices.ContainsFunc(c.Events(), isBound) {
			return false, nil
		}
		var err error
		c.Addr, err = h.Addr(device)
		return err == nil, err
	})
	c.Took = time.Since(began)
	if err != nil {
		log := c.Log()
		c.Kill()
		return nil, fmt.Errorf("%s on %s: %w; it said:\n%s", kind, h.Name, err, log)
	}
	return c, nil
}

func (c *DHCPClient) start() error {
	if err := c.host.clear(c.Device); err != nil {
		return err
	}
	args, err := c.arguments()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(c.host.Path(c.file("log")), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c.cmd = c.host.Command(context.Background(), string(c.Kind), args...)
	c.cmd.Dir = "/"
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(c.ended)
		_ = c.cmd.Wait() // how it ended is in its log
	}()
	return nil
}

// arguments writes the client's configuration and returns its command line.
func (c *DHCPClient) arguments() ([]string, error) {
	script := c.file("script")
	args := slices.Clone(c.extra)
	var conf, text string
	switch c.Kind {
	case Dhclient:
		conf, text = dhclientConf, fmt.Sprintf(dhclientScript, c.file("events"))
		args = append(args, "-4", "-d", "-v", "-cf", c.file("conf"), "-lf", c.file("leases"), "-pf", c.file("pid"), "-sf", script)
	case Udhcpc:
		text = fmt.Sprintf(udhcpcScript, c.file("events"))
		args = append(args, "-f", "-p", c.file("pid"), "-s", script, "-x", "hostname:"+c.host.Name,
			"-O", "mtu", "-O", "search", "-t", "4", "-T", "1", "-A", "1", "-i")
	case Dhcpcd:
		conf, text = dhcpcdConf, fmt.Sprintf(dhcpcdHook, c.Device, c.file("events"))
		script = "/etc/dhcpcd.exit-hook"
		args = append(args, "-4", "-B", "-d", "-f", c.file("conf"))
	default:
		return nil, fmt.Errorf("no such DHCP client; there are %s, %s and %s", Dhclient, Udhcpc, Dhcpcd)
	}
	return append(args, c.Device), errors.Join(
		c.host.WriteFile(c.file("conf"), []byte(conf), 0o644),
		c.host.WriteFile(c.file("events"), nil, 0o644),
		c.host.WriteFile(script, []byte(text), 0o755))
}

// Events returns what the client has dealt with so far, oldest first, by its own
// names: "BOUND", "RENEW" (dhclient, dhcpcd), "bound", "renew" (udhcpc), and so on.
func (c *DHCPClient) Events() []string {
	text, err := c.host.ReadFile(c.file("events"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

// isBound reports whether a client has an address after an event.
func isBound(event string) bool {
	return slices.Contains([]string{"BOUND", "REBOOT", "RENEW", "REBIND"}, strings.ToUpper(event))
}

// file names one of the client's files on the host.
func (c *DHCPClient) file(what string) string {
	return path.Join(scratch, fmt.Sprintf("%s.%s.%s", c.Kind, c.Device, what))
}

// Log returns what the client has said.
func (c *DHCPClient) Log() string {
	text, err := c.host.ReadFile(c.file("log"))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// Running reports whether the client has not ended.
func (c *DHCPClient) Running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// Kill ends the client at once, as a crash of its host does: nothing is released,
// the address stays.
func (c *DHCPClient) Kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// Release makes the client give its lease back (DHCPRELEASE) and end.
func (c *DHCPClient) Release(ctx context.Context) error {
	var err error
	switch c.Kind {
	case Dhclient:
		// It ends the one that runs, by its PID file, and sends the message itself.
		_, err = c.host.Run(ctx, "dhclient", "-4", "-r", "-v", "-cf", c.file("conf"),
			"-lf", c.file("leases"), "-pf", c.file("pid"), c.Device)
	case Udhcpc:
		if err = c.cmd.Process.Signal(unix.SIGUSR2); err == nil {
			err = WaitFor(ctx, "the release", func() (bool, error) {
				_, err := c.host.Addr(c.Device)
				return errors.Is(err, ErrNoAddress), nil
			})
			_ = c.cmd.Process.Signal(unix.SIGTERM)
		}
	case Dhcpcd:
		// It may miss a signal that comes while it runs a hook.
		for err == nil && c.Running() && ctx.Err() == nil {
			err = c.cmd.Process.Signal(unix.SIGALRM)
			select {
			case <-c.ended:
				return nil
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
	if err != nil {
		return fmt.Errorf("release by %s on %s: %w", c.Kind, c.host.Name, err)
	}
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("release by %s on %s: %w", c.Kind, c.host.Name, ctx.Err())
	}
}

// clear removes the IPv4 addresses of a device.
func (h *Host) clear(device string) error {
	return h.netlink(func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(device)
		if err != nil {
			return err
		}
		addrs, err := nl.AddrList(link, netlink.FAMILY_V4)
		for _, a := range addrs {
			err = errors.Join(err, nl.AddrDel(link, &a))
		}
		return err
	})
}
