package netlab

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

const (
	proxyPort   = 8888
	proxyConfig = `Port %d
Listen %v
Timeout 600
MaxClients 20
ConnectPort 443
BasicAuth %s %s
`
)

// Proxy has the site's router be an HTTP proxy for the site's hosts until the lab ends, which connects them to port 443 of
// hosts of the WAN (CONNECT) where they say that user and password. It is tinyproxy; exec.ErrNotFound where
// that isn't installed.
func (s *Site) Proxy(ctx context.Context, user, password string) (addr netip.AddrPort, err error) {
	program, err := exec.LookPath("tinyproxy")
	if err != nil {
		return addr, err
	}
	addr = netip.AddrPortFrom(s.gateway, proxyPort)
	const config = "/run/proxy.conf"
	if err := s.router.WriteFile(config, fmt.Appendf(nil, proxyConfig, addr.Port(), addr.Addr(), user, password), 0o600); err != nil {
		return addr, err
	}
	daemon := s.router.Command(context.WithoutCancel(ctx), program, "-d", "-c", config)
	if err := daemon.Start(); err != nil {
		return addr, err
	}
	go func() { _ = daemon.Wait() }() // it is killed with the router
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return addr, WaitFor(limited, "tinyproxy to listen", func() (bool, error) {
		out, err := s.router.Run(limited, "ss", "-tln")
		return strings.Contains(out, addr.String()), err
	})
}
