package leasefile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"landbridge/console/api"
)

// aliases are what columns are called elsewhere.
func aliases() map[string]string {
	return map[string]string{
		"ip": "address", "ip-address": "address", "ip_address": "address", "ipaddress": "address", "ip address": "address",
		"hwaddr": "mac", "hw-address": "mac", "mac-address": "mac", "mac_address": "mac", "mac address": "mac",
		"client_id": "clientid", "client-id": "clientid", "client id": "clientid",
		"hostname": "name", "host": "name", "comment": "note", "description": "note",
	}
}

func readCSV(text string) (File, error) {
	f := File{Format: CSV}
	comma := separator(firstLine(text))
	for line := range strings.Lines(text) {
		if strings.Count(line, string(comma)) >= maxColumns {
			return f, fmt.Errorf("it has a line of more than %d columns", maxColumns)
		}
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace = comma, -1, true
	head, err := r.Read()
	if err != nil {
		return f, fmt.Errorf("its head line can't be read: %w", bare(err))
	}
	column := make(map[string]int)
	for i, title := range head {
		title = strings.ToLower(strings.TrimSpace(title))
		if ours := aliases()[title]; ours != "" {
			title = ours
		}
		column[title] = i + 1
	}
	if column["address"] == 0 {
		return f, errors.New("its first line has no column address: want a head line, as address,mac,name,note")
	}
	keas := column["valid_lifetime"] > 0
	for {
		record, err := r.Read()
		switch wrong := new(csv.ParseError); {
		case errors.Is(err, io.EOF), f.more:
			if keas {
				f.latest()
			}
			return f, nil
		case errors.As(err, &wrong):
			f.fault(wrong.Line, "it can't be read: "+wrong.Err.Error())
			continue
		case err != nil:
			return f, err
		case strings.TrimSpace(strings.Join(record, "")) == "":
			continue
		}
		line, _ := r.FieldPos(0)
		if len(record) != len(head) {
			f.fault(line, fmt.Sprintf("it has %d of %d columns: the head line says which", len(record), len(head)))
			continue
		}
		f.takeRow(line, column, keas, record)
	}
}

// takeRow takes a row whose columns are known.
func (f *File) takeRow(line int, column map[string]int, keas bool, record []string) {
	cell := func(title string) string {
		if i := column[title]; i > 0 {
			return meant(strings.TrimSpace(record[i-1]))
		}
		return ""
	}
	if strings.EqualFold(cell("reserved"), "false") || keas && cell("state") != "0" {
		f.Passed++
		return
	}
	row := Row{Line: line, Reservation: api.Reservation{
		Address: cell("address"), MAC: cell("mac"), ClientID: cell("clientid"), Name: cell("name"), Note: cell("note"),
	}}
	if keas { // its names have a zone, and the identifier is of the same client
		row.Name = label(row.Name)
		if row.MAC != "" {
			row.ClientID = ""
		}
	}
	f.add(row)
}

// separator is what parts the columns: spreadsheets have their country's.
func separator(head string) rune {
	best := ','
	for _, r := range ";\t" {
		if strings.Count(head, string(r)) > strings.Count(head, string(best)) {
			best = r
		}
	}
	return best
}

// bare is a CSV error without its place.
func bare(err error) error {
	if wrong := new(csv.ParseError); errors.As(err, &wrong) {
		return wrong.Err
	}
	return err
}

// formulas are what spreadsheets take for the beginning of a formula (OWASP, CSV injection).
const formulas = "=+-@\t\r"

// harmless keeps a spreadsheet from taking a text for a formula.
func harmless(s string) string {
	if s != "" && (strings.IndexByte(formulas, s[0]) >= 0 || s[0] == '\'' && meant(s) != s) {
		return "'" + s
	}
	return s
}

// meant is what harmless was given.
func meant(s string) string {
	if rest, quoted := strings.CutPrefix(s, "'"); quoted && rest != "" && strings.IndexByte(formulas+"'", rest[0]) >= 0 {
		return rest
	}
	return s
}
