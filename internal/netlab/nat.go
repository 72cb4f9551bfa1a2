package netlab

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// NAT is a kind of address translator, in the words of RFC 3489 section 5; RFC
// 4787's words for the same stand beside them.
type NAT int

const (
	// PortRestricted maps one inner address and port to one outer port, whatever
	// the destination (endpoint-independent mapping), and lets in only what comes from an
	// address and port that it was used towards (address and port-dependent filtering).
	PortRestricted NAT = iota
	// Restricted lets in what comes from an address that the mapping was used towards,
	// from any port there (address-dependent filtering).
	Restricted
	// FullCone lets in everything that is sent to a mapping (endpoint-independent filtering).
	FullCone
	// Symmetric makes a mapping of its own, with a random port, for each destination
	// address and port, and filters like PortRestricted.
	Symmetric
)

func (n NAT) String() string {
	switch n {
	case PortRestricted:
		return "port-restricted"
	case Restricted:
		return "restricted"
	case FullCone:
		return "full cone"
	case Symmetric:
		return "symmetric"
	}
	return fmt.Sprintf("NAT(%d)", int(n))
}

// Outer ports of cones, in order of use: never the inner one, so that nobody can
// count on that.
const (
	firstPort = 20000
	portCount = 30000
)

// Registers of the packet filter's machine: 32 bits each, a concatenation lies in
// consecutive ones.
const (
	regKey   = unix.NFT_REG32_00 // up to three
	regValue = unix.NFT_REG32_04 // up to two
	regAddr  = unix.NFT_REG32_08
)

// natBox is the packet filter of a site's router. Cones keep their mappings in
// nftables maps, as Linux's own masquerading gives one inner port different outer
// ports where two inner hosts use it:
//
//	out      inner address . inner port . protocol -> outer port
//	in       outer port . protocol                 -> inner address . inner port
//	allowed  remote address . outer port . protocol    (Restricted alone)
//
// NAT chains see the first packet of each flow; connection tracking keeps the
// translation for the rest, and is the whole filter of PortRestricted and Symmetric.
type natBox struct {
	router *Host
	kind   NAT
	addr   netip.Addr
	table  *nftables.Table

	out, in, allowed *nftables.Set
}

func newNATBox(router *Host, kind NAT, addr netip.Addr, what blocks) (*natBox, error) {
	if kind < PortRestricted || kind > Symmetric {
		return nil, fmt.Errorf("unknown kind of NAT: %v", kind)
	}
	b := &natBox{router: router, kind: kind, addr: addr}
	err := b.change(func(nft *nftables.Conn) error {
		b.table = nft.AddTable(&nftables.Table{Name: "lab", Family: nftables.TableFamilyIPv4})
		b.filter(nft, what)
		if kind == Symmetric {
			b.symmetric(nft)
			return nil
		}
		return b.cone(nft)
	})
	return b, err
}

// change runs fn with a connection to the router's packet filter and commits what
// fn did as one transaction.
func (b *natBox) change(fn func(*nftables.Conn) error) error {
	return b.router.Do(func() error {
		nft, err := nftables.New()
		if err != nil {
			return fmt.Errorf("open nftables: %w", err)
		}
		if err := fn(nft); err != nil {
			return err
		}
		if err := nft.Flush(); err != nil {
			return fmt.Errorf("set the %v NAT's rules: %w", b.kind, err)
		}
		return nil
	})
}

// filter lets through what comes from inside or belongs to a known flow. What it
// drops leaves no trace in connection tracking: else an unasked datagram that arrives
// before ours goes the other way would take our mapping's place.
func (b *natBox) filter(nft *nftables.Conn, what blocks) {
	forward := b.chain(nft, "forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	switch what {
	case blocksAll:
		b.rule(nft, forward, verdict(expr.VerdictDrop))
	case blocksUDP:
		dns := binaryutil.BigEndian.PutUint16(53)
		b.rule(nft, forward, protocol(unix.IPPROTO_UDP), port(2, regKey), isnt(regKey, dns), port(0, regKey), isnt(regKey, dns), verdict(expr.VerdictDrop))
	}
	b.rule(nft, forward, in("lan0"), verdict(expr.VerdictAccept))
	b.rule(nft, forward, ct(expr.CtKeySTATE, ctEstablished|ctRelated), verdict(expr.VerdictAccept))
	b.rule(nft, forward, ct(expr.CtKeySTATUS, ctStatusDNAT), verdict(expr.VerdictAccept))
	b.rule(nft, forward, verdict(expr.VerdictDrop))

	input := b.chain(nft, "input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	b.rule(nft, input, in("wan0"), ct(expr.CtKeySTATE, ctEstablished|ctRelated), verdict(expr.VerdictAccept))
	b.rule(nft, input, in("wan0"), protocol(unix.IPPROTO_ICMP), verdict(expr.VerdictAccept))
	b.rule(nft, input, in("wan0"), verdict(expr.VerdictDrop))
}

// symmetric makes each flow's outer port a random one.
func (b *natBox) symmetric(nft *nftables.Conn) {
	post := b.chain(nft, "postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	b.rule(nft, post, outside(), one(&expr.Masq{FullyRandom: true}))
}

// cone makes mappings that don't depend on the destination.
func (b *natBox) cone(nft *nftables.Conn) error {
	if err := b.sets(nft); err != nil {
		return err
	}
	post := b.chain(nft, "postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	mapped := nft.AddChain(&nftables.Chain{Name: "mapped", Table: b.table})
	for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		inner := join(ipAddr(ipSource, regKey), port(0, regKey+1), loadProtocol(regKey+2))
		outer := join(inner, lookup(b.out, regKey, regValue))
		b.rule(nft, post, outside(), protocol(proto), outer, one(&expr.Verdict{Kind: expr.VerdictGoto, Chain: mapped.Name}))
		// A new mapping. The port is kept in regValue, the sets' keys are built around it.
		b.rule(nft, post, outside(), protocol(proto), newPort(regValue),
			inner, add(b.out, regKey, regValue),
			move(regValue, regKey), loadProtocol(regKey+1),
			ipAddr(ipSource, regValue), port(0, regValue+1), add(b.in, regKey, regValue))
		b.rule(nft, post, outside(), protocol(proto), outer, one(&expr.Verdict{Kind: expr.VerdictGoto, Chain: mapped.Name}))
		if b.kind == Restricted {
			b.rule(nft, mapped, protocol(proto), outer,
				ipAddr(ipDestination, regKey), move(regValue, regKey+1), loadProtocol(regKey+2), add(b.allowed, regKey, 0))
		}
		b.rule(nft, mapped, protocol(proto), outer,
			one(&expr.Immediate{Register: regAddr, Data: b.addr.AsSlice()}),
			one(&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: regAddr, RegProtoMin: regValue, Specified: true}))
	}
	b.rule(nft, post, outside(), one(&expr.Masq{}))
	if b.kind != PortRestricted {
		b.letIn(nft)
	}
	return nil
}

// letIn passes unasked packets on to the inner end of the mapping that they are sent to.
func (b *natBox) letIn(nft *nftables.Conn) {
	pre := b.chain(nft, "prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		conds := join(in("wan0"), protocol(proto))
		if b.kind == Restricted {
			conds = join(conds, ipAddr(ipSource, regKey), port(2, regKey+1), loadProtocol(regKey+2),
				one(&expr.Lookup{SourceRegister: regKey, SetName: b.allowed.Name, SetID: b.allowed.ID}))
		}
		b.rule(nft, pre, conds, port(2, regKey), loadProtocol(regKey+1), lookup(b.in, regKey, regValue),
			one(&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: regValue, RegProtoMin: regValue + 1, Specified: true}))
	}
}

func (b *natBox) sets(nft *nftables.Conn) error {
	addr, port, proto := nftables.TypeIPAddr, nftables.TypeInetService, nftables.TypeInetProto
	b.out = b.set("out", true, nftables.MustConcatSetType(addr, port, proto), port)
	b.in = b.set("in", true, nftables.MustConcatSetType(port, proto), nftables.MustConcatSetType(addr, port))
	b.allowed = b.set("allowed", false, nftables.MustConcatSetType(addr, port, proto), nftables.SetDatatype{})
	for i, s := range []*nftables.Set{b.out, b.in, b.allowed} {
		s.ID = uint32(i + 1) // else the library takes one from an unguarded counter
		if err := nft.AddSet(s, nil); err != nil {
			return fmt.Errorf("make the NAT's table %s: %w", s.Name, err)
		}
	}
	return nil
}

func (b *natBox) set(name string, isMap bool, key, data nftables.SetDatatype) *nftables.Set {
	return &nftables.Set{
		Table: b.table, Name: name, IsMap: isMap, KeyType: key, DataType: data,
		Dynamic: true, Concatenation: true, Size: 65535,
	}
}

// forget empties the maps and connection tracking.
func (b *natBox) forget() error {
	err := b.change(func(nft *nftables.Conn) error {
		for _, s := range []*nftables.Set{b.out, b.in, b.allowed} {
			if s != nil {
				nft.FlushSet(s)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.router.Do(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer nl.Close()
		if err := nl.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
			return fmt.Errorf("flush connection tracking: %w", err)
		}
		return nil
	})
}

// chain adds a base chain.
func (b *natBox) chain(nft *nftables.Conn, name string, kind nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority) *nftables.Chain {
	return nft.AddChain(&nftables.Chain{Name: name, Table: b.table, Type: kind, Hooknum: hook, Priority: prio})
}

// rule adds a rule: all the statements, one after the other, until one doesn't match.
func (b *natBox) rule(nft *nftables.Conn, chain *nftables.Chain, statements ...[]expr.Any) {
	nft.AddRule(&nftables.Rule{Table: b.table, Chain: chain, Exprs: join(statements...)})
}
