package peers

import (
	"context"
	"fmt"
	"net/netip"
)

// kea is Debian's Kea, with leases in memory and in a file to which it appends (memfile), which it
// doesn't sync to the disk.
type kea struct{}

func (kea) Version(ctx context.Context) (string, error) {
	return debianVersion(ctx, "kea-dhcp4-server")
}

const keaConfig = `{"Dhcp4": {
  "interfaces-config": {"interfaces": ["lan0"], "dhcp-socket-type": "raw"},
  "lease-database": {"type": "memfile", "persist": true, "name": %q},
  "valid-lifetime": 3600,
  "subnet4": [{"id": 1, "subnet": "10.79.0.0/16", "interface": "lan0", "pools": [{"pool": "10.79.0.10 - 10.79.255.250"}]}],
  "loggers": [{"name": "kea-dhcp4", "severity": "WARN", "output_options": [{"output": "stdout"}]}]
}}
`

func (kea) Start(ctx context.Context, s *Segment) (addr netip.Addr, err error) {
	if err := s.occupy(ctx); err != nil {
		return addr, err
	}
	config, err := s.write("kea.conf", fmt.Sprintf(keaConfig, s.Disk+"/leases.csv"))
	if err != nil {
		return addr, err
	}
	if _, err := s.Pair.A.Run(ctx, "mkdir", "-p", "/run/kea"); err != nil {
		return addr, err
	}
	if _, err := s.Pair.A.Spawn(ctx, "kea-dhcp4", "-c", config); err != nil {
		return addr, err
	}
	return s.answers(ctx)
}

// dnsmasq is Debian's. As a DHCP server it writes its whole file of leases, and syncs it, before it
// goes on; it doesn't look by ping whether an address is free.
type dnsmasq struct{ names bool }

func (dnsmasq) Version(ctx context.Context) (string, error) {
	return debianVersion(ctx, "dnsmasq-base")
}

func (d dnsmasq) Start(ctx context.Context, s *Segment) (addr netip.Addr, err error) {
	if err := s.occupy(ctx); err != nil {
		return addr, err
	}
	args := []string{"--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--interface=lan0", "--pid-file="}
	if !d.names {
		args = append(args, "--port=0", "--dhcp-range=10.79.0.10,10.79.255.250,255.255.0.0,1h", "--dhcp-authoritative", "--no-ping",
			"--dhcp-leasefile="+s.Disk+"/dnsmasq.leases", "--dhcp-lease-max=65000", "--quiet-dhcp")
		if _, err := s.Pair.A.Spawn(ctx, "dnsmasq", args...); err != nil {
			return addr, err
		}
		return s.answers(ctx)
	}
	hosts, err := s.hosts()
	if err != nil {
		return addr, err
	}
	if _, err := s.Pair.A.Spawn(ctx, "dnsmasq", append(args, "--no-resolv", "--no-hosts", "--addn-hosts="+hosts, "--local=/"+Zone+"/")...); err != nil {
		return addr, err
	}
	return s.resolves(ctx)
}

// coredns is CoreDNS with its plugin hosts.
type coredns struct{ binary string }

func (c coredns) Version(context.Context) (string, error) { return goVersion(c.binary) }

func (c coredns) Start(ctx context.Context, s *Segment) (addr netip.Addr, err error) {
	if err := s.occupy(ctx); err != nil {
		return addr, err
	}
	hosts, err := s.hosts()
	if err != nil {
		return addr, err
	}
	config, err := s.write("Corefile", fmt.Sprintf(".:53 {\n  bind %v\n  hosts %s %s {\n    ttl 30\n  }\n}\n", serverAddr(), hosts, Zone))
	if err != nil {
		return addr, err
	}
	if _, err := s.Pair.A.Spawn(ctx, c.binary, "-conf", config, "-quiet"); err != nil {
		return addr, err
	}
	return s.resolves(ctx)
}
