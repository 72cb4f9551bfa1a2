package appliance

import "testing"

func TestANameWithoutADotIsLookedUpInTheZone(t *testing.T) {
	for name, want := range map[string]string{
		"b1": "b1.office.internal", "b1.office.internal": "b1.office.internal", "10.9.0.7": "10.9.0.7", "fd00::7": "fd00::7", ".": ".", "": "",
	} {
		if got := searched(name, "office.internal"); got != want {
			t.Errorf("%q is looked up as %q, want %q", name, got, want)
		}
	}
}
