package pid1

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mountKernel mounts what the kernel offers.
func mountKernel() error {
	const plain = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	var all []error
	for _, m := range []struct {
		kind, at, data string
		flags          uintptr
	}{
		{"proc", "/proc", "", plain},
		{"sysfs", "/sys", "", plain},
		{"devtmpfs", "/dev", "", unix.MS_NOSUID},
		{"devpts", "/dev/pts", "", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"tmpfs", "/run", "mode=755,size=32m", plain},
		{"tmpfs", "/tmp", "mode=1777,size=32m", plain},
	} {
		if err := mount(m.kind, m.at, m.kind, m.flags, m.data); !errors.Is(err, unix.EBUSY) { // the kernel may have mounted it itself
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

func mount(source, at, kind string, flags uintptr, data string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, at, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s (%s) on %s: %w", source, kind, at, err)
	}
	return nil
}
