package main

import (
	"strings"
	"testing"
)

func TestAFileThatCantBeReadIsToldWithItsLines(t *testing.T) {
	for text, want := range map[string]string{
		"": "-: it is empty", "address,mac\n10.9.0.7\n10.9.0.8,x\n10.9.0.9\n": "-:2: it has 1 of 2 columns: the head line says which\n-:4: it has",
	} {
		if _, err := readReservations("-", strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
