// Package scratch makes the large buffers that packets pass through, and gives their memory back while none do.
//
// A buffer of Go's heap that was made of memory used before is written with zeros as it is made, and resident as a whole
// from then on; one that a burst has filled stays resident for ever. Buffers that are sized for the largest packets
// made up 2 MB of an idle appliance that way (docs/decisions/0006-memory.md).
//
//	Make      a buffer that is resident only where it was written
//	GiveBack  the pages of a buffer whose content nobody needs: they hold zeros, and are resident again when they are written
//
// It is for Linux, and for buffers that hold no pointers.
package scratch
