package leasefile

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"landbridge/console/api"
)

// host is an entry of a JSON file: a reservation or lease of ours, or a reservation of Kea's.
type host struct {
	api.Reservation
	Reserved    *bool  `json:"reserved"` // of a lease: left out where it isn't
	ReservedFor string `json:"reservedFor"`
	State       string `json:"state"` // of a lease

	KeaMAC    string `json:"hw-address"`
	KeaClient string `json:"client-id"`
	KeaIP     string `json:"ip-address"`
	KeaName   string `json:"hostname"`
}

// readJSON reads our own lists and Kea's configurations.
func readJSON(data []byte) (File, error) {
	w := walker{file: File{Format: JSON}, data: withoutComments(data)}
	w.d = json.NewDecoder(bytes.NewReader(w.data))
	err := w.value("", 0)
	if wrong := new(json.SyntaxError); errors.As(err, &wrong) {
		return w.file, fmt.Errorf("it is no JSON from line %d on: %w", w.line(wrong.Offset), err)
	}
	if err != nil {
		return w.file, fmt.Errorf("it is no JSON from line %d on: %w", w.line(w.d.InputOffset()), err)
	}
	if !w.found {
		return w.file, errors.New(`it has neither "items" nor "reservations" with a list of hosts`)
	}
	return w.file, nil
}

// walker goes through a JSON text, and takes what is in the lists of hosts.
type walker struct {
	d     *json.Decoder
	data  []byte
	file  File
	found bool // a list of hosts

	counted int   // newlines before at
	at      int64 // up to where they are counted
}

// maxDepth is how deep a configuration may be nested.
const maxDepth = 32

// value goes through the value of a key.
func (w *walker) value(key string, depth int) error {
	if depth > maxDepth {
		return errors.New("it is nested too deep")
	}
	t, err := w.d.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		for w.d.More() {
			k, err := w.d.Token()
			if err != nil {
				return err
			}
			if err := w.value(fmt.Sprint(k), depth+1); err != nil {
				return err
			}
		}
	case json.Delim('['):
		ours := key == "items" && depth == 1
		if ours || key == "reservations" {
			w.found = true
			if !ours {
				w.file.Format = Kea
			}
			return w.hosts()
		}
		for w.d.More() {
			if err := w.value("", depth+1); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = w.d.Token() // the end of it
	return err
}

// hosts takes the entries of a list.
func (w *walker) hosts() error {
	for w.d.More() && !w.file.more {
		line := w.line(w.begin())
		var h host
		var kind *json.UnmarshalTypeError
		if err := w.d.Decode(&h); errors.As(err, &kind) {
			w.file.fault(line, fmt.Sprintf("%s is a %s where a %s is wanted", strings.TrimPrefix(kind.Field, "Reservation."), kind.Value, kind.Type))
			continue
		} else if err != nil {
			return err
		}
		w.take(line, h)
	}
	_, err := w.d.Token()
	return err
}

// take makes a row of an entry.
func (w *walker) take(line int, h host) {
	if w.file.Format == Kea {
		h.Reservation = api.Reservation{Address: h.KeaIP, MAC: h.KeaMAC, Name: label(h.KeaName)}
		if h.MAC == "" {
			h.ClientID = keaBytes(h.KeaClient)
		}
		switch {
		case h.Address == "":
			w.file.Passed++
			return
		case h.MAC == "" && h.ClientID == "":
			w.file.fault(line, h.Address+" is reserved by neither hw-address nor client-id: other identifiers can't be taken over")
			return
		}
	} else if reserved := h.Reserved != nil && *h.Reserved; !reserved && (h.Reserved != nil || h.State != "") {
		w.file.Passed++
		return
	}
	if h.ReservedFor == string(api.ReservedForMAC) {
		h.ClientID = ""
	}
	w.file.add(Row{h.Reservation, line})
}

// keaBytes returns a client identifier of Kea's in hexadecimal digits: it is written so, or as
// a text between single quotes.
func keaBytes(s string) string {
	if len(s) > 1 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return hex.EncodeToString([]byte(s[1 : len(s)-1]))
	}
	return strings.TrimPrefix(strings.ReplaceAll(s, ":", ""), "0x")
}

// begin returns where the next value begins.
func (w *walker) begin() int64 {
	at := w.d.InputOffset()
	for at < int64(len(w.data)) && strings.IndexByte(" \t\r\n,:", w.data[at]) >= 0 {
		at++
	}
	return at
}

// line returns the line of an offset, which doesn't go back far.
func (w *walker) line(at int64) int {
	at = min(at, int64(len(w.data)))
	if at < w.at {
		w.counted, w.at = 0, 0
	}
	w.counted += bytes.Count(w.data[w.at:at], []byte("\n"))
	w.at = at
	return w.counted + 1
}

// withoutComments puts spaces where comments are, as Kea's configuration may have them
// (#, //, /* */), so that every line keeps its number.
func withoutComments(data []byte) []byte {
	out := bytes.Clone(data)
	blank := func(from, to int) {
		for i := from; i < to; i++ {
			if out[i] != '\n' {
				out[i] = ' '
			}
		}
	}
	end := func(from int, mark string) int {
		if n := bytes.Index(out[from:], []byte(mark)); n >= 0 {
			return from + n
		}
		return len(out)
	}
	for i := 0; i < len(out); i++ {
		switch {
		case out[i] == '"':
			for i++; i < len(out) && out[i] != '"'; i++ {
				if out[i] == '\\' {
					i++
				}
			}
		case out[i] == '#', bytes.HasPrefix(out[i:], []byte("//")):
			to := end(i, "\n")
			blank(i, to)
			i = to
		case bytes.HasPrefix(out[i:], []byte("/*")):
			to := min(end(i+2, "*/")+2, len(out))
			blank(i, to)
			i = to - 1
		}
	}
	return out
}
