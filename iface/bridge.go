package iface

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// DefaultBridgeName has the bridge get the first free name of lbbr0, lbbr1, …
const DefaultBridgeName = "lbbr%d"

// maxBridges bounds the search for a free name.
const maxBridges = 64

// BridgeConfig says which devices to join.
type BridgeConfig struct {
	Name       string           // with a %d for the first free number; "" for DefaultBridgeName
	LANPort    string           // the device that leads to the LAN; see CheckPort
	TAP        *TAP             // gets the LAN port's MTU
	GatewayMAC net.HardwareAddr // the MAC with which the router speaks through the TAP; not the TAP's own
	Owner      string           // for the marker: names the state directory; required, no spaces
	Log        *slog.Logger     // nil: discard
}

// ntfSticky is NTF_STICKY of include/uapi/linux/neighbour.h; older kernels ignore it.
const ntfSticky = 0x40

// Bridge joins a LAN port and a TAP until it is closed.
type Bridge struct {
	name string // as asked for, until the bridge stands
	mtu  int
	tap  int  // the TAP's index
	ours bool // there is something to undo
	// seats is the same for all that Share this bridge.
	seats *seats
	h     *netlink.Handle
	once  sync.Once
	err   error
}

// CreateBridge checks the LAN port (see CheckPort for the refusals), then makes the
// bridge, or takes over the one that a killed run of the same owner left with the same
// port. If a step fails everything is put back.
func CreateBridge(cfg BridgeConfig) (*Bridge, error) {
	if cfg.Name == "" {
		cfg.Name = DefaultBridgeName
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if !validOwner(cfg.Owner) {
		return nil, fmt.Errorf("bridge owner %q: want a word without spaces", cfg.Owner)
	}
	if err := CheckPrivileges(); err != nil {
		return nil, err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	port, err := checkPort(h, cfg.LANPort, cfg.Owner)
	if err == nil && port == nil {
		port, err = makeVLAN(h, cfg.LANPort, cfg.Owner)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	b := &Bridge{name: cfg.Name, mtu: port.Attrs().MTU, tap: cfg.TAP.index, seats: &seats{taken: 1}, h: h}
	if err := b.build(cfg, port); err != nil {
		err = errors.Join(err, b.Close())
		if isOwnVLAN(port, cfg.Owner) { // it may be on no bridge yet
			err = errors.Join(err, removeVLAN(&netlink.Handle{}, port))
		}
		return nil, err
	}
	return b, nil
}

// build changes the host's network, step by step; Close undoes any part of it.
func (b *Bridge) build(cfg BridgeConfig, port netlink.Link) error {
	port, err := b.leaveOtherBridge(port)
	if err != nil {
		return err
	}
	bridge, m, err := b.findOrMake(cfg, port)
	if err != nil {
		return err
	}
	if err := b.configure(bridge, cfg, &m); err != nil {
		return err
	}
	if err := b.joinTAP(bridge, cfg); err != nil {
		return err
	}
	if port.Attrs().MasterIndex != bridge.Attrs().Index {
		if err := b.h.LinkSetMaster(port, bridge); err != nil {
			return explainEnslave(cfg.LANPort, err)
		}
	}
	if err := b.h.LinkSetUp(port); err != nil {
		return explain("set the LAN port "+cfg.LANPort+" up", err)
	}
	return explain("set the bridge "+b.name+" up", b.h.LinkSetUp(bridge))
}

// leaveOtherBridge undoes what a killed run left around the port where another name is
// asked for.
func (b *Bridge) leaveOtherBridge(port netlink.Link) (netlink.Link, error) {
	a := port.Attrs()
	if a.MasterIndex == 0 {
		return port, nil
	}
	master, err := b.h.LinkByIndex(a.MasterIndex)
	if err == nil && (b.anyName() || master.Attrs().Name == b.name) {
		return port, nil
	}
	if err == nil {
		err = undo(b.h, master)
	}
	if err != nil {
		return nil, fmt.Errorf("release the LAN port %s from the bridge that a former run left: %w", a.Name, err)
	}
	return b.h.LinkByIndex(a.Index)
}

// anyName reports whether the bridge is to get the first free name.
func (b *Bridge) anyName() bool { return strings.Contains(b.name, "%d") }

// findOrMake returns the bridge with its marker set: the one that a killed run left
// around the port, whatever its name, or a new one.
func (b *Bridge) findOrMake(cfg BridgeConfig, port netlink.Link) (netlink.Link, marker, error) {
	m := marker{owner: cfg.Owner, port: cfg.LANPort, wasDown: port.Attrs().Flags&net.FlagUp == 0}
	if index := port.Attrs().MasterIndex; index != 0 { // checkPort has seen that it is a dead run's
		bridge, err := b.h.LinkByIndex(index)
		if err != nil {
			return nil, m, fmt.Errorf("the bridge that a former run left around %s: %w", cfg.LANPort, err)
		}
		m, _ = parseMarker(bridge.Attrs().Alias)
		b.name, b.ours = bridge.Attrs().Name, true
		return bridge, m, nil
	}
	bridge, err := b.add(port)
	if err != nil {
		return nil, m, err
	}
	b.ours = true
	if err := b.h.LinkSetAlias(bridge, m.String()); err != nil {
		return nil, m, explain("mark the bridge "+b.name, err)
	}
	return bridge, m, nil
}

// add makes the bridge, under the first free name where any will do.
func (b *Bridge) add(port netlink.Link) (netlink.Link, error) {
	if !b.anyName() {
		return b.addAs(b.name, port)
	}
	for n := range maxBridges {
		bridge, err := b.addAs(strings.Replace(b.name, "%d", strconv.Itoa(n), 1), port)
		if !errors.Is(err, ErrNameTaken) {
			return bridge, err
		}
	}
	return nil, fmt.Errorf("%w, as are the %d after it: %s; remove those that nothing uses (ip link del NAME)",
		ErrNameTaken, maxBridges-1, strings.Replace(b.name, "%d", "0", 1))
}

// addAs makes the bridge, or takes one that is half made, with the name that it is to have.
func (b *Bridge) addAs(name string, port netlink.Link) (netlink.Link, error) {
	bridge, err := b.h.LinkByName(name)
	if err == nil && (b.anyName() || !b.isHalfMade(bridge)) { // half made: another appliance may be at it now
		return nil, fmt.Errorf("%w: %s", ErrNameTaken, name)
	}
	if err != nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.HardwareAddr = name, port.Attrs().HardwareAddr
		err = b.h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
		if errors.Is(err, unix.EEXIST) { // another appliance was faster
			return nil, fmt.Errorf("%w: %s", ErrNameTaken, name)
		}
		if err != nil {
			return nil, explain("make the bridge "+name, err)
		}
		if bridge, err = b.h.LinkByName(name); err != nil {
			return nil, fmt.Errorf("bridge %s: %w", name, err)
		}
	}
	b.name = name
	return bridge, nil
}

// isHalfMade recognises what a run left that was killed between making the bridge
// and marking it: down, no alias, no ports.
func (b *Bridge) isHalfMade(l netlink.Link) bool {
	a := l.Attrs()
	if l.Type() != "bridge" || a.Alias != "" || a.Flags&net.FlagUp != 0 {
		return false
	}
	ports, err := portsOf(b.h, a.Index)
	return err == nil && len(ports) == 0
}

// configure makes the bridge a plain wire: no spanning tree, no waiting, no
// multicast snooping, no IP of its own, no firewall.
func (b *Bridge) configure(bridge netlink.Link, cfg BridgeConfig, m *marker) error {
	disableIPv6(b.name, cfg.Log)
	if former := netfilterCalls(); former != "" {
		if alone, err := b.aloneHere(); err != nil {
			warnNetfilter(b.name, err.Error(), cfg.Log)
		} else if !alone {
			warnNetfilter(b.name, "the setting is left on for the other bridges of this host", cfg.Log)
		} else {
			m.nfCall = former // on record before it changes, for Recover
			if err := b.h.LinkSetAlias(bridge, m.String()); err != nil {
				return explain("mark the bridge "+b.name, err)
			}
			if err := silenceNetfilter(); err != nil {
				warnNetfilter(b.name, err.Error(), cfg.Log)
			}
		}
	}
	err := setBridgeData(bridge, nl.IFLA_INFO_DATA, map[int][]byte{
		nl.IFLA_BR_STP_STATE:         nl.Uint32Attr(0),
		nl.IFLA_BR_FORWARD_DELAY:     nl.Uint32Attr(0),
		nl.IFLA_BR_MCAST_SNOOPING:    {0},
		nl.IFLA_BR_NF_CALL_IPTABLES:  {0},
		nl.IFLA_BR_NF_CALL_IP6TABLES: {0},
		nl.IFLA_BR_NF_CALL_ARPTABLES: {0},
	})
	return explain("configure the bridge "+b.name, err)
}

// joinTAP puts the TAP on the bridge so that it gets what is for the gateway MAC,
// and broadcasts, and nothing else.
func (b *Bridge) joinTAP(bridge netlink.Link, cfg BridgeConfig) error {
	doing := "put " + cfg.TAP.name + " on the bridge " + b.name
	tap, err := b.h.LinkByIndex(cfg.TAP.index)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := cfg.TAP.setMTU(b.h, tap, b.mtu, cfg.Log); err != nil {
		return err
	}
	b.mtu = cfg.TAP.MTU()
	if err := b.h.LinkSetMaster(tap, bridge); err != nil {
		return explain(doing, err)
	}
	err = setBridgeData(tap, nl.IFLA_INFO_SLAVE_DATA, map[int][]byte{
		nl.IFLA_BRPORT_LEARNING:      {0},
		nl.IFLA_BRPORT_UNICAST_FLOOD: {0},
		nl.IFLA_BRPORT_MCAST_FLOOD:   {0},
		nl.IFLA_BRPORT_ISOLATED:      {1}, // from the TAPs of other groups; see Share
	})
	if err != nil {
		return explain(doing, err)
	}
	gateway := &netlink.Neigh{
		LinkIndex: cfg.TAP.index, Family: unix.AF_BRIDGE, HardwareAddr: cfg.GatewayMAC,
		// Sticky (Linux 4.20): a frame of ours that comes back from the LAN, as from a loop, doesn't move it.
		State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER | ntfSticky,
	}
	if err := b.h.NeighSet(gateway); err != nil {
		return explain(fmt.Sprintf("enter the gateway MAC %v on the bridge %s", cfg.GatewayMAC, b.name), err)
	}
	return nil
}

// Overhear says whether the TAP gets frames to stations, too, that the bridge has never
// seen: they tell of hosts that have moved, and send to stations of the LAN that they left. It
// doesn't from the beginning.
func (b *Bridge) Overhear(on bool) error {
	value := map[bool]byte{true: 1}[on]
	err := setBridgeData(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: b.tap}}, nl.IFLA_INFO_SLAVE_DATA,
		map[int][]byte{nl.IFLA_BRPORT_UNICAST_FLOOD: {value}})
	return explain("set what the TAP on the bridge "+b.name+" gets", err)
}

// Multicast says whether the TAP gets frames to many, which neighbour discovery and DHCPv6 send. It doesn't
// from the beginning.
func (b *Bridge) Multicast(on bool) error {
	value := map[bool]byte{true: 1}[on]
	err := setBridgeData(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: b.tap}}, nl.IFLA_INFO_SLAVE_DATA,
		map[int][]byte{nl.IFLA_BRPORT_MCAST_FLOOD: {value}})
	return explain("set what the TAP on the bridge "+b.name+" gets", err)
}

// Name returns the bridge's name.
func (b *Bridge) Name() string { return b.name }

// MAC returns the bridge's own address, which is the LAN port's. The host that it is on speaks with
// it, if at all.
func (b *Bridge) MAC() (net.HardwareAddr, error) {
	bridge, err := b.h.LinkByName(b.name)
	if err != nil {
		return nil, fmt.Errorf("the bridge %s: %w", b.name, err)
	}
	return bridge.Attrs().HardwareAddr, nil
}

// MTU returns the LAN port's MTU in bytes, which the TAP has too; or the TAP's, if the kernel
// refused it that.
func (b *Bridge) MTU() int { return b.mtu }

// Close takes the LAN port off the bridge, puts it back as it was and removes the
// bridge, unless others share it. The TAP stays, unattached. It may be called more than once.
func (b *Bridge) Close() error {
	b.once.Do(func() {
		defer b.h.Close()
		b.seats.mu.Lock()
		defer b.seats.mu.Unlock()
		if b.seats.taken--; b.seats.taken > 0 {
			b.err = b.leave()
			return
		}
		if !b.ours {
			return
		}
		link, err := b.h.LinkByName(b.name)
		if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
			return // never made, or somebody was faster
		}
		if err == nil {
			err = undo(b.h, link)
		}
		if err != nil {
			b.err = fmt.Errorf("remove the bridge %s: %w", b.name, err)
		}
	})
	return b.err
}

func (b *Bridge) aloneHere() (bool, error) {
	links, err := dump(b.h.LinkList)
	if err != nil {
		return false, fmt.Errorf("list devices: %w", err)
	}
	for _, l := range links {
		if l.Type() == "bridge" && l.Attrs().Name != b.name {
			return false, nil
		}
	}
	return true, nil
}

func explainEnslave(port string, err error) error {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP): // br_add_if: IFF_DONT_BRIDGE (wireless stations, ipvlan)
		return refuse(port, ErrNotEthernet, "LAN port %s can't be bridged: its driver forbids it, as a wireless client's does; name a wired port", port)
	case errors.Is(err, unix.EBUSY): // netdev_rx_handler_register: macvlan, ipvlan or Open vSwitch is on it
		return refuse(port, ErrEnslaved, "LAN port %s is in use by another kind of virtual network (macvlan, ipvlan, Open vSwitch); remove that or name another port", port)
	}
	return explain("put the LAN port "+port+" on the bridge", err)
}

// setBridgeData sets attributes of a bridge, or of a port of one, that the netlink library has no
// names for. It speaks in the namespace of the calling thread.
func setBridgeData(link netlink.Link, section int, values map[int][]byte) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(link.Attrs().Index)
	req.AddData(msg)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	kindAttr := nl.IFLA_INFO_KIND
	if section == nl.IFLA_INFO_SLAVE_DATA {
		kindAttr = nl.IFLA_INFO_SLAVE_KIND
	}
	info.AddRtAttr(kindAttr, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(section, nil)
	for attr, value := range values {
		data.AddRtAttr(attr, value)
	}
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
