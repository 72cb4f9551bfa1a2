package tunnel

import "net/netip"

type natKind int

const (
	public natKind = iota
	fullCone
	portRestricted
	symmetric
)

type natKey struct{ inner, remote netip.AddrPort }

type memNAT struct {
	kind     natKind
	outer    netip.Addr
	nextPort uint16
	mapping  map[natKey]uint16
	back     map[uint16]natKey
	allowed  map[uint16]map[netip.AddrPort]bool
}

func (n *memNAT) forget() {
	n.mapping, n.back = make(map[natKey]uint16), make(map[uint16]natKey)
	n.allowed = make(map[uint16]map[netip.AddrPort]bool)
}

func (n *memNAT) out(inner, remote netip.AddrPort) netip.AddrPort {
	key := natKey{inner: inner}
	if n.kind == symmetric {
		key.remote = remote
	}
	port, ok := n.mapping[key]
	if !ok {
		n.nextPort += 7
		port = n.nextPort
		n.mapping[key], n.back[port] = port, key
		n.allowed[port] = make(map[netip.AddrPort]bool)
	}
	n.allowed[port][remote] = true
	return netip.AddrPortFrom(n.outer, port)
}

func (n *memNAT) in(port uint16, remote netip.AddrPort) (netip.AddrPort, bool) {
	key, ok := n.back[port]
	if !ok || n.kind != fullCone && !n.allowed[port][remote] {
		return netip.AddrPort{}, false
	}
	return key.inner, true
}
