package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/image/hardware"
)

// slotDir is where the slot is mounted, until it is the root.
const slotDir = "/slot"

// readable is how long what is wrong stands on the screen, before the machine starts again.
const readable = 10 * time.Second

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "initramfs: this is the first process of the initramfs of the appliance's image, and nothing else")
		os.Exit(2)
	}
	err := mountKernel()
	if err == nil {
		err = mountSlot()
	}
	if err == nil {
		err = enter()
	}
	say(fmt.Sprintf("The appliance can't be started: %v. The machine restarts.", err))
	<-time.After(readable)
	os.Exit(1)
}

// say shows a text on the screen and the serial line, as the kernel shows its errors.
func say(text string) {
	fmt.Fprintln(os.Stderr, text) // where there is no /dev yet
	if f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		fmt.Fprintf(f, "<3>landbridge: %s\n", text) // 3 is LOG_ERR
		_ = f.Close()
	}
}

// kernelMounts are where it is told of hardware.
func kernelMounts() map[string]string {
	return map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs"}
}

func mountKernel() error {
	for at, kind := range kernelMounts() {
		if err := unix.Mount(kind, at, kind, unix.MS_NOSUID, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s on %s: %w", kind, at, err)
		}
	}
	return nil
}

// mountSlot mounts the slot that the kernel is from.
func mountSlot() error {
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	name := hardware.Parameter(string(cmdline), "slot")
	label := hardware.SlotPartition(name)
	if label == "" {
		return fmt.Errorf("the boot loader names the slot %q, and there are A and B", name)
	}
	modules, err := hardware.OpenModules(hardware.ModulesDir)
	if err != nil {
		return err
	}
	var drivers error
	device, err := hardware.Partition(context.Background(), "/sys", label, func() {
		drivers = modules.LoadAll("/sys/devices") // a controller's devices may ask for more
	})
	if err != nil {
		return errors.Join(err, drivers)
	}
	// A disk or CD that takes its time finds its driver when this is long gone.
	if err := errors.Join(modules.Load("sd_mod"), modules.Load("sr_mod"), modules.Load("squashfs")); err != nil {
		return err
	}
	if err := unix.Mount(device, slotDir, "squashfs", unix.MS_RDONLY|unix.MS_NODEV, ""); err != nil {
		return fmt.Errorf("mount slot %s (%s): %w", name, device, err)
	}
	return nil
}

// enter makes the slot the root, empties the initramfs, and runs the slot's /init in the place of this process.
func enter() error {
	for at := range kernelMounts() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", at, err)
		}
	}
	if err := empty(); err != nil {
		return err
	}
	if err := unix.Chdir(slotDir); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil { // pivot_root(2) doesn't take an initramfs
		return fmt.Errorf("make the slot the root: %w", err)
	}
	if err := errors.Join(unix.Chroot("."), unix.Chdir("/")); err != nil {
		return fmt.Errorf("make the slot the root: %w", err)
	}
	return fmt.Errorf("run /init of the slot: %w", unix.Exec("/init", []string{"/init"}, os.Environ()))
}

// empty gives the initramfs's memory back: all files but the slot. Elsewhere it removes nothing.
func empty() error {
	var st unix.Statfs_t
	if err := unix.Statfs("/", &st); err != nil {
		return err
	}
	if st.Type != unix.RAMFS_MAGIC && st.Type != unix.TMPFS_MAGIC {
		return errors.New("the root is no initramfs")
	}
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := "/" + e.Name(); name != slotDir {
			if err := os.RemoveAll(name); err != nil {
				return fmt.Errorf("empty the initramfs: %w", err)
			}
		}
	}
	return nil
}
