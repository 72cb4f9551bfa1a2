package pid1

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
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
