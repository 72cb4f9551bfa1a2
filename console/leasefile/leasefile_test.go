package leasefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/race"
)

// of makes rows of a text with a line for each: its number, address, MAC, client identifier, name, note.
func of(text string) (rows []Row) {
	for line := range strings.Lines(text) {
		w := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		r := Row{Reservation: api.Reservation{Address: w[1], MAC: w[2], ClientID: w[3], Name: w[4], Note: w[5]}}
		fmt.Sscan(w[0], &r.Line)
		rows = append(rows, r)
	}
	return rows
}

func TestReservationsAreReadFromWhatPeopleHave(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		format Format
		rows   string
		passed int
	}{
		"a spreadsheet's": {"\ufeffMAC;IP Address;Hostname;Comment\r\n 02:00:00:00:00:07 ;10.9.0.7;printer;\"second; \"\"big\"\" floor\"\r\n;;;\r\n", CSV,
			"2|10.9.0.7|02:00:00:00:00:07||printer|second; \"big\" floor", 0},
		"rows over several lines": {"address,mac,note\n10.9.0.7,02:00:00:00:00:07,\"a\nb\"\n\n10.9.0.8,02:00:00:00:00:08,'=1+1\n", CSV,
			"2|10.9.0.7|02:00:00:00:00:07|||a\x00b\n5|10.9.0.8|02:00:00:00:00:08|||=1+1", 0},
		"Kea's lease file":    {keaLeases, CSV, "3|10.9.0.8|52:54:00:12:34:08||host8|\n4|10.9.0.7|52:54:00:12:34:07||printer|", 1},
		"Kea's configuration": {keaConfig, Kea, "12|10.9.0.20|1a:1b:1c:1d:1e:1f||special-snowflake|\n17|10.9.0.21||010a0b0c0d0e0f||\n26|10.9.0.22||73302d6a||", 1},
		"dnsmasq's configuration": {dnsmasqConfig, Dnsmasq,
			"3|10.9.0.60|11:22:33:44:55:66||fred|\n4|10.9.0.61||01020204||\n5|10.9.0.62||6d6172676f||\n6|10.9.0.63|11:22:33:44:55:67||lap|", 4},
		"dnsmasq's hosts file": {"# ours\n11:22:33:44:55:66,10.9.0.60,fred,12h\n\nid:margo,10.9.0.62\n", Dnsmasq,
			"2|10.9.0.60|11:22:33:44:55:66||fred|\n4|10.9.0.62||6d6172676f||", 0},
		"dnsmasq's lease file": {"1732290000 52:54:00:12:34:07 10.9.0.7 printer 01:52:54:00:12:34:07\n1732290001 52:54:00:12:34:08 10.9.0.8 * *\nduid 00:01:00:01:2e:d5\n", Dnsmasq,
			"1|10.9.0.7|52:54:00:12:34:07||printer|\n2|10.9.0.8|52:54:00:12:34:08|||", 1},
		"JSON": {"{\"items\": [\n {\"address\": \"10.9.0.7\", \"mac\": \"02:00:00:00:00:07\"},\n {\"address\": \"10.9.0.8\",\n  \"reserved\": false},\n {\"address\": \"10.9.0.9\", \"state\": \"leased\"}]}", JSON,
			"2|10.9.0.7|02:00:00:00:00:07|||", 2},
	} {
		f, err := Read([]byte(c.text))
		want := of(c.rows)
		for i := range want {
			want[i].Note = strings.ReplaceAll(want[i].Note, "\x00", "\n")
		}
		if err != nil || f.Format != c.format || len(f.Faults) > 0 || f.Passed != c.passed || !slices.Equal(f.Rows, want) {
			t.Errorf("%s: %v, %s, passed %d, faults %v\n got %+v\nwant %+v", name, err, f.Format, f.Passed, f.Faults, f.Rows, want)
		}
	}
}

// As kea-dhcp4 writes it: a journal, whose last line for an address counts.
const keaLeases = `address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
10.9.0.7,52:54:00:12:34:07,01:52:54:00:12:34:07,3600,1732290000,1,0,0,old,0,,0
10.9.0.8,52:54:00:12:34:08,,3600,1732290000,1,0,0,host8.office.example.,0,,0
10.9.0.7,52:54:00:12:34:07,01:52:54:00:12:34:07,3600,1732291800,1,0,0,printer,0,,0
10.9.0.9,52:54:00:12:34:09,,3600,1732290000,1,0,0,,2,,0
`

// In the manner of Kea's own examples, with the comments that it allows.
const keaConfig = `/* kea-dhcp4 */
{ "Dhcp4": {
  "interfaces-config": { "interfaces": [ "eth0" ] }, // "reservations": [
  "valid-lifetime": 4000,
  # the office
  "subnet4": [ {
    "pools": [ { "pool":  "10.9.0.50 - 10.9.0.100" } ],
    "id": 1, "subnet": "10.9.0.0/24",
    "interface": "eth0",
    "reservations": [

      {
        "hw-address": "1a:1b:1c:1d:1e:1f",
        "ip-address": "10.9.0.20",
        "hostname": "special-snowflake.example.org"
      },
      {
        "client-id": "01:0a:0b:0c:0d:0e:0f", "ip-address": "10.9.0.21",
        "option-data": [ { "name": "domain-name-servers", "data": "10.1.1.202,10.1.1.203" } ]
      },
      { "duid": "01:02:03:04:05", "hostname": "no-address" }
    ] } ],
  "shared-networks": [ { "name": "x", "subnet4": [ {
    "subnet": "10.9.1.0/24",
    "reservations":
    [ { "client-id": "'s0-j'", "ip-address": "10.9.0.22" } ] } ] } ]
} }
`

const dnsmasqConfig = `interface=eth0
dhcp-range=10.9.0.50,10.9.0.150,12h
dhcp-host=11:22:33:44:55:66,fred,10.9.0.60,45m # the old one
dhcp-host=id:01:02:02:04,10.9.0.61
dhcp-host=id:margo,set:red,10.9.0.62,infinite
dhcp-host=01-11:22:33:44:55:67,lap.example.org,10.9.0.63,[::17]
dhcp-host=11:22:33:44:55:66,set:red
dhcp-host=judge
`

func TestEveryLineThatCantBeReadIsTold(t *testing.T) {
	for text, want := range map[string]string{
		"address,mac\n10.9.0.7\n10.9.0.8,02:00:00:00:00:08\n10.9.0.9,a\"b\n10.9.0.1,x,y\n":                          "2: it has 1 of 2 columns, 4: it can't be read, 5: it has 3 of 2 columns",
		"dhcp-host=11:22:33:44:55:66,12:34:56:78:90:12,10.9.0.60\ndhcp-host=11:22:33:*:*:*,10.9.0.61\n":             "1: 10.9.0.60 is for several, 2: 10.9.0.61 is for every",
		"{\"items\": [\n{\"address\": 7},\n{\"address\": \"10.9.0.7\"}, {\"mac\": []}]}":                            "2: address is a number, 3: mac is a array",
		"{\"Dhcp4\": {\"reservations\": [\n\n{\"flex-id\": \"'x'\", \"ip-address\": \"10.9.0.7\"}]}}":               "3: 10.9.0.7 is reserved by neither",
		"1732290000 52:54:00:12:34:07 10.9.0.7 printer\n1732290000 52:54:00:12:34:08 10.9.0.8 printer 01:00 much\n": "1: a lease has five, 2: a lease has five",
	} {
		f, err := Read([]byte(text))
		wants := strings.Split(want, ", ")
		good := err == nil && len(f.Faults) == len(wants)
		for i, fault := range f.Faults {
			good = good && strings.HasPrefix(fmt.Sprintf("%d: %s", fault.Line, fault.Text), wants[i])
		}
		if !good {
			t.Errorf("%q: %v, %+v", text, err, f.Faults)
		}
	}
}

func TestAFileThatIsNoneSaysWhy(t *testing.T) {
	for text, want := range map[string]string{
		"": "empty", " \n\n": "empty", "\xff\xfea\x00": "UTF-8", "PK\x03\x04\x00": "UTF-8", "name,mac\nx,y\n": "no column address",
		"{\"items\": [\n{\"address\"": "from line 2 on", "{\"leases\": []}": "neither", "{}": "neither", "{\"items\": [{}}": "from line 1 on",
		strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40): "nested too deep",
	} {
		if f, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %+v; want %q", text, err, f, want)
		}
	}
}

func someLeases() []api.Lease {
	return []api.Lease{
		{Address: netip.MustParseAddr("10.9.0.7"), MAC: "02:00:00:00:00:07", ClientID: "01020000000007", Name: "printer", Note: `second, "big" floor`, Reserved: true, ReservedFor: api.ReservedForMAC, State: api.LeaseStateLeased},
		{Address: netip.MustParseAddr("10.9.0.8"), MAC: "02:00:00:00:00:08", ClientID: "ff0008", Note: "=1+1", Reserved: true, ReservedFor: api.ReservedForClientID, State: api.LeaseStateReserved},
		{Address: netip.MustParseAddr("10.9.0.9"), MAC: "02:00:00:00:00:09", State: api.LeaseStateLeased, MemberName: "@lisbon", End: time.Unix(1_800_000_000, 0)},
	}
}

func write(t *testing.T, format Format, leases ...api.Lease) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, format, func() (page []api.Lease, err error) { // a lease a page
		if len(leases) > 0 {
			page, leases = leases[:1], leases[1:]
		}
		return page, nil
	}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	want := []api.Reservation{
		{Address: "10.9.0.7", MAC: "02:00:00:00:00:07", Name: "printer", Note: `second, "big" floor`},
		{Address: "10.9.0.8", MAC: "02:00:00:00:00:08", ClientID: "ff0008", Note: "=1+1"},
	}
	for _, format := range []Format{CSV, JSON} {
		text := write(t, format, someLeases()...)
		f, err := Read([]byte(text))
		if err != nil || f.Format != format || f.Passed != 1 || !slices.Equal(f.Reservations(), want) {
			t.Errorf("%s: %v, %+v\n%s", format, err, f, text)
		}
		if _, err := Read([]byte(write(t, format))); err != nil {
			t.Errorf("%s of nothing: %v", format, err)
		}
	}
	var list api.LeaseList
	if err := json.Unmarshal([]byte(write(t, JSON, someLeases()...)), &list); err != nil || len(list.Items) != 3 {
		t.Errorf("%v, %+v", err, list)
	}
	if got := []api.Reservation{Reservation(someLeases()[0]), Reservation(someLeases()[1])}; !slices.Equal(got, want) {
		t.Errorf("one by one: %+v", got)
	}
}

func TestNoCellIsAFormula(t *testing.T) {
	for _, text := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=x", "'=1", "plain", "", "it's", "'", "''="} {
		l := someLeases()[0]
		l.Note, l.MemberName = text, text
		got := write(t, CSV, l)
		for _, cell := range strings.FieldsFunc(got, func(r rune) bool { return strings.ContainsRune(",\n\"", r) }) {
			if strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("%q is written as %q", text, got)
			}
		}
		if text == "\tx" || text == "\r=x" { // which no note may have: spaces at an end are dropped
			continue
		}
		if f, err := Read([]byte(got)); err != nil || f.Rows[0].Note != text {
			t.Errorf("%q is read as %+v, %v", text, f, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"", "address,mac\n10.9.0.7,02:00:00:00:00:07\n", `{"items":[{"address":"10.9.0.7"}]}`, "\ufeffaddress;mac\n\"", "address\n\n", keaLeases, keaConfig, dnsmasqConfig, "/*", "{\"a\\"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Read(data)
		last := 0
		for _, r := range file.Rows {
			if r.Line < last || r.Line > bytes.Count(data, []byte("\n"))+1 {
				t.Errorf("row %+v stands after line %d, %v", r, last, err)
			}
			last = r.Line
		}
	})
}

func TestAFileThatIsTooLargeIsRefusedBeforeItTakesMuchMemory(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector has regexp allocate what it would reuse")
	}
	const size = 4 << 20
	fill := func(head, row, end string) []byte {
		return []byte(head + strings.Repeat(row, (size-len(head)-len(end))/len(row)) + end)
	}
	for name, data := range map[string][]byte{
		"JSON":    fill(`{"items":[{}`, ",{}", "]}"),
		"CSV":     fill("address\n", "1\n", ""),
		"columns": fill("address", ",", "\n"),
		"dnsmasq": fill("dhcp-host=02:00:00:00:00:01,10.0.0.1\n", "dhcp-host=02:00:00:00:00:01,1.1.1.1\n", ""),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := Read(data)
		runtime.ReadMemStats(&after)
		if err == nil || len(f.Rows) > maxRows {
			t.Errorf("%s: %d rows, %v", name, len(f.Rows), err)
		}
		if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 64 {
			t.Errorf("%s: %d MiB", name, got)
		}
	}
}
