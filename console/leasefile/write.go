package leasefile

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"landbridge/console/api"
)

// columns are those of an export; an import takes those of them that it needs, in any order.
func columns() []string {
	return []string{"address", "mac", "clientId", "name", "note", "state", "reserved", "member", "start", "end"}
}

// Write writes leases as CSV or JSON. It asks next for more until that has none.
func Write(out io.Writer, format Format, next func() ([]api.Lease, error)) error {
	write, end := writeJSON(out)
	if format == CSV {
		write, end = writeCSV(out)
	}
	for {
		leases, err := next()
		if err != nil {
			return err
		}
		if len(leases) == 0 {
			return end()
		}
		for i := range leases {
			if err := write(&leases[i]); err != nil {
				return err
			}
		}
	}
}

// Reservation returns what an import needs to reserve a lease's address as it is reserved now.
func Reservation(l api.Lease) api.Reservation {
	return api.Reservation{Address: l.Address.String(), MAC: l.MAC, ClientID: clientOf(&l), Name: l.Name, Note: l.Note}
}

// clientOf is the client identifier where an address is reserved for it, or not at all: what is
// reserved for the MAC is so whatever the identifier.
func clientOf(l *api.Lease) string {
	if l.Reserved && l.ReservedFor == api.ReservedForMAC {
		return ""
	}
	return l.ClientID
}

func writeCSV(out io.Writer) (write func(*api.Lease) error, end func() error) {
	w := csv.NewWriter(out)
	_ = w.Write(columns()) // Error tells
	moment := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	write = func(l *api.Lease) error {
		row := []string{
			l.Address.String(), l.MAC, clientOf(l), l.Name, l.Note, string(l.State), strconv.FormatBool(l.Reserved), l.MemberName,
			moment(l.Start), moment(l.End),
		}
		for i := range row {
			row[i] = harmless(row[i])
		}
		return w.Write(row)
	}
	return write, func() error { w.Flush(); return w.Error() }
}

func writeJSON(out io.Writer) (write func(*api.Lease) error, end func() error) {
	before := `{"items": [` + "\n"
	write = func(l *api.Lease) error {
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(out, before); err != nil {
			return err
		}
		before = ",\n"
		_, err = out.Write(text)
		return err
	}
	return write, func() error {
		if before != ",\n" { // nothing was written
			_, err := io.WriteString(out, before+"]}\n")
			return err
		}
		_, err := io.WriteString(out, "\n]}\n")
		return err
	}
}
