package oldkernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Lack is something that the kernel is to be without.
type Lack struct{ rules []rule }

// rule is a system call that fails, or goes to the supervisor.
type rule struct {
	call  uint32
	tests []test
	errno unix.Errno
	watch watcher // nil: errno is the answer
}

// test looks at the low half of an argument. It holds if all are as they should be: equal
// to value, or with any for at least one of its bits.
type test struct {
	arg   int
	value uint32
	any   bool
}

// UDPSegment lacks UDP_SEGMENT, which Linux has since 4.18.
func UDPSegment() Lack { return noOption(unix.SOL_UDP, unix.UDP_SEGMENT, unix.ENOPROTOOPT) }

// UDPGRO lacks UDP_GRO, which Linux has since 5.0.
func UDPGRO() Lack { return noOption(unix.SOL_UDP, unix.UDP_GRO, unix.ENOPROTOOPT) }

// DualStack has IPV6_V6ONLY refused, as by a security policy.
func DualStack() Lack { return noOption(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, unix.EPERM) }

// TAPOffload has TUNSETOFFLOAD refuse what has any of these flags (TUN_F_…). Zero
// refuses it wholly.
func TAPOffload(flags uint32) Lack {
	r := rule{call: unix.SYS_IOCTL, tests: []test{{arg: 1, value: unix.TUNSETOFFLOAD}}, errno: unix.EINVAL}
	if flags != 0 {
		r.tests = append(r.tests, test{arg: 2, value: flags, any: true})
	}
	return Lack{[]rule{r}}
}

// TAPHeader lacks IFF_VNET_HDR, of which such a kernel says nothing: the flag isn't set.
func TAPHeader() Lack {
	return Lack{[]rule{{call: unix.SYS_IOCTL, tests: []test{{arg: 1, value: unix.TUNSETIFF}}, watch: clearVnetHeader}}}
}

// JoinedSends has sendmmsg(2) with UDP_SEGMENT fail with EIO, as Linux before 6.11 does for a
// device that computes no checksums.
func JoinedSends() Lack {
	return Lack{[]rule{{call: unix.SYS_SENDMMSG, watch: failJoined}}}
}

func noOption(level, name uint32, errno unix.Errno) Lack {
	tests := []test{{arg: 1, value: level}, {arg: 2, value: name}}
	return Lack{[]rule{
		{call: unix.SYS_SETSOCKOPT, tests: tests, errno: errno},
		{call: unix.SYS_GETSOCKOPT, tests: tests, errno: errno},
	}}
}

// ErrUnsupported says that this machine has no filters as they are needed here.
var ErrUnsupported = errors.New("oldkernel: needs x86-64 or arm64")

// Enter has the calling thread, and what it starts from now on, be without some things. The
// goroutine must be locked to the thread, and may not be unlocked: a filter can't be
// taken off.
func Enter(lacks ...Lack) error {
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return ErrUnsupported
	}
	var rules []rule
	for _, l := range lacks {
		rules = append(rules, l.rules...)
	}
	filter, watchers := assemble(arch, rules)
	flags := uintptr(0)
	if len(watchers) > 0 {
		flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return fmt.Errorf("oldkernel: %w", os.NewSyscallError("seccomp", errno))
	}
	if len(watchers) > 0 {
		unix.CloseOnExec(int(fd))
		go supervise(int(fd), watchers)
	}
	return nil
}

// Where struct seccomp_data has what a filter looks at.
const (
	dataCall = 0
	dataArch = 4
	dataArgs = 16 // each of 8 bytes; little-endian: the low half first
)

// assemble writes the filter: each rule a block, behind them all "allow".
func assemble(arch uint32, rules []rule) (filter []unix.SockFilter, watchers map[uint32]watcher) {
	load := func(at int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(at)}
	}
	ret := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	filter = []unix.SockFilter{
		load(dataArch),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: arch, Jt: 1},
		ret(unix.SECCOMP_RET_ALLOW),
	}
	watchers = make(map[uint32]watcher)
	for _, r := range rules {
		action := unix.SECCOMP_RET_ERRNO | uint32(r.errno)
		if r.watch != nil {
			action, watchers[r.call] = unix.SECCOMP_RET_USER_NOTIF, r.watch
		}
		tests := len(r.tests)
		filter = append(filter, load(dataCall), unix.SockFilter{
			Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: r.call, Jf: uint8(2*tests + 1),
		})
		for i, t := range r.tests {
			jump := uint16(unix.BPF_JEQ)
			if t.any {
				jump = unix.BPF_JSET
			}
			filter = append(filter, load(dataArgs+8*t.arg), unix.SockFilter{
				Code: unix.BPF_JMP | jump | unix.BPF_K, K: t.value, Jf: uint8(2*(tests-i-1) + 1),
			})
		}
		filter = append(filter, ret(action))
	}
	return append(filter, ret(unix.SECCOMP_RET_ALLOW)), watchers
}
