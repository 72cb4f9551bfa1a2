package main

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"landbridge/console/api"
)

func TestAnExportIsWhatAnImportTakes(t *testing.T) {
	leases := []api.Lease{
		{Address: netip.MustParseAddr("10.9.0.7"), MAC: "02:00:00:00:00:07", ClientID: "01020000000007", Name: "printer", Note: `second, "big" floor`, Reserved: true, ReservedFor: api.ReservedForMAC},
		{Address: netip.MustParseAddr("10.9.0.8"), MAC: "02:00:00:00:00:08", ClientID: "ff0008", Note: "=1+1", Reserved: true, ReservedFor: api.ReservedForClientID},
		{Address: netip.MustParseAddr("10.9.0.9"), MAC: "02:00:00:00:00:09"}, // leased, not reserved
	}
	var out bytes.Buffer
	if err := writeCSV(&out, leases); err != nil {
		t.Fatal(err)
	}
	list, err := readReservations("-", &out)
	want := []api.Reservation{
		{Address: "10.9.0.7", MAC: "02:00:00:00:00:07", Name: "printer", Note: `second, "big" floor`},
		{Address: "10.9.0.8", MAC: "02:00:00:00:00:08", ClientID: "ff0008", Note: "=1+1"},
	}
	if err != nil || !slices.Equal(list.Items, want) {
		t.Errorf("by CSV: %+v, %v", list.Items, err)
	}
	if got := reservationsOf(leases[:2]); !slices.Equal(got.Items, want) {
		t.Errorf("by JSON: %+v", got.Items)
	}
}

func TestAFileOfReservationsThatCantBeReadSaysWhy(t *testing.T) {
	for text, want := range map[string]string{
		"": "is empty", "name,mac\nx,y\n": "no column address", "address,mac\n10.9.0.7\n": "wrong number of fields", `{"items":7}`: "cannot unmarshal",
	} {
		if _, err := readReservations("-", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	list, err := readReservations("-", strings.NewReader("\ufeffMAC, Address\n 02:00:00:00:00:07 , 10.9.0.7 \n"))
	if err != nil || len(list.Items) != 1 || list.Items[0] != (api.Reservation{Address: "10.9.0.7", MAC: "02:00:00:00:00:07"}) {
		t.Errorf("a spreadsheet's: %+v, %v", list, err)
	}
}

func FuzzReservations(f *testing.F) {
	for _, seed := range []string{"", "address,mac\n10.9.0.7,02:00:00:00:00:07\n", `{"items":[{"address":"10.9.0.7"}]}`, "\ufeffaddress;mac\n\"", "address\n\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if list, err := readReservations("-", strings.NewReader(text)); err != nil && len(list.Items) > 0 && strings.Contains(err.Error(), "head line") {
			t.Errorf("rows without a head: %+v", list)
		}
	})
}
