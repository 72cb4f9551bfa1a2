package iface

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"

	"github.com/songgao/water"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/loop"
)

// DefaultTAPName lets the kernel choose the first free name of lb0, lb1, …
const DefaultTAPName = "lb%d"

// TAPOptions says what the TAP is to be like.
type TAPOptions struct {
	MAC   net.HardwareAddr // of the host's side of the device; nil: the kernel's choice. Never the gateway MAC
	MTU   int              // bytes of IP packet, 68 to 65521; 0: 1500. CreateBridge sets it to the LAN port's
	Owner string           // for the marker: names the state directory; required, no spaces
	Log   *slog.Logger     // nil: discard
}

// TAP is an Ethernet device whose other end this process holds. It exists as long
// as it is open. All methods are safe for concurrent use.
type TAP struct {
	name  string
	index int
	mac   net.HardwareAddr
	file  *loop.File
}

// OpenTAP makes a TAP and sets it up; name is its name, "" for [DefaultTAPName].
// It fails with a *CapabilityError, ErrNoTun or ErrNameTaken (wrapped) before
// anything is changed. IPv6 is off on the device: the kernel sends nothing by itself.
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
	dev, err := water.New(water.Config{
		DeviceType:             water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{Name: name},
	})
	if err != nil {
		return nil, explain("make the TAP "+name, err)
	}
	t, err := newTAP(dev)
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	if err := t.setUp(opts); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// newTAP takes water's descriptor out of the hands of the runtime's poller, which would
// be woken by each frame: whoever reads the TAP waits by a [loop.Loop].
func newTAP(dev *water.Interface) (*TAP, error) {
	file, ok := dev.ReadWriteCloser.(*os.File)
	if !ok {
		return nil, fmt.Errorf("TAP %s: unexpected kind of descriptor %T", dev.Name(), dev.ReadWriteCloser)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("TAP %s: %w", dev.Name(), err)
	}
	fd := -1
	// A child process that inherited the descriptor would keep the device alive.
	if err := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, fmt.Errorf("TAP %s: %w", dev.Name(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("TAP %s: %w", dev.Name(), os.NewSyscallError("fcntl", err))
	}
	if err := dev.Close(); err != nil {
		return nil, errors.Join(fmt.Errorf("TAP %s: %w", dev.Name(), err), unix.Close(fd))
	}
	return &TAP{name: dev.Name(), file: loop.NewFile(fd)}, nil
}

func (t *TAP) setUp(opts TAPOptions) error {
	link, err := netlink.LinkByName(t.name)
	if err != nil {
		return fmt.Errorf("TAP %s: %w", t.name, err)
	}
	t.index = link.Attrs().Index
	if err := netlink.LinkSetAlias(link, marker{owner: opts.Owner}.String()); err != nil {
		return explain("mark the TAP "+t.name, err)
	}
	if opts.MAC != nil {
		if err := netlink.LinkSetHardwareAddr(link, opts.MAC); err != nil {
			return explain(fmt.Sprintf("give the TAP %s the MAC %v", t.name, opts.MAC), err)
		}
	}
	if opts.MTU != 0 {
		if err := netlink.LinkSetMTU(link, opts.MTU); err != nil {
			return explain(fmt.Sprintf("give the TAP %s an MTU of %d", t.name, opts.MTU), err)
		}
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
