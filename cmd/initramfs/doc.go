// Command initramfs is the first process of the image's initramfs: it mounts the slot that GRUB has
// started, and goes over to what is in it.
//
// The initramfs has this and drivers of disks alone. All else, the appliance's program of 33 MB among it, is
// read from the slot as it is needed, and the kernel forgets it again where memory is short: what is in an
// initramfs stays in memory.
//
//	kernel -> mounts -> drivers -> the slot's partition, mounted -> the initramfs is emptied -> /init of the slot
//
// Where that can't be, it says so, and ends: that is a kernel panic, after which the machine starts again, with
// the primary slot where this one was on trial.
package main
