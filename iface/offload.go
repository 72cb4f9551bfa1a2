package iface

import (
	"log/slog"
	"slices"

	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
)

// form is how a TAP's frames cross between the kernel and us.
type form struct {
	header  bool // each frame has a virtio header (IFF_VNET_HDR): we may leave work to the kernel
	offload int  // TUN_F_…: the work that the kernel may leave to us
}

// What the kernel is asked to leave undone.
const (
	offloadTCP = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	offloadUDP = unix.TUN_F_USO4 | unix.TUN_F_USO6 // since Linux 6.2, both or none
)

// allForms returns the forms that are tried, the best first.
func allForms() []form {
	return []form{
		{true, offloadTCP | unix.TUN_F_TSO_ECN | offloadUDP},
		{true, offloadTCP | unix.TUN_F_TSO_ECN},
		{true, offloadTCP},
		{true, unix.TUN_F_CSUM},
		{true, 0},
		{false, 0},
	}
}

// lacks counts the forms that are better: how many kinds of offload were refused.
func (f form) lacks() uint64 { return uint64(slices.Index(allForms(), f)) }

// tell says what was lost, if anything, once.
func (f form) tell(device string, log *slog.Logger) {
	lost := ""
	switch {
	case !f.header:
		lost = "no frame headers for offload (IFF_VNET_HDR), so none of it"
	case f.offload == 0:
		lost = "no segmentation, no checksums"
	case f.offload&offloadTCP != offloadTCP:
		lost = "no segmentation, neither TCP nor UDP"
	case f.offload&offloadUDP != offloadUDP:
		lost = "no UDP segmentation, which Linux has since 6.2"
	}
	if lost != "" {
		log.Warn("this kernel doesn't offer all offload for TAPs; traffic is carried, but with more work", "device", device, "why", lost)
	}
}

// Takes reports whether frames that are still to be cut into TCP segments, or into UDP
// datagrams, may be written. What isn't taken is cut by WriteBatch, which costs.
func (t *TAP) Takes() (tcp, udp bool) {
	return t.form.header, t.form.header && t.form.offload&offloadUDP == offloadUDP
}

// takes reports whether p can be written as it is.
func (t *TAP) takes(o frame.Offload) bool {
	tcp, udp := t.Takes()
	switch o.GSO {
	case frame.GSONone:
		return tcp || !o.Partial
	case frame.GSOUDP:
		return udp
	}
	return tcp
}

// Counters lists what has been counted since the TAP was opened.
func (t *TAP) Counters() map[string]uint64 {
	return map[string]uint64{
		"dropped_bad_offload":     t.lies.Load(),     // frames read whose virtio header contradicts them
		"dropped_foreign_offload": t.foreign.Load(),  // frames read that are to be cut and aren't plain IP: VLAN tags, IPv6 routing headers
		"lacks_offload":           t.form.lacks(),    // kinds of offload for TAPs that the kernel doesn't have, of 5
		"refused_mtu":             t.badMTU.Load(),   // MTUs that the kernel refused
		"finished_in_software":    t.finished.Load(), // frames written on which the kernel left us to do its work
	}
}
