// Package crowd is many members of a group in one process: the far ends of a measurement whose
// near end, the hub, is the real program. A hundred whole appliances on one machine keep it busy
// with themselves; these leave it to what is measured.
//
// Each member has what counts for the hub: a key, a certificate and a state of its own; an
// address of the underlay, with a UDP socket there; an overlay, by which it meets the hub and
// the keys of a session are made; a registry, with a block and an address leased in it; a
// tunnel. Instead of a TAP there is a [load.Tally], which counts what arrives, and a sender.
//
//	hub ── overlay, registry, sessions ── member 1 … n ── registry, called directly ── members
//
// So that n members together idle, they know but the hub by the overlay, and call each
// other without a network. One thread (a loop.Loop) serves all the sockets.
//
// [Admit] makes the members, by the authority's key in the state of a hub that doesn't run yet;
// [Open] starts them. What is said between hub and members before a certificate is shown is
// that of package appliance (gate.go there).
//
// It isn't an appliance: nothing is renewed, and it is good for an hour.
package crowd
