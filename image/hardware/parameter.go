package hardware

import "strings"

// Parameter returns a parameter of the kernel's command line, or nothing.
func Parameter(cmdline, name string) string {
	for word := range strings.FieldsSeq(cmdline) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	return ""
}

// SlotPartition returns the name of the partition of a slot (A or B), or nothing where there is no such slot.
func SlotPartition(slot string) string {
	switch slot {
	case "A":
		return "lb-slot-a"
	case "B":
		return "lb-slot-b"
	}
	return ""
}
