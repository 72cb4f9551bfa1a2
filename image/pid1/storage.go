package pid1

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// storage is a partition or a file, as package slots writes it.
type storage struct{ *os.File }

func openStorage(name string) (storage, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	return storage{f}, err
}

// Sync writes to the disk what is in memory of it, and forgets that: what is read then comes from the disk.
func (s storage) Sync() error {
	if err := s.File.Sync(); err != nil {
		return err
	}
	err := unix.IoctlSetInt(int(s.Fd()), unix.BLKFLSBUF, 0)
	if errors.Is(err, unix.ENOTTY) { // a file
		return unix.Fadvise(int(s.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	return err
}
