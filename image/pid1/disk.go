package pid1

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Where partitions are mounted, and what the image brings for them.
const (
	stateDir  = "/state"
	systemDir = "/boot"
	emptyFS   = "/lib/state.img.gz" // the state partition as it was built
	fsck      = "/bin/e2fsck"
)

// partition returns the device of the partition with this name in the GPT. Disks that are slow to
// appear are waited for, a while.
func partition(ctx context.Context, sys, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		files, err := filepath.Glob(filepath.Join(sys, "class/block/*/uevent"))
		if err != nil {
			return "", err
		}
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && strings.Contains("\n"+string(text), "\nPARTNAME="+name+"\n") {
				return "/dev/" + filepath.Base(filepath.Dir(f)), nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("there is no partition %s on any disk: is this the appliance's disk, and is its controller supported?", name)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// openState checks, mounts and grows the state partition. One that is beyond repair is made anew:
// the appliance then starts as if for the first time, and says so. Without any partition the
// state is in memory.
func openState(ctx context.Context, log *slog.Logger) (warning string) {
	device, err := partition(ctx, "/sys", "lb-state")
	if err != nil {
		return inMemory(err, log)
	}
	if err := check(ctx, device); err != nil {
		log.Error("the state partition has errors", "device", device, "err", err)
	}
	err = mountState(device)
	if err != nil {
		log.Error("the state partition can't be mounted", "device", device, "err", err)
		if made := makeState(device); made != nil {
			return inMemory(errors.Join(err, made), log)
		}
		if err := mountState(device); err != nil {
			return inMemory(err, log)
		}
		warning = "The state partition was beyond repair and has been made anew: this appliance has no groups and no leases. Restore a backup, or set it up again."
	}
	if err := grow(device); err != nil {
		log.Warn("the state partition wasn't grown to its disk", "device", device, "err", err)
	}
	return warning
}

func mountState(device string) error {
	return mount(device, stateDir, "ext4", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, "")
}

func inMemory(why error, log *slog.Logger) string {
	log.Error("no state partition", "err", why)
	if err := mount("tmpfs", stateDir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700,size=64m"); err != nil {
		log.Error("no state in memory either", "err", err)
	}
	return fmt.Sprintf("State is kept in memory only and is gone with the next restart: %v.", why)
}

// check repairs what can be repaired without asking (e2fsck(8), -p). Exit codes 1 and 2: repaired.
func check(ctx context.Context, device string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, fsck, "-p", device).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() <= 2 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %.500s", err, bytes.TrimSpace(out))
	}
	return nil
}

// makeState writes an empty file system.
func makeState(device string) error {
	f, err := os.Open(emptyFS)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	d, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := io.Copy(d, z); err != nil {
		return fmt.Errorf("make the state partition anew: %w", err)
	}
	return d.Sync()
}

// grow grows the last partition to the end of its disk, and the mounted file system to its
// partition, online.
func grow(device string) error {
	if err := growPartition(filepath.Base(device)); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join("/sys/class/block", filepath.Base(device), "size"))
	if err != nil {
		return err
	}
	var sectors uint64
	if _, err := fmt.Sscan(string(text), &sectors); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(stateDir, &st); err != nil {
		return err
	}
	d, err := os.Open(stateDir)
	if err != nil {
		return err
	}
	defer d.Close()
	var blocks [8]byte
	binary.NativeEndian.PutUint64(blocks[:], sectors*512/uint64(st.Bsize))
	return resizeExt4(d, &blocks)
}
