package iface

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/loop"
	"landbridge/internal/scratch"
)

// DefaultTAPName lets the kernel choose the first free name of lb0, lb1, …
const DefaultTAPName = "lb%d"

// queueFrames is how many frames wait in the kernel to be read: a time slice of another thread,
// 4 ms or so, of 500,000 frames a second. By default it is half of that.
const queueFrames = 2048

// TAPOptions says what the TAP is to be like.
type TAPOptions struct {
	MAC   net.HardwareAddr // of the host's side of the device; nil: the kernel's choice. Never the gateway MAC
	MTU   int              // bytes of IP packet, 68 to 65521; 0: 1500. CreateBridge sets it to the LAN port's
	Owner string           // for the marker: names the state directory; required, no spaces
	Log   *slog.Logger     // nil: discard
}

// TAP is an Ethernet device whose other end this process holds. It exists as long
// as it is open. Its methods are safe for concurrent use, but for ReadBatch.
type TAP struct {
	name  string
	index int
	mac   net.HardwareAddr
	mtu   int
	file  *loop.File
	form  form

	arena   []byte // what ReadBatch hands out
	drained bool   // the last ReadBatch left nothing

	finish   finisher
	lies     atomic.Uint64
	foreign  atomic.Uint64
	badMTU   atomic.Uint64
	finished atomic.Uint64
}

// OpenTAP makes a TAP and sets it up; name is its name, "" for [DefaultTAPName].
// It fails with a *CapabilityError, ErrNoTun or ErrNameTaken (wrapped) before
// anything is changed. IPv6 is off on the device: the kernel sends nothing by itself.
// What offload the kernel refuses is logged, and an MTU that it refuses.
func OpenTAP(name string, opts TAPOptions) (*TAP, error) {
	if !validOwner(opts.Owner) {
		return nil, fmt.Errorf("TAP owner %q: want a word without spaces", opts.Owner)
	}
	if name == "" {
		name = DefaultTAPName
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkTun(); err != nil {
		return nil, err
	}
	if err := checkFreeName(name); err != nil {
		return nil, err
	}
	name, err := makeDevice(name, opts.Owner)
	if err != nil {
		return nil, err
	}
	fd, form, err := attach(name)
	if err != nil {
		return nil, errors.Join(err, removeDevice(name))
	}
	form.tell(name, opts.Log)
	t := &TAP{name: name, file: loop.NewFile(fd), form: form, arena: scratch.Make[byte](arenaBytes)}
	if err := t.setUp(opts); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *TAP) setUp(opts TAPOptions) error {
	link, err := netlink.LinkByName(t.name)
	if err != nil {
		return fmt.Errorf("TAP %s: %w", t.name, err)
	}
	t.index = link.Attrs().Index
	if opts.MAC != nil {
		if err := netlink.LinkSetHardwareAddr(link, opts.MAC); err != nil {
			return explain(fmt.Sprintf("give the TAP %s the MAC %v", t.name, opts.MAC), err)
		}
	}
	t.mtu = link.Attrs().MTU
	if opts.MTU != 0 {
		if err := t.setMTU(&netlink.Handle{}, link, opts.MTU, opts.Log); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetTxQLen(link, queueFrames); err != nil {
		opts.Log.Info("the TAP keeps its short queue; bursts of small packets may be lost", "device", t.name, "err", err)
	}
	disableIPv6(t.name, opts.Log)
	if err := netlink.LinkSetUp(link); err != nil {
		return explain("set the TAP "+t.name+" up", err)
	}
	link, err = netlink.LinkByIndex(t.index)
	if err != nil {
		return fmt.Errorf("TAP %s: %w", t.name, err)
	}
	t.mac = link.Attrs().HardwareAddr
	return nil
}

// Name returns the device's name, such as "lb0".
func (t *TAP) Name() string { return t.name }

// Index returns the kernel's number of the device.
func (t *TAP) Index() int { return t.index }

// MTU returns the device's MTU in bytes, which is another than the one asked for if the
// kernel has refused that.
func (t *TAP) MTU() int { return t.mtu }

// setMTU gives the device an MTU. One that the kernel refuses is told and counted, and the
// device keeps its own: what is larger is fragmented or refused, as anywhere on a path.
func (t *TAP) setMTU(h *netlink.Handle, link netlink.Link, mtu int, log *slog.Logger) error {
	err := h.LinkSetMTU(link, mtu)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ERANGE) { // dev_set_mtu: not between the driver's bounds
		t.badMTU.Add(1)
		log.Warn("the kernel refuses this MTU for the TAP, which keeps the one that it has; larger packets are fragmented or refused by ICMP",
			"device", t.name, "mtu", mtu, "kept_mtu", t.mtu, "err", err)
		return nil
	}
	if err != nil {
		return explain(fmt.Sprintf("give the TAP %s an MTU of %d", t.name, mtu), err)
	}
	t.mtu = mtu
	return nil
}

// MAC returns the address of the host's side of the device.
func (t *TAP) MAC() net.HardwareAddr { return t.mac }

// FD is the descriptor to wait on; it can be read when there are frames.
func (t *TAP) FD() int { return t.file.FD() }

// Close makes later reads and writes fail with os.ErrClosed; the kernel then removes
// the device with its addresses and routes. It may be called more than once.
func (t *TAP) Close() error { return t.file.Close() }

// checkTun says in words why /dev/net/tun can't be used.
func checkTun() error {
	if err := CheckPrivileges(); err != nil {
		return err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case err == nil:
		return unix.Close(fd)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: /dev/net/tun is missing; load the module (modprobe tun), "+
			"and in a container pass the device in (--device /dev/net/tun)", ErrNoTun)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: /dev/net/tun has no driver behind it; load the module (modprobe tun)", ErrNoTun)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: /dev/net/tun may not be opened; run landbridge as root, "+
			"or allow the device to its user (and to its container)", ErrNoTun)
	}
	return fmt.Errorf("%w: open /dev/net/tun: %w", ErrNoTun, err)
}

func checkFreeName(name string) error {
	if len(name) >= unix.IFNAMSIZ {
		return fmt.Errorf("device name %q is longer than %d characters", name, unix.IFNAMSIZ-1)
	}
	_, err := netlink.LinkByName(name)
	if err == nil {
		return fmt.Errorf("%w: %s; choose another name or remove it (ip link del %s)", ErrNameTaken, name, name)
	}
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	return fmt.Errorf("look for a device %s: %w", name, err)
}
