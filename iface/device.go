package iface

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/songgao/water"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The kernel takes IFF_VNET_HDR only from whoever attaches to a device that nobody
// holds (__tun_set_iff, drivers/net/tun.c), and water doesn't ask for it. So water
// makes the device, it is marked and made persistent, water's descriptor is closed, and we
// attach a second time. Then the device is made to go with our descriptor. What a
// process leaves that is killed in between has its marker; Recover removes it.

// makeDevice makes a persistent TAP that nobody holds, and returns its name.
func makeDevice(name, owner string) (string, error) {
	// water's descriptor isn't close-on-exec: a child started now would hold the device.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dev, err := newDevice(name)
	if err != nil {
		return "", explain("make the TAP "+name, err)
	}
	if err := leaveBehind(dev, owner); err != nil {
		return "", errors.Join(fmt.Errorf("make the TAP %s: %w", dev.Name(), err), dev.Close())
	}
	if err := dev.Close(); err != nil {
		return "", errors.Join(fmt.Errorf("make the TAP %s: %w", dev.Name(), err), removeDevice(dev.Name()))
	}
	return dev.Name(), nil
}

// newDevice has water make the TAP, on a stack that can't move meanwhile. Water gives the
// kernel the address of its request as a plain number; should the stack be copied on the way
// to the call, the kernel would write the device's name where the request has been. With more
// than a quarter of a stack in use the runtime doesn't shrink it, and what is left beside room
// is more than water needs.
//
//go:noinline
func newDevice(name string) (*water.Interface, error) {
	var room [32 << 10]byte
	defer func() { runtime.KeepAlive(&room) }()
	return water.New(water.Config{
		DeviceType:             water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{Name: name},
	})
}

// leaveBehind marks the device, and then has it stay without a holder.
func leaveBehind(dev *water.Interface, owner string) error {
	link, err := netlink.LinkByName(dev.Name())
	if err != nil {
		return err
	}
	if err := netlink.LinkSetAlias(link, marker{owner: owner}.String()); err != nil {
		return explain("mark it", err)
	}
	file, ok := dev.ReadWriteCloser.(*os.File)
	if !ok {
		return fmt.Errorf("unexpected kind of descriptor %T", dev.ReadWriteCloser)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) { refused = persist(int(fd), true) })
	return errors.Join(err, refused)
}

// attach takes hold of a persistent TAP, which from now on goes with the descriptor: it
// never blocks, and the runtime's poller doesn't know it, which would be woken by each
// frame (whoever reads the TAP waits by a loop). The form is the best that the kernel
// takes.
func attach(name string) (fd int, f form, err error) {
	fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, form{}, fmt.Errorf("attach to the TAP %s: %w", name, os.NewSyscallError("open", err))
	}
	if f, err = setForm(fd, name); err == nil {
		err = persist(fd, false)
	}
	if err != nil {
		return -1, form{}, errors.Join(fmt.Errorf("attach to the TAP %s: %w", name, err), unix.Close(fd))
	}
	return fd, f, nil
}

// setForm attaches a descriptor to the TAP and settles what the kernel leaves undone
// on frames.
func setForm(fd int, name string) (form, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return form{}, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR) // a kernel without the last ignores it
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return form{}, os.NewSyscallError("ioctl TUNSETIFF", err)
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, request); err != nil {
		return form{}, os.NewSyscallError("ioctl TUNGETIFF", err)
	}
	if request.Uint16()&unix.IFF_VNET_HDR == 0 {
		return form{}, nil
	}
	for _, f := range allForms() {
		if f.header && unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, f.offload) == nil {
			return f, nil
		}
	}
	return form{header: true}, nil // which is what a device begins with
}

func persist(fd int, on bool) error {
	value := 0
	if on {
		value = 1
	}
	return os.NewSyscallError("ioctl TUNSETPERSIST", unix.IoctlSetInt(fd, unix.TUNSETPERSIST, value))
}

// removeDevice removes a TAP that nobody holds.
func removeDevice(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("remove the TAP %s again: %w", name, err)
	}
	return nil
}
