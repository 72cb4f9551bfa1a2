package slots

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// EnvironmentSize is the size of GRUB's environment block in bytes.
const EnvironmentSize = 1024

const sectorSize = 512

// Environment is what GRUB's environment block says.
type Environment struct {
	Primary string // A or B
	Trial   string // A, B or ""
	Starts  string // of the primary slot since it was well last, a 1 for each: GRUB can't count otherwise
}

// ErrEnvironment is returned for a block that isn't one.
var ErrEnvironment = errors.New("not a GRUB environment block of this appliance")

const blockHead = "# GRUB Environment Block\n"

// Parse reads an environment block.
func Parse(block []byte) (Environment, error) {
	if len(block) != EnvironmentSize || !bytes.HasPrefix(block, []byte(blockHead)) {
		return Environment{}, ErrEnvironment
	}
	var e Environment
	for line := range strings.SplitSeq(string(block), "\n") {
		switch name, value, _ := strings.Cut(line, "="); name {
		case "primary":
			e.Primary = value
		case "trial":
			e.Trial = value
		case "starts":
			e.Starts = value
		}
	}
	if !IsSlot(e.Primary) || e.Trial != "" && !IsSlot(e.Trial) || strings.Trim(e.Starts, "1") != "" {
		return Environment{}, ErrEnvironment
	}
	return e, nil
}

// IsSlot reports whether there is a slot of this name.
func IsSlot(s string) bool { return s == "A" || s == "B" }

// Other returns the slot that isn't this one; of none there is none.
func Other(slot string) string {
	switch slot {
	case "A":
		return "B"
	case "B":
		return "A"
	}
	return ""
}

// Block returns the environment block that says this.
func (e Environment) Block() []byte {
	b := fmt.Appendf(nil, blockHead+"primary=%s\ntrial=%s\nstarts=%s\n", e.Primary, e.Trial, e.Starts)
	return append(b, bytes.Repeat([]byte("#"), EnvironmentSize-len(b))...)
}

// Storage is a partition, or a file that stays where it is on its disk.
type Storage interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when all that was written is on the disk, from where it is read from then on.
	Sync() error
}

// Read reads the environment.
func Read(env Storage) (Environment, error) {
	block := make([]byte, EnvironmentSize)
	if _, err := env.ReadAt(block, 0); err != nil && !errors.Is(err, io.EOF) {
		return Environment{}, err
	}
	return Parse(block)
}

// Try has GRUB start a slot once; the one that runs is the primary. A slot of no name: none is tried.
func Try(env Storage, running, slot string) error {
	if !IsSlot(running) || slot != "" && slot != Other(running) {
		return fmt.Errorf("slot %q can't be tried while %q runs", slot, running)
	}
	return set(env, Environment{Primary: running, Trial: slot})
}

// Keep makes the slot that runs the primary one, whose starts are counted anew. A block that is damaged is made anew.
func Keep(env Storage, running string) (changed bool, err error) {
	now, err := Read(env)
	if err != nil && !errors.Is(err, ErrEnvironment) || !IsSlot(running) {
		return false, err
	}
	if err == nil && now.Primary == running {
		return false, CameUp(env, running)
	}
	return true, set(env, Environment{Primary: running})
}

// CameUp has GRUB count the starts of the slot that runs anew, if it is the primary one, as this one came to something.
func CameUp(env Storage, running string) error {
	now, err := Read(env)
	if err != nil || now.Primary != running || now.Starts == "" {
		return err
	}
	now.Starts = ""
	return set(env, now)
}

// set writes the environment, in place: GRUB knows its sectors by their place on the disk. It writes
// only what differs, which is the first sector unless the block was damaged.
func set(env Storage, e Environment) error {
	old, block := make([]byte, EnvironmentSize), e.Block()
	if _, err := env.ReadAt(old, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for at := EnvironmentSize - sectorSize; at >= 0; at -= sectorSize {
		if sector := block[at : at+sectorSize]; !bytes.Equal(sector, old[at:at+sectorSize]) {
			if _, err := env.WriteAt(sector, int64(at)); err != nil {
				return err
			}
			if err := env.Sync(); err != nil {
				return err
			}
		}
	}
	if got, err := Read(env); err != nil || got != e {
		return fmt.Errorf("GRUB's environment block isn't what was written: the disk is failing (%w)", errors.Join(err, ErrEnvironment))
	}
	return nil
}
