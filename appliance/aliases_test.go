package appliance

import "testing"

func TestANameOfTheZoneIsReadWithTheZoneOrWithout(t *testing.T) {
	for name, want := range map[string]string{
		"wiki": "wiki", "Wiki.Office.Internal": "wiki", "wiki.office.internal.": "wiki",
		"": "", "office.internal": "", ".office.internal": "", "a.b": "", "wiki.example.com": "", "-a": "", "a b": "",
	} {
		if got, err := labelIn("office.internal", name); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
}
