package netlab

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The packet filter's statements, named as nft(8) writes them.

// Offsets in the IPv4 header.
const (
	ipSource      = 12
	ipDestination = 16
)

// Bits of nf_conntrack's state (enum ip_conntrack_info, as NF_CT_STATE_BIT has
// them) and status (IPS_DST_NAT).
const (
	ctEstablished = 1 << 1
	ctRelated     = 1 << 2
	ctStatusDNAT  = 1 << 5
)

func join(statements ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, s := range statements {
		all = append(all, s...)
	}
	return all
}

func one(e expr.Any) []expr.Any { return []expr.Any{e} }

func verdict(kind expr.VerdictKind) []expr.Any { return one(&expr.Verdict{Kind: kind}) }

// in is "iifname NAME", outside "oifname wan0".
func in(device string) []expr.Any { return device16(expr.MetaKeyIIFNAME, device) }
func outside() []expr.Any         { return device16(expr.MetaKeyOIFNAME, "wan0") }

func device16(key expr.MetaKey, device string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	return []expr.Any{&expr.Meta{Key: key, Register: regKey}, is(regKey, name)}
}

// protocol is "meta l4proto PROTO".
func protocol(proto byte) []expr.Any {
	return join(loadProtocol(regKey), one(is(regKey, []byte{proto})))
}

func loadProtocol(reg uint32) []expr.Any {
	return one(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg})
}

func is(reg uint32, data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data}
}

func isnt(reg uint32, data []byte) []expr.Any {
	return one(&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: data})
}

// ipAddr loads an address of the IPv4 header.
func ipAddr(offset, reg uint32) []expr.Any {
	return one(&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4, DestRegister: reg})
}

// port loads the source (offset 0) or destination port (offset 2) of UDP or TCP.
func port(offset, reg uint32) []expr.Any {
	return one(&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2, DestRegister: reg})
}

// ct matches if one of the bits is set.
func ct(key expr.CtKey, bits uint32) []expr.Any {
	mask := binaryutil.NativeEndian.PutUint32(bits)
	zero := make([]byte, 4)
	return []expr.Any{
		&expr.Ct{Key: key, Register: regKey},
		&expr.Bitwise{SourceRegister: regKey, DestRegister: regKey, Len: 4, Mask: mask, Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: regKey, Data: zero},
	}
}

// lookup loads a map's value; the rule ends where the key is absent.
func lookup(m *nftables.Set, key, value uint32) []expr.Any {
	return one(&expr.Lookup{SourceRegister: key, DestRegister: value, IsDestRegSet: true, SetName: m.Name, SetID: m.ID})
}

// add puts a key (and a value, if value is a register) in a set that lacks it.
func add(s *nftables.Set, key, value uint32) []expr.Any {
	return one(&expr.Dynset{
		SrcRegKey: key, SrcRegData: value, SetName: s.Name, SetID: s.ID, Operation: uint32(unix.NFT_DYNSET_OP_ADD),
	})
}

// newPort loads the next outer port, in network byte order.
func newPort(reg uint32) []expr.Any {
	return []expr.Any{
		&expr.Numgen{Register: reg, Type: unix.NFT_NG_INCREMENTAL, Modulus: portCount, Offset: firstPort},
		&expr.Byteorder{SourceRegister: reg, DestRegister: reg, Op: expr.ByteorderHton, Len: 2, Size: 2},
	}
}

// move copies a register: a bitwise operation that changes nothing.
func move(from, to uint32) []expr.Any {
	return one(&expr.Bitwise{
		SourceRegister: from, DestRegister: to, Len: 4, Mask: []byte{255, 255, 255, 255}, Xor: make([]byte, 4),
	})
}
