package iface

import (
	"errors"
	"net/netip"
	"runtime"
	"testing"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func TestIPv6StaysOffWhereTheKernelsSettingsAreReadOnly(t *testing.T) {
	inNamespace(t)
	tap := openTAP(t)
	own, err := netns.Get()
	must(t, err)
	defer own.Close()
	var off, on error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: its mounts are those of a container
		const settings = "/proc/sys"
		err = errors.Join(netns.Set(own), unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount(settings, settings, "", unix.MS_BIND, ""), unix.Mount("", settings, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		off, on = AssignIPv6(tap, netip.Prefix{}), AssignIPv6(tap, netip.MustParsePrefix("fd00::1/64"))
	}()
	<-done
	must(t, err)
	if off != nil || !errors.Is(on, unix.EROFS) {
		t.Errorf("off: %v, on: %v", off, on)
	}
}
