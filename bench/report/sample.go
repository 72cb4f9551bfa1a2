package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Machine says where and when a run was.
type Machine struct {
	Started time.Time `json:"started"`
	CPU     string    `json:"cpu"`
	Cores   int       `json:"cores"`
	Memory  int64     `json:"memory"` // bytes
	Kernel  string    `json:"kernel"`
	Commit  string    `json:"commit"` // of this program's sources
	Quick   bool      `json:"quick"`
}

// Sample is one measure of one repetition.
type Sample struct {
	At         time.Time `json:"at"`
	Peer       string    `json:"peer"`
	Version    string    `json:"version,omitempty"`
	Profile    string    `json:"profile"`
	Repetition int       `json:"repetition"`      // from 1
	Measure    string    `json:"measure"`         // see Measures
	Value      float64   `json:"value"`           // in the measure's unit
	Bare       float64   `json:"bare,omitempty"`  // the same on the underlay, right after; 0: not measured
	Foreign    float64   `json:"foreign"`         // cores that others used meanwhile
	Error      string    `json:"error,omitempty"` // why there is no value
}

// line is one line of a file.
type line struct {
	Machine *Machine `json:"machine,omitempty"`
	Sample  *Sample  `json:"sample,omitempty"`
}

// Writer writes JSON lines.
type Writer struct{ out io.Writer }

// NewWriter begins a run.
func NewWriter(out io.Writer, m Machine) (Writer, error) {
	w := Writer{out}
	return w, w.write(line{Machine: &m})
}

// Write appends a sample.
func (w Writer) Write(s Sample) error { return w.write(line{Sample: &s}) }

func (w Writer) write(l line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.out.Write(append(text, '\n'))
	return err
}

// Data is what files of samples hold.
type Data struct {
	Machines []Machine // one for each run
	Samples  []Sample
}

// Read reads JSON lines.
func Read(in io.Reader) (Data, error) {
	var d Data
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return Data{}, fmt.Errorf("line %d: %w", n, err)
		}
		switch {
		case l.Machine != nil:
			d.Machines = append(d.Machines, *l.Machine)
		case l.Sample != nil:
			d.Samples = append(d.Samples, *l.Sample)
		default:
			return Data{}, fmt.Errorf("line %d: neither a machine nor a sample", n)
		}
	}
	if err := lines.Err(); err != nil {
		return Data{}, err
	}
	if len(d.Machines) == 0 {
		return Data{}, errors.New("no run: the file is empty")
	}
	return d, nil
}
