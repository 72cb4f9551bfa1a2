package hardware

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// How long disks are waited for, and how often it is looked for them.
const (
	slowestDisk = 10 * time.Second
	nextLook    = 50 * time.Millisecond
)

// Partition returns the device of the partition with this name in the GPT; sys is where sysfs is. Disks
// that are slow to appear are waited for, a while; before each look meanwhile is called, unless it is nil.
func Partition(ctx context.Context, sys, name string, meanwhile func()) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, slowestDisk)
	defer cancel()
	for {
		if meanwhile != nil {
			meanwhile()
		}
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
		case <-time.After(nextLook):
		}
	}
}
