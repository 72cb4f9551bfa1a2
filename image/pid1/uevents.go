package pid1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"landbridge/image/hardware"
)

// hotplug loads modules for hardware that appears later, until ctx is done.
func hotplug(ctx context.Context, m *hardware.Modules, log *slog.Logger) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return fmt.Errorf("listen for new hardware: %w", err)
	}
	news := os.NewFile(uintptr(fd), "uevents") // which can be closed while it is read
	defer context.AfterFunc(ctx, func() { _ = news.Close() })()
	defer news.Close()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return fmt.Errorf("listen for new hardware: %w", err)
	}
	buf := make([]byte, 16<<10)
	for ctx.Err() == nil {
		n, err := news.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil || n == 0 {
			continue // ENOBUFS: some were lost, and the next ones count
		}
		for field := range bytes.SplitSeq(buf[:n], []byte{0}) {
			if name, ok := strings.CutPrefix(string(field), "MODALIAS="); ok {
				if err := m.Load(name); err != nil {
					log.Warn("no driver for new hardware", "device", name, "err", err)
				}
			}
		}
	}
	return nil
}
