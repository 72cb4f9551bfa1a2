// Package image builds the bootable appliance: a disk image of a Debian kernel and a
// root file system in which nothing runs but Landbridge and a PID 1 in Go (package image/pid1).
//
// It is for turning one commit and a list of pinned Debian packages into one disk, the same
// bytes each time. It is not for what happens on the booted appliance.
//
//	Build       makes everything below a directory
//	Package     a Debian package that goes into the image, pinned by version and hash
//	modules     which kernel modules go in, and what they need
//	tree        files, for a slot or as a cpio archive for the initramfs (cmd/initramfs and drivers of disks)
//	disk        partitions, file systems and boot loader
//	update      the slot as a signed bundle (package image/bundle)
//
// # The disk
//
// GPT; sizes in MiB. It boots by BIOS and by UEFI.
//
//	1  biosboot    1   GRUB's core image, found by the MBR
//	2  esp        16   FAT16: EFI/BOOT/BOOTX64.EFI, grub/grub.cfg, grub/grubenv
//	3  slot-a     64   squashfs: vmlinuz, initrd, and the root file system
//	4  slot-b     64   likewise; the one of the two that isn't running takes updates
//	5  state      80   ext4: what the appliance keeps; grown to the disk at each start
//
// # Which slot
//
// grubenv holds primary (A or B), trial (A, B or nothing) and starts (a 1 for each start of the
// primary that hasn't come to a well appliance). GRUB starts trial where there is one, and clears it
// before it does; PID 1 makes the running slot primary once the appliance is well, and clears starts.
// A trial that panics, hangs (a watchdog resets) or isn't well is followed by the primary; three
// starts of the primary that came to nothing are followed by a trial of the other.
// Packages image/slots and image/pid1 have the order of what is written, and what well means.
//
// # The same bytes
//
// Every time stamp is the commit's, every identifier fixed, every list sorted; the tools are
// Debian's. What is in the image is listed in its SPDX document.
package image
