package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"landbridge/console"
	"landbridge/iface"
	"landbridge/internal/config"
	"landbridge/internal/health"
)

// serveDoor serves persons at the console's HTTPS door until ctx is done. Whatever happens
// there, the network goes on.
func (n *node) serveDoor(ctx context.Context, s *console.Server) {
	if len(n.cfg.Console.Listen) == 0 {
		return
	}
	changed := make(chan struct{}, 1)
	certificates, err := console.OpenCertificates(n.state.db, n.name, func() {
		select {
		case changed <- struct{}{}:
		default: // it will be looked at anyway
		}
	})
	if err != nil {
		n.log.Error("the console has no HTTPS door", "err", err)
		n.health.Report(health.Trouble{Component: "console", Key: "certificate", Finding: health.Finding{
			Text:   fmt.Sprintf("Persons can't reach the console: %v.", err),
			Remedy: "See that the state can be written (landbridge doctor), and restart the appliance.",
		}}, time.Now())
		return
	}
	keeper := newDoorkeeper(n.cfg.Console, nowHostNetworks)
	var watching sync.WaitGroup
	watching.Go(func() { n.watchCertificate(ctx, certificates, changed) })
	watching.Go(func() { certificates.KeepRenewed(ctx, n.log) })
	s.ServeHTTPS(ctx, console.Door{
		Listen: n.cfg.Console.Listen, Certificates: certificates, Allow: keeper.allows, Known: n.answersTo, Trouble: n.doorTrouble(),
	})
	watching.Wait()
}

// tellUnfit says that what is kept of the console's users can't be read, as by an older program than
// wrote it: the network goes on.
func (n *node) tellUnfit(err error) {
	n.log.Error("the console has no HTTPS door", "err", err)
	n.health.Report(health.Trouble{Component: "console", Key: "users", Finding: health.Finding{
		Text:   fmt.Sprintf("Persons can't reach the console: %v.", err),
		Remedy: "Run the version of Landbridge that ran here last, or restore a backup, and restart the appliance.",
	}}, time.Now())
}

// certificateAge is how often it is looked whether the certificate ends soon.
const certificateAge = time.Hour

// watchCertificate has health say when the console's certificate ends soon, until ctx is done.
func (n *node) watchCertificate(ctx context.Context, c *console.Certificates, changed <-chan struct{}) {
	tick := time.NewTicker(certificateAge)
	defer tick.Stop()
	for {
		n.tellCertificate(c.Trouble())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-changed:
		}
	}
}

// tellCertificate has health say what is wrong with the console's certificate.
func (n *node) tellCertificate(level health.Level, f health.Finding) {
	const component, key = "console", "certificate ends"
	if f == (health.Finding{}) {
		n.health.Clear(component, key)
		return
	}
	n.health.Report(health.Trouble{Level: level, Component: component, Key: key, Finding: f}, time.Now())
}

// answersTo reports whether a name, in lower case, is one of the console's: the appliance's or the host's,
// alone or on the link (.local), one of the configuration, or any of a group's zone, whose names nobody
// else gives out.
func (n *node) answersTo(name string) bool {
	host, _ := os.Hostname() // none where the kernel doesn't say
	host = strings.ToLower(host)
	bare := strings.TrimSuffix(name, ".local")
	if bare == strings.ToLower(n.name()) || host != "" && (name == host || bare == host) || slices.Contains(n.cfg.Console.Names, name) {
		return true
	}
	return slices.ContainsFunc(n.all(), func(nw *network) bool {
		return strings.HasSuffix(name, "."+strings.ToLower(nw.membership.Descriptor().Zone))
	})
}

// doorTrouble returns what tells of addresses of the door: in the log what changes, and by
// health what a person can mend. Loopback may be missing where the host has no IPv6.
func (n *node) doorTrouble() func(netip.AddrPort, error) {
	var mu sync.Mutex
	said := make(map[netip.AddrPort]health.Finding)
	return func(addr netip.AddrPort, err error) {
		mu.Lock()
		defer mu.Unlock()
		key := "listen " + addr.String()
		if err == nil {
			delete(said, addr)
			n.health.Clear("console", key)
			n.log.Info("the console listens", "url", "https://"+addr.String()+"/")
			return
		}
		f := explainDoor(err, addr)
		if said[addr] != f {
			said[addr] = f
			n.log.Info("the console doesn't listen at an address; it is tried again", "err", f.String())
		}
		if !addr.Addr().IsLoopback() {
			n.health.Report(health.Trouble{Component: "console", Key: key, Finding: f}, time.Now())
		}
	}
}

// explainDoor says why the console doesn't listen at an address, and what helps.
func explainDoor(err error, addr netip.AddrPort) health.Finding {
	why, remedy := fmt.Sprintf("listen on tcp %v: %v", addr, err), "Name another address with --console-listen."
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		why, remedy = fmt.Sprintf("another program uses TCP port %d of %v", addr.Port(), addr.Addr()), "Choose another with --console-listen."
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		why, remedy = fmt.Sprintf("this host has no address %v now", addr.Addr()), "Give it one, or name another with --console-listen."
	}
	return health.Finding{Text: "The console is not to be had everywhere: " + why + ".", Remedy: remedy}
}

// hostNetwork is one address of this host with its network.
type hostNetwork struct {
	addr      netip.Addr // with its interface where it is link-local: two VLANs of a card have one
	prefix    netip.Prefix
	isDefault bool // its interface is that of a default route
	isOverlay bool // its interface is a TAP of ours: hosts of all sites are there
}

func newHostNetwork(p netip.Prefix, device string, isDefault, isOverlay bool) hostNetwork {
	n := hostNetwork{addr: p.Addr().Unmap(), prefix: p.Masked(), isDefault: isDefault, isOverlay: isOverlay}
	if n.addr.Is6() && n.addr.IsLinkLocalUnicast() {
		n.addr = n.addr.WithZone(device)
	}
	return n
}

// nowHostNetworks asks the kernel for this host's networks.
func nowHostNetworks() ([]hostNetwork, error) {
	defaults, err := iface.DefaultRouteDevices()
	if err != nil {
		return nil, err
	}
	taps, err := iface.TAPs()
	if err != nil {
		return nil, err
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list this host's interfaces: %w", err)
	}
	var all []hostNetwork
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				all = append(all, newHostNetwork(p, i.Name, slices.Contains(defaults, i.Index), slices.Contains(taps, i.Index)))
			}
		}
	}
	return all, nil
}

// doorkeeper decides who may connect to the console. It is safe for concurrent use.
type doorkeeper struct {
	config config.Console
	look   func() ([]hostNetwork, error)

	mu       sync.Mutex
	networks []hostNetwork
	looked   time.Time
}

// networksAge is how old what is known of the host's networks may be, so that a flood of
// connections costs no questions to the kernel.
const networksAge = 5 * time.Second

func newDoorkeeper(c config.Console, look func() ([]hostNetwork, error)) *doorkeeper {
	return &doorkeeper{config: c, look: look}
}

// allows reports whether remote may connect to this host's address local.
func (k *doorkeeper) allows(local, remote netip.Addr) bool {
	local, remote = local.Unmap(), remote.Unmap()
	if len(k.config.Allow) > 0 || k.config.AllowPrivate {
		return slices.ContainsFunc(k.config.Allow, func(p netip.Prefix) bool { return p.Contains(remote.WithZone("")) }) ||
			k.config.AllowPrivate && allowedAsPrivate(k.known(), local, remote)
	}
	if local.IsLoopback() {
		return true // only this host's own processes come there
	}
	named := slices.ContainsFunc(k.config.Listen, func(a netip.AddrPort) bool { return a.Addr().Unmap() == local })
	return allowedByDefault(k.known(), local, remote, named)
}

// allowedByDefault reports whether remote is this host itself, or on a private network of
// the interface that has local; unless that is the overlay; or the way to the Internet, and
// console-listen doesn't name local.
func allowedByDefault(networks []hostNetwork, local, remote netip.Addr, named bool) bool {
	for _, n := range networks {
		if n.addr == remote {
			return true
		}
	}
	at := slices.IndexFunc(networks, func(n hostNetwork) bool { return n.addr == local })
	if at < 0 || networks[at].isOverlay || networks[at].isDefault && !named {
		return false
	}
	return isPrivate(remote) && networks[at].prefix.Contains(remote.WithZone(""))
}

// allowedAsPrivate reports whether remote is this host itself, or of a private network and not of
// the overlay, by whichever of this host's addresses it comes. The addresses of RFC 6598 aren't among
// them: by a default route they are the provider's other customers.
func allowedAsPrivate(networks []hostNetwork, local, remote netip.Addr) bool {
	at := -1
	for i, n := range networks {
		switch {
		case n.addr == remote:
			return true
		case n.isOverlay && n.prefix.Contains(remote.WithZone("")) && !remote.IsLinkLocalUnicast():
			return false
		case n.addr == local:
			at = i
		}
	}
	return at >= 0 && !networks[at].isOverlay && (remote.IsPrivate() || remote.IsLinkLocalUnicast())
}

// isPrivate reports whether an address is nobody's on the Internet: RFC 1918, RFC 4193,
// RFC 6598, link-local.
func isPrivate(a netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)
	return a.IsPrivate() || a.IsLinkLocalUnicast() || shared.Contains(a)
}

// known returns the host's networks, as they were a moment ago at most.
func (k *doorkeeper) known() []hostNetwork {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); k.looked.IsZero() || now.Sub(k.looked) > networksAge {
		if networks, err := k.look(); err == nil {
			k.networks, k.looked = networks, now
		}
	}
	return k.networks
}
