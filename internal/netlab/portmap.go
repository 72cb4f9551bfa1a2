package netlab

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const (
	portsTable = `table inet ports {
	chain forwards { }
	chain mapped { }
	chain hairpins { }
	chain inwards { type nat hook prerouting priority -100; jump mapped; }
	chain outwards { type nat hook postrouting priority 90; jump hairpins; }
}`
	portsConfig = `ext_ifname=wan0
listening_ip=lan0
enable_natpmp=%s
enable_upnp=%s
secure_mode=yes
system_uptime=yes
upnp_table_name=ports
upnp_nat_table_name=ports
upnp_forward_chain=forwards
upnp_nat_chain=mapped
upnp_nat_postrouting_chain=hairpins
uuid=00000000-0000-0000-0000-000000000000
allow 1024-65535 0.0.0.0/0 1024-65535
`
)

// Mapping is how a router is asked to map ports.
type Mapping int

const (
	ByPCP  Mapping = iota // and NAT-PMP
	ByUPnP                // InternetGatewayDevice
)

// MapPorts has the site's router map ports for hosts that ask it in that way, until the lab ends. It is
// miniupnpd, which maps none where the router's address is one for documentation or private; exec.ErrNotFound where
// that isn't installed.
func (s *Site) MapPorts(ctx context.Context, how Mapping) error {
	program, err := exec.LookPath("miniupnpd")
	if err != nil {
		return err
	}
	if out, err := s.router.Run(ctx, "nft", portsTable); err != nil {
		return fmt.Errorf("chains for miniupnpd: %w: %s", err, out)
	}
	const config = "/run/ports.conf"
	pcp, upnp, listens := "yes", "no", ":5351"
	if how == ByUPnP {
		pcp, upnp, listens = "no", "yes", ":1900"
	}
	if err := s.router.WriteFile(config, fmt.Appendf(nil, portsConfig, pcp, upnp), 0o600); err != nil {
		return err
	}
	daemon := s.router.Command(context.WithoutCancel(ctx), program, "-d", "-f", config, "-P", "/run/ports.pid")
	if err := daemon.Start(); err != nil {
		return err
	}
	go func() { _ = daemon.Wait() }() // it is killed with the router
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return WaitFor(limited, "miniupnpd to listen", func() (bool, error) {
		out, err := s.router.Run(limited, "ss", "-uln")
		return strings.Contains(out, listens), err
	})
}

// Mapped lists what the router maps, as its packet filter says.
func (s *Site) Mapped(ctx context.Context) (string, error) {
	return s.router.Run(ctx, "nft", "list", "chain", "inet", "ports", "mapped")
}
