// Package slots is the two slots of the image's disk: how one is written while the other runs, tried
// once, and kept.
//
// It is for the order of what is written to the disk, which must be bootable after each single write.
// It is not for where the partitions are, nor for whether a version is well: that is package pid1's.
//
//	Environment  GRUB's environment block: which slot is primary, which is tried next
//	Storage      a partition, or the file with the environment block
//	Install      writes a bundle's slot file into the slot that doesn't run
//	Try, Keep    have GRUB start a slot once, and from now on
//	CameUp       has GRUB know that a start came to something
//
// # What is written, in this order
//
//	environment  no trial                      so that GRUB never starts what is being written
//	slot         its first sector: zeros       nobody takes it for a file system now
//	slot         all but the first sector      then read back from the disk, and compared
//	slot         its first sector              then read back; the slot is whole
//	environment  trial                         one start of the new slot, which GRUB forgets before it does it
//	environment  primary                       by the new slot itself, when it is well
//
// Each start of the primary slot adds a 1 to starts, by GRUB, and the appliance that is well takes them
// away: at the fourth start without that GRUB tries the other slot.
//
// A disk writes a sector whole or not at all. The environment block has 1,024 bytes, of which only the
// first sector ever changes, and so it is the old one or the new one. GRUB writes it likewise.
package slots
