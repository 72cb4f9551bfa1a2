package iface

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A LAN port may be one VLAN of a port that carries several, tagged as 802.1Q has it: eth1.10
// is VLAN 10 of eth1. Where this host has no device of that name, it is made and marked, and
// goes with the bridge that it is on. The bridge sees its frames without tags.

// kindVLAN is what the kernel calls such devices.
const kindVLAN = "vlan"

// splitVLAN reads the name of a VLAN, PARENT.ID with 1 to 4094 for ID.
func splitVLAN(name string) (parent string, id uint16, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(name[i+1:], 10, 12)
	if err != nil || n == 0 || n == 4095 || name[i+1] == '0' {
		return "", 0, false
	}
	return name[:i], uint16(n), true
}

// VLANOf returns the port that carries a device which is a VLAN, and the VLAN's number; none for other devices, and
// for one that isn't there.
func VLANOf(device string) (trunk string, id int, err error) {
	missing := netlink.LinkNotFoundError{}
	link, err := netlink.LinkByName(device)
	vlan, ok := link.(*netlink.Vlan)
	if err != nil && !errors.As(err, &missing) {
		return "", 0, fmt.Errorf("%s: %w", device, err)
	}
	if err != nil || !ok {
		return "", 0, nil
	}
	parent, err := netlink.LinkByIndex(vlan.ParentIndex)
	if errors.As(err, &missing) {
		return "", vlan.VlanId, nil // in another namespace
	}
	if err != nil {
		return "", 0, fmt.Errorf("the port that carries %s: %w", device, err)
	}
	return parent.Attrs().Name, vlan.VlanId, nil
}

// checkVLAN says whether a VLAN that isn't there can be made. It changes nothing.
func checkVLAN(h *netlink.Handle, name, parentName string, id uint16) error {
	parent, err := h.LinkByName(parentName)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return refuse(name, ErrNoPort, "LAN port %q: this host has no such device, nor %s, of which it could be VLAN %d; it has %s", name, parentName, id, candidates(h))
	}
	if err != nil {
		return fmt.Errorf("look for %s, of which %s is VLAN %d: %w", parentName, name, id, err)
	}
	if err := checkEthernet(parent); err != nil {
		return err
	}
	links, err := dump(h.LinkList)
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	for _, l := range links {
		if v, ok := l.(*netlink.Vlan); ok && v.ParentIndex == parent.Attrs().Index && v.VlanId == int(id) {
			return refuse(name, ErrEnslaved, "LAN port %s: VLAN %d of %s is the device %s already; name that as the LAN port, or remove it (ip link del %s)", name, id, parentName, v.Name, v.Name)
		}
	}
	return checkVLANs(name, parentName, id)
}

// checkVLANs asks the kernel whether it has VLAN devices at all: a request for one that says
// neither of what nor which is malformed to a kernel that has them (vlan_validate), and of an
// unknown kind to one that hasn't. Where they are a module, it is loaded.
func checkVLANs(name, parent string, id uint16) error {
	_, err := vlanRequest("", 0, 0).Execute(unix.NETLINK_ROUTE, 0)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return refuse(name, ErrNoVLAN, "LAN port %s: VLAN %d of %s can't be made, as this kernel has no VLAN devices (802.1Q); load the module (modprobe 8021q), use a kernel that has it, "+
			"or name a port on which the switch delivers that VLAN untagged", name, id, parent)
	case errors.Is(err, unix.EINVAL), err == nil:
		return nil
	}
	return explain(fmt.Sprintf("ask for VLAN %d of %s", id, parent), err)
}

// vlanRequest asks for a VLAN device; with no name for one that can't be.
func vlanRequest(name string, parent int, id uint16) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kindVLAN))
	if name != "" {
		req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
		req.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(parent))))
		data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
		data.AddRtAttr(nl.IFLA_VLAN_ID, nl.Uint16Attr(id))
		data.AddRtAttr(nl.IFLA_VLAN_PROTOCOL, binary.BigEndian.AppendUint16(nil, unix.ETH_P_8021Q))
	}
	req.AddData(info)
	return req
}

// makeVLAN makes and marks the VLAN of that name, which checkVLAN has found fit, and sets up
// what it is a VLAN of. It comes down, as a port may be.
func makeVLAN(h *netlink.Handle, name, owner string) (netlink.Link, error) {
	parentName, id, _ := splitVLAN(name)
	parent, err := h.LinkByName(parentName)
	if err != nil {
		return nil, fmt.Errorf("%s, of which %s is VLAN %d: %w", parentName, name, id, err)
	}
	doing := fmt.Sprintf("make %s, VLAN %d of %s", name, id, parentName)
	if _, err := vlanRequest(name, parent.Attrs().Index, id).Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return nil, explain(doing, err)
	}
	vlan, err := h.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	m := marker{owner: owner, port: parentName, wasDown: parent.Attrs().Flags&net.FlagUp == 0}
	err = h.LinkSetAlias(vlan, m.String())
	if err == nil {
		err = h.LinkSetUp(parent)
	}
	marked := vlan
	if err == nil {
		marked, err = h.LinkByName(name)
	}
	if err != nil {
		return nil, errors.Join(explain(doing, err), h.LinkDel(vlan))
	}
	return marked, nil
}

// isOwnVLAN recognises a VLAN that this owner made.
func isOwnVLAN(l netlink.Link, owner string) bool {
	m, marked := parseMarker(l.Attrs().Alias)
	return l.Type() == kindVLAN && marked && m.owner == owner
}

// removeVLAN removes a VLAN that we made, and sets what it was a VLAN of down again, if it was
// and nothing else needs it.
func removeVLAN(h *netlink.Handle, vlan netlink.Link) error {
	a := vlan.Attrs()
	if err := h.LinkDel(vlan); err != nil && !errors.Is(err, unix.ENODEV) {
		return explain("remove "+a.Name, err)
	}
	m, _ := parseMarker(a.Alias)
	if !m.wasDown {
		return nil
	}
	parent, err := h.LinkByIndex(a.ParentIndex)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up %s: %w", m.port, err)
	}
	if used, err := carriesVLAN(h, parent); err != nil || used || parent.Attrs().MasterIndex != 0 {
		return err
	}
	return explain("set "+m.port+" down again", h.LinkSetDown(parent))
}

// carriesVLAN reports whether a device has a VLAN.
func carriesVLAN(h *netlink.Handle, parent netlink.Link) (bool, error) {
	links, err := dump(h.LinkList)
	if err != nil {
		return false, fmt.Errorf("list devices: %w", err)
	}
	for _, l := range links {
		if l.Type() == kindVLAN && l.Attrs().ParentIndex == parent.Attrs().Index {
			return true, nil
		}
	}
	return false, nil
}
