package bundle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// SlotFile is the name of the file that goes into a slot.
const SlotFile = "slot"

// Bounds of what a manifest may say.
const (
	maxManifest = 64 << 10 // bytes
	maxFiles    = 8
	maxFile     = 256 << 20 // bytes
	maxVersion  = 128       // bytes
	maxChanges  = 16 << 10  // bytes
)

// Manifest says what a bundle is.
type Manifest struct {
	Version string    `json:"version"`
	Built   time.Time `json:"built"` // of its commit: the later of two is the newer
	Arch    string    `json:"arch"`  // as runtime.GOARCH has it
	Schemas Schemas   `json:"schemas"`
	Changes string    `json:"changes,omitempty"` // for people
	Files   []File    `json:"files"`
}

// Schemas are the state schemas (internal/store.Schema) that a version reads.
type Schemas struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// File is a file of a bundle.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	SHA256 Sum    `json:"sha256"`
}

// Sum is a SHA-256; in JSON, hexadecimal digits.
type Sum [32]byte

// MarshalText writes the sum as hexadecimal digits.
func (s Sum) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(s[:])), nil }

// UnmarshalText reads hexadecimal digits.
func (s *Sum) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(s) {
		return errors.New("want 64 hexadecimal digits")
	}
	copy(s[:], b)
	return nil
}

// Slot returns the file that goes into a slot.
func (m Manifest) Slot() File {
	for _, f := range m.Files {
		if f.Name == SlotFile {
			return f
		}
	}
	return File{}
}

// Size returns the bytes of all files.
func (m Manifest) Size() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// check says what of a manifest can't be.
func (m Manifest) check() error {
	switch {
	case m.Version == "" || len(m.Version) > maxVersion || !printable(m.Version):
		return errors.New("its version is empty, too long or not printable")
	case m.Built.IsZero():
		return errors.New("it doesn't say when it was built")
	case m.Arch == "" || len(m.Arch) > maxVersion || !printable(m.Arch):
		return errors.New("it doesn't say for which architecture it is")
	case m.Schemas.Min < 1 || m.Schemas.Max < m.Schemas.Min:
		return fmt.Errorf("its state schemas %d to %d are none", m.Schemas.Min, m.Schemas.Max)
	case len(m.Changes) > maxChanges || !utf8.ValidString(m.Changes):
		return errors.New("its changes are too long or no text")
	case len(m.Files) > maxFiles:
		return fmt.Errorf("it has %d files, more than %d", len(m.Files), maxFiles)
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		if seen[f.Name] || f.Name == "" || !printable(f.Name) {
			return fmt.Errorf("its file %q is there twice, or has no good name", f.Name)
		}
		if f.Size < 1 || f.Size > maxFile {
			return fmt.Errorf("its file %s has %d bytes: want 1 to %d", f.Name, f.Size, maxFile)
		}
		seen[f.Name] = true
	}
	if !seen[SlotFile] {
		return errors.New("it has nothing for a slot")
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// parse reads a manifest whose signature is good. Fields that it doesn't know it leaves: a later
// program may say more, and what must be understood has another number of the format.
func parse(text []byte) (m Manifest, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&m); err != nil {
		return Manifest{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Manifest{}, errors.New("there is something behind it")
	}
	return m, m.check()
}

// Running is what a bundle is held against: the version that runs.
type Running struct {
	Version string
	Built   time.Time
	Arch    string
	Schema  int // of the state that it keeps
}

// ErrUnfit is wrapped by what Fits returns.
var ErrUnfit = errors.New("it doesn't fit this appliance")

// Fits says why the bundle can't run where now runs.
func (m Manifest) Fits(now Running) error {
	switch {
	case m.Arch != now.Arch:
		return fmt.Errorf("%w: it is for %s, and this is %s", ErrUnfit, m.Arch, now.Arch)
	case now.Schema < m.Schemas.Min:
		return fmt.Errorf("%w: the state here (schema %d) is too old for version %s, which reads %d and later: update to a version between first", ErrUnfit, now.Schema, m.Version, m.Schemas.Min)
	case now.Schema > m.Schemas.Max:
		return fmt.Errorf("%w: version %s can't read the state here (schema %d): it reads %d and earlier", ErrUnfit, m.Version, now.Schema, m.Schemas.Max)
	}
	return nil
}

// Newer reports whether the bundle is of a later version than now: by numbers, as v1.2.3, where both
// have them and they differ, else by the times of their commits. What is the same isn't newer.
func (m Manifest) Newer(now Running) bool {
	theirs, ok := numbers(m.Version)
	ours, too := numbers(now.Version)
	if ok && too {
		for i := range theirs {
			if theirs[i] != ours[i] {
				return theirs[i] > ours[i]
			}
		}
	}
	return m.Built.After(now.Built)
}

// numbers reads a version as v1.2.3; what git adds to that behind a hyphen is left.
func numbers(version string) (n [3]uint64, ok bool) {
	release, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	parts := strings.Split(release, ".")
	if !strings.HasPrefix(version, "v") || len(parts) != len(n) {
		return n, false
	}
	for i, p := range parts {
		var err error
		if n[i], err = strconv.ParseUint(p, 10, 32); err != nil {
			return n, false
		}
	}
	return n, true
}
