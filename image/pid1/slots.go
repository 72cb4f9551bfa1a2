package pid1

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
)

// EnvironmentSize is the size of GRUB's environment block in bytes.
const EnvironmentSize = 1024

// Slots is what GRUB's environment block says.
type Slots struct {
	Primary string // A or B
	Trial   string // A, B or ""
}

// errEnvironment is returned for a block that isn't one.
var errEnvironment = errors.New("not a GRUB environment block of this appliance")

// readSlots reads an environment block.
func readSlots(block []byte) (Slots, error) {
	if len(block) != EnvironmentSize || !bytes.HasPrefix(block, []byte("# GRUB Environment Block\n")) {
		return Slots{}, errEnvironment
	}
	var s Slots
	for line := range strings.SplitSeq(string(block), "\n") {
		switch name, value, _ := strings.Cut(line, "="); name {
		case "primary":
			s.Primary = value
		case "trial":
			s.Trial = value
		}
	}
	if !isSlot(s.Primary) || s.Trial != "" && !isSlot(s.Trial) {
		return Slots{}, errEnvironment
	}
	return s, nil
}

func isSlot(s string) bool { return s == "A" || s == "B" }

// block returns the environment block that says this.
func (s Slots) block() []byte {
	b := fmt.Appendf(nil, "# GRUB Environment Block\nprimary=%s\ntrial=%s\n", s.Primary, s.Trial)
	return append(b, bytes.Repeat([]byte("#"), EnvironmentSize-len(b))...)
}

// keep makes the running slot the primary one in the block of this file. The file is written in
// place: its 1,024 bytes are two sectors that GRUB knows by their place on the disk.
func keep(file, running string) (changed bool, err error) {
	old, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	s, err := readSlots(old)
	if err != nil || s.Primary == running || !isSlot(running) {
		return false, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := f.WriteAt(Slots{Primary: running}.block(), 0); err != nil {
		return false, err
	}
	return true, f.Sync()
}
