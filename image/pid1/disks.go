package pid1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"landbridge/image/hardware"
)

// grubenv is GRUB's environment block.
const grubenv = systemDir + "/grub/grubenv"

func architecture() string { return runtime.GOARCH }

// disks is the disk of this machine.
type disks struct{}

// Environment opens GRUB's environment block.
func (disks) Environment() (part, error) { return openStorage(grubenv) }

// Slot opens a slot's partition.
func (disks) Slot(ctx context.Context, name string) (part, int64, error) {
	label := hardware.SlotPartition(name)
	if label == "" {
		return nil, 0, fmt.Errorf("there is no slot %q", name)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second) // the machine was started from it
	defer cancel()
	device, err := hardware.Partition(ctx, "/sys", label, nil)
	if err != nil {
		return nil, 0, err
	}
	s, err := openStorage(device)
	if err != nil {
		return nil, 0, err
	}
	size, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, errors.Join(err, s.Close())
	}
	return s, size, nil
}
