package pid1

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Where partitions are mounted, and what the image brings for them.
const (
	stateDir  = "/state"
	systemDir = "/boot"
	emptyFS   = "/lib/state.img" // the state partition as it was built
)

// makeState writes an empty file system.
func makeState(device string) error {
	f, err := os.Open(emptyFS)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := io.Copy(d, f); err != nil {
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
