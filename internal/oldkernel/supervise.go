package oldkernel

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A watcher sees a system call before the kernel does, with the memory of the process that makes
// it. It answers it with an errno, or lets it go on.
type watcher func(pid int, args [6]uint64) unix.Errno

// notice is struct seccomp_notif, and answer struct seccomp_notif_resp (linux/seccomp.h).
type (
	notice struct {
		id    uint64
		pid   uint32
		flags uint32
		call  uint32
		arch  uint32
		ip    uint64
		args  [6]uint64
	}
	answer struct {
		id    uint64
		value int64
		errno int32
		flags uint32
	}
)

// supervise answers until nobody is left who has the filter.
func supervise(fd int, watchers map[uint32]watcher) {
	defer unix.Close(fd)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil || fds[0].Revents&unix.POLLIN == 0 {
			return
		}
		var n notice
		if request(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) != 0 {
			continue // whoever asked has gone
		}
		a := answer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if watch := watchers[n.call]; watch != nil {
			if errno := watch(int(n.pid), n.args); errno != 0 {
				a.errno, a.flags = -int32(errno), 0
			}
		}
		_ = request(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a))
	}
}

func request(fd int, what uintptr, data unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), what, uintptr(data))
	return errno
}

// flagsAt is where struct ifreq has a device's flags.
const flagsAt = unix.IFNAMSIZ

// clearVnetHeader has TUNSETIFF ask for no virtio header.
func clearVnetHeader(pid int, args [6]uint64) unix.Errno {
	var flags [2]byte
	if err := peek(pid, args[2]+flagsAt, flags[:]); err != nil {
		return unix.EFAULT
	}
	asked := binary.NativeEndian.Uint16(flags[:])
	binary.NativeEndian.PutUint16(flags[:], asked&^unix.IFF_VNET_HDR)
	if err := poke(pid, args[2]+flagsAt, flags[:]); err != nil {
		return unix.EFAULT
	}
	return 0
}

// struct mmsghdr, bytes.
const (
	mmsgSize      = 64
	mmsgControl   = 32
	mmsgControlen = 40
)

// failJoined has a first message with control data fail, and later ones too: their control
// data is made void, so that the kernel stops before them, and they come again as the first.
func failJoined(pid int, args [6]uint64) unix.Errno {
	headers := make([]byte, min(args[2], 1024)*mmsgSize)
	if err := peek(pid, args[1], headers); err != nil {
		return unix.EFAULT
	}
	for i := 0; i*mmsgSize < len(headers); i++ {
		h := headers[i*mmsgSize:][:mmsgSize]
		switch {
		case binary.NativeEndian.Uint64(h[mmsgControlen:]) == 0:
		case i == 0:
			return unix.EIO
		default:
			if err := poke(pid, binary.NativeEndian.Uint64(h[mmsgControl:]), make([]byte, 8)); err != nil {
				return unix.EFAULT
			}
			return 0
		}
	}
	return 0
}

func peek(pid int, at uint64, b []byte) error {
	_, err := unix.ProcessVMReadv(pid, vector(b), []unix.RemoteIovec{{Base: uintptr(at), Len: len(b)}}, 0)
	return err
}

func poke(pid int, at uint64, b []byte) error {
	_, err := unix.ProcessVMWritev(pid, vector(b), []unix.RemoteIovec{{Base: uintptr(at), Len: len(b)}}, 0)
	return err
}

func vector(b []byte) []unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return []unix.Iovec{v}
}
