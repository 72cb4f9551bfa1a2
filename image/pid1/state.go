package pid1

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/image/hardware"
)

// fsck is e2fsck, and what its exit codes say (e2fsck(8)).
const (
	fsck           = "/bin/e2fsck"
	fsckRepaired   = 2 // and below: there is nothing wrong any more
	fsckUnrepaired = 4 // a flag: it would have to be told to go on
)

// A disk may take its time, or be shaky just after the start.
const (
	mountAttempts = 4
	mountPause    = time.Second
)

// openState checks, mounts and grows the state partition. Where that can't be, the state is in
// memory; lost is then the device that has it, if there is one.
func openState(ctx context.Context, log *slog.Logger) (lost, warning string) {
	device, err := hardware.Partition(ctx, "/sys", "lb-state", nil)
	if err != nil {
		return "", inMemory(fmt.Sprintf("%v.", err), log)
	}
	p := statePartition{
		mount:     func() error { return mountState(device) },
		fsck:      func(how string) (int, error) { return runFsck(ctx, how, device) },
		formatted: func() (bool, error) { return isExt4(device) },
		format:    func() error { return makeState(device) },
		pause:     func() { pause(ctx, mountPause) },
		log:       log.With("device", device),
	}
	made, err := p.open()
	if err != nil {
		return device, inMemory(fmt.Sprintf("the state on the disk can't be mounted (%v). It is left as it is: restart to try again; if that doesn't help see to the disk, or give the state up by the factory reset (7 in the menu) and restore a backup.", err), log)
	}
	if made {
		warning = "The state partition was empty and has been made: this appliance has no groups and no leases. Restore a backup, or set it up again."
	}
	if err := grow(device); err != nil {
		log.Warn("the state partition wasn't grown to its disk", "device", device, "err", err)
	}
	return "", warning
}

// statePartition is what can be done with the state partition.
type statePartition struct {
	mount     func() error
	fsck      func(how string) (exit int, err error)
	formatted func() (bool, error)
	format    func() error
	pause     func()
	log       *slog.Logger
}

// open has the partition mounted. It never writes over a file system, in whatever state that is;
// made says that there was none, and now is.
func (p statePartition) open() (made bool, err error) {
	exit, err := p.fsck("-p")
	if err != nil {
		p.log.Error("the state partition has errors", "err", err)
	}
	if err = p.mountPatiently(); err == nil {
		return false, nil
	}
	p.log.Error("the state partition can't be mounted", "err", err)
	formatted, unread := p.formatted()
	if unread != nil {
		return false, errors.Join(err, unread)
	}
	// Without its superblock it may have the copies of that, by which e2fsck mends it.
	if exit > 0 && exit&fsckUnrepaired != 0 || !formatted {
		if _, failed := p.fsck("-y"); failed != nil {
			p.log.Error("the state partition wasn't repaired", "err", failed)
		}
		if err = p.mountPatiently(); err == nil {
			return false, nil
		}
		if formatted, unread = p.formatted(); unread != nil {
			return false, errors.Join(err, unread)
		}
	}
	if formatted {
		return false, err
	}
	if made := p.format(); made != nil {
		return false, errors.Join(err, made)
	}
	return true, p.mount()
}

func (p statePartition) mountPatiently() (err error) {
	for i := range mountAttempts {
		if i > 0 {
			p.pause()
		}
		if err = p.mount(); err == nil {
			return nil
		}
	}
	return err
}

func mountState(device string) error {
	return mount(device, stateDir, "ext4", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, "")
}

func inMemory(why string, log *slog.Logger) string {
	log.Error("the state is in memory", "err", why)
	if err := mount("tmpfs", stateDir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700,size=64m"); err != nil {
		log.Error("no state in memory either", "err", err)
	}
	return "State is kept in memory only and is gone with the next restart: " + why
}

// runFsck runs e2fsck: -p repairs what can be repaired without asking, -y all. One that was killed
// has the exit code -1.
func runFsck(ctx context.Context, how, device string) (exit int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, fsck, how, device).CombinedOutput()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		if exit = ended.ExitCode(); exit >= 0 && exit <= fsckRepaired {
			return exit, nil
		}
	}
	if err != nil {
		return exit, fmt.Errorf("%w: %.500s", err, bytes.TrimSpace(out))
	}
	return 0, nil
}

// isExt4 reports whether a device has an ext4 superblock: at 1024 bytes, with its magic number at 56.
func isExt4(device string) (bool, error) {
	f, err := os.Open(device)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var magic [2]byte
	if _, err := f.ReadAt(magic[:], 1024+56); err != nil {
		return false, err
	}
	return binary.LittleEndian.Uint16(magic[:]) == unix.EXT4_SUPER_MAGIC, nil
}
