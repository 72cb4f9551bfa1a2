package leasefile

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"landbridge/console/api"
)

// Format is what a file is written in.
type Format string

// Formats of files.
const (
	CSV     Format = "CSV"
	JSON    Format = "JSON"
	Kea     Format = "Kea"
	Dnsmasq Format = "dnsmasq"
)

// Row is a reservation, and the line on which it begins, from 1 on.
type Row struct {
	api.Reservation
	Line int
}

// Fault is a line that can't be read, and why.
type Fault struct {
	Line int
	Text string
}

// File is what a file has of reservations.
type File struct {
	Format Format
	Rows   []Row
	Faults []Fault // the first of them
	Passed int     // entries that are no reservations of an IPv4 address, and were passed over

	more bool // rows than maxRows
}

const (
	maxFaults  = 200    // lines that can't be read, and are told
	maxRows    = 50_000 // of a journal, say, which has an address many times
	maxColumns = 1000
)

// Read reads the reservations of a file. An error says that it is no file of reservations at
// all; what is wrong with single lines stands in Faults.
func Read(data []byte) (File, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return File{}, errors.New("it is no text in UTF-8: a spreadsheet must be saved as CSV")
	case len(bytes.TrimSpace(data)) == 0:
		return File{}, errors.New("it is empty: want a head line, as address,mac,name,note, or JSON")
	}
	f, err := read(string(data))
	if f.more {
		err = fmt.Errorf("it has more than %d rows: divide it", maxRows)
	}
	return f, err
}

func read(text string) (File, error) {
	switch first := firstLine(text); {
	case strings.HasPrefix(first, "{"), strings.HasPrefix(first, "/*"):
		return readJSON([]byte(text))
	case strings.Contains(text, "dhcp-host="), leaseLine().MatchString(first), hostLine().MatchString(first):
		return readDnsmasq(text), nil
	}
	return readCSV(text)
}

// Reservations returns the rows as the API takes them.
func (f File) Reservations() []api.Reservation {
	all := make([]api.Reservation, 0, len(f.Rows))
	for _, r := range f.Rows {
		all = append(all, r.Reservation)
	}
	return all
}

func (f *File) add(r Row) {
	if len(f.Rows) >= maxRows {
		f.more = true
		return
	}
	f.Rows = append(f.Rows, r)
}

func (f *File) fault(line int, text string) {
	if len(f.Faults) < maxFaults {
		f.Faults = append(f.Faults, Fault{line, text})
	}
}

// latest keeps of several rows with an address the last: lease files are journals.
func (f *File) latest() {
	last := make(map[string]int, len(f.Rows))
	for i, r := range f.Rows {
		last[r.Address] = i
	}
	kept := f.Rows[:0]
	for i, r := range f.Rows {
		if last[r.Address] == i {
			kept = append(kept, r)
		}
	}
	f.Rows = slices.Clip(kept)
}

// firstLine returns the first line that says something.
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "//") {
			return line
		}
	}
	return ""
}

func leaseLine() *regexp.Regexp {
	return regexp.MustCompile(`^(?:duid |\d+ [0-9A-Fa-f:-]+ \d+\.\d+\.\d+\.\d+ )`)
}

func hostLine() *regexp.Regexp {
	return regexp.MustCompile(`^(?:id:[^,]+|(?:[0-9A-Fa-f]{2}-)?[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}),`)
}

// label is the first label of a name: a reservation's name has no zone.
func label(name string) string {
	first, _, _ := strings.Cut(strings.TrimSuffix(name, "."), ".")
	return strings.ToLower(first)
}
