package pid1

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ending says how the machine is to go down.
type ending int

const (
	restart  ending = unix.LINUX_REBOOT_CMD_RESTART
	powerOff ending = unix.LINUX_REBOOT_CMD_POWER_OFF
)

// buttons tells when the power button is pressed, until ctx is done.
func buttons(ctx context.Context, pressed func()) {
	files, err := filepath.Glob("/dev/input/event*")
	if err != nil {
		return
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = f.Close() })
		go func() {
			defer stop()
			watchButton(f, pressed)
		}()
	}
}

// watchButton reads input events (struct input_event, linux/input.h) until there are no more.
func watchButton(r io.Reader, pressed func()) {
	const keyEvent, powerKey, down = 1, 116, 1
	event := make([]byte, 24)
	for {
		if _, err := io.ReadFull(r, event); err != nil {
			return
		}
		kind, code, value := binary.NativeEndian.Uint16(event[16:]), binary.NativeEndian.Uint16(event[18:]), binary.NativeEndian.Uint32(event[20:])
		if kind == keyEvent && code == powerKey && value == down {
			pressed()
		}
	}
}

// watchdog keeps the machine's watchdog from restarting it, until ctx is done. A PID 1 that
// hangs stops doing so, and so does one that is asked not to go on. A machine without one gets the
// kernel's own (softdog).
func watchdog(ctx context.Context, goOn func() bool, log *slog.Logger) {
	f, err := os.OpenFile("/dev/watchdog", os.O_WRONLY, 0)
	if err != nil {
		log.Warn("no watchdog: a machine that hangs stays so", "err", err)
		return
	}
	defer f.Close()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		if !goOn() {
			log.Error("the version on trial hangs: the watchdog restarts the machine with the one before")
		} else if _, err := f.Write([]byte{0}); err != nil {
			log.Warn("the watchdog doesn't answer", "err", err)
			return
		}
		select {
		case <-ctx.Done():
			_, _ = f.WriteString("V") // disarms it, where the driver allows that
			return
		case <-tick.C:
		}
	}
}

// goDown writes everything to the disks and ends the kernel. It doesn't return.
func goDown(how ending) {
	unix.Sync()
	for _, dir := range []string{stateDir, systemDir} {
		_ = unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	_ = unix.Reboot(int(how))
	select {}
}
