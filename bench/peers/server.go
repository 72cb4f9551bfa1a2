package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"landbridge/bench/underlay"
	"landbridge/internal/netlab"
)

// Segment is an Ethernet with a server on it, the pair's side A by its port lan0, and with hosts
// that ask it.
type Segment struct {
	Pair  *underlay.Pair
	LAN   *netlab.LAN
	Asker *netlab.Host // has its address by DHCP where the server gives any
	Disk  string       // directory of this machine for what the server keeps, not in memory
	Names []Name       // that the server knows
}

// Name is a host whose name is asked for.
type Name struct {
	Label string
	Addr  netip.Addr
	MAC   string
}

// Zone is that of the names, as a group called "bench" has it.
const Zone = "bench.internal"

// OpenSegment makes a segment on a pair of its own, which the caller must close.
func OpenSegment(ctx context.Context, disk string, names []Name) (*Segment, error) {
	pair, err := underlay.Open(ctx, underlay.Veth)
	if err != nil {
		return nil, err
	}
	s := &Segment{Pair: pair, LAN: pair.Lab.LAN("segment"), Disk: disk, Names: names}
	s.LAN.Plug(pair.A.Host, "lan0")
	s.Asker = s.LAN.Host("asker")
	if err := pair.Lab.Err(); err != nil {
		pair.Close()
		return nil, err
	}
	return s, nil
}

// Server is a DHCP or DNS server of a segment. What it starts ends with the segment.
type Server interface {
	Version(ctx context.Context) (string, error)
	// Start starts it, and returns its address when it answers.
	Start(ctx context.Context, s *Segment) (netip.Addr, error)
}

// ServerKind is a kind of server.
type ServerKind struct {
	Name string
	New  func(Programs) Server
}

// DHCPServers returns those of addresses, in the order of the report.
func DHCPServers() []ServerKind {
	return []ServerKind{
		{"landbridge, alone", func(p Programs) Server { return newAppliance(p, 1) }},
		{"landbridge, of 4", func(p Programs) Server { return newAppliance(p, 4) }},
		{"kea", func(Programs) Server { return kea{} }},
		{"dnsmasq", func(Programs) Server { return dnsmasq{} }},
	}
}

// DNSServers returns those of names, in the order of the report.
func DNSServers() []ServerKind {
	return []ServerKind{
		{"landbridge, alone", func(p Programs) Server { return newAppliance(p, 1) }},
		{"coredns", func(p Programs) Server { return coredns{binary: p.cached("coredns")} }},
		{"dnsmasq", func(Programs) Server { return dnsmasq{names: true} }},
	}
}

// serverAddr is the address of every server: a Landbridge group's service address.
func serverAddr() netip.Addr { return netip.MustParsePrefix(landbridgePrefix).Addr().Next() }

// HostAddr returns an address of the segment, of number n of those that servers don't hand out unasked.
func HostAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 79, 4, byte(n)}) }

// occupy gives the server's side its address on the segment.
func (s *Segment) occupy(ctx context.Context) error {
	_, err := s.Pair.A.Run(ctx, "ip", "addr", "add", serverAddr().String()+"/16", "dev", "lan0")
	return err
}

// write writes a file of the server, and returns its path.
func (s *Segment) write(name, text string) (path string, err error) {
	path = filepath.Join(s.Disk, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// hosts writes the names as hosts(5) has them.
func (s *Segment) hosts() (path string, err error) {
	var b strings.Builder
	for _, n := range s.Names {
		fmt.Fprintf(&b, "%v %s.%s\n", n.Addr, n.Label, Zone)
	}
	return s.write("hosts", b.String())
}

// answers waits until the server leases an address, as a host asks it for one.
func (s *Segment) answers(ctx context.Context) (netip.Addr, error) {
	_, err := lease(ctx, s.Asker)
	return serverAddr(), err
}

// resolves waits until the server knows the last name. The asker has an address by hand.
func (s *Segment) resolves(ctx context.Context) (netip.Addr, error) {
	if _, err := s.Asker.Run(ctx, "ip", "addr", "add", "10.79.200.1/16", "dev", "eth0"); err != nil {
		return netip.Addr{}, err
	}
	return serverAddr(), s.knows(ctx)
}

func (s *Segment) knows(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last := s.Names[len(s.Names)-1]
	return netlab.WaitFor(ctx, "the name "+last.Label, func() (bool, error) {
		out, err := s.Asker.Run(ctx, "dig", "+short", "+tries=1", "+time=1", "@"+serverAddr().String(), last.Label+"."+Zone)
		return strings.TrimSpace(out) == last.Addr.String(), err
	})
}
