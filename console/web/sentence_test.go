package web

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestWhatTheAPISaysOfAFieldIsASentenceBesideIt(t *testing.T) {
	for said, want := range map[string]string{
		"want at most 200 characters":                       "Use at most 200 characters.",
		"is not your password":                              "This is not your password.",
		"must be given, or the code":                        "This must be given, or the code.",
		"the group office has no room":                      "The group office has no room.",
		"names of office.internal are those of the group x": "Names of office.internal are those of the group x.",
		"web is the name of the host 10.9.0.7":              "web is the name of the host 10.9.0.7.", // a name stays as it is
		"eth0 is gone":                                      "eth0 is gone.",
		"Use 10.9.0.0/16.":                                  "Use 10.9.0.0/16.",
		"too short (10 at least)":                           "Too short (10 at least).",
		"there is no user “bo”":                             "There is no user “bo”.",
		"an alias stands for a name, so":                    "An alias stands for a name, so.",
		"":                                                  "",
	} {
		if got := sentence(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}

func TestAnErrorStandsOnceBesideItsFieldOrBeforeTheForm(t *testing.T) {
	f := flaws{Detail: "code: is not it", Fields: map[string]string{"code": "is not it"}}
	if got := beside(f, "code", "name"); got.Detail != "" {
		t.Errorf("it stands twice: %q", got.Detail)
	}
	if got := beside(f, "name"); got.Detail != f.Detail {
		t.Errorf("it stands nowhere: %q", got.Detail)
	}
	if got := beside(flaws{Fields: f.Fields}, "name"); got.Detail != "code: is not it" {
		t.Errorf("it stands nowhere: %q", got.Detail)
	}
	if got := beside(flaws{Detail: "the appliance is stopping"}, "name"); got.Detail == "" {
		t.Error("what is said of all of the form is lost")
	}
}

// A form must say to beside which fields it shows errors, all of them and no other.
func TestFormsShowErrorsBesideTheFieldsThatTheySay(t *testing.T) {
	forms := 0
	err := fs.WalkDir(templateFiles, "templates", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := templateFiles.ReadFile(path)
		for _, part := range strings.Split(string(text), `{{define "`) {
			shown := make(map[string][]string)
			for _, m := range regexp.MustCompile(`template "wrong" \(args "flaws" (\S+) "field" "(\w+)"\)`).FindAllStringSubmatch(part, -1) {
				shown[m[1]] = append(shown[m[1]], m[2])
			}
			for _, m := range regexp.MustCompile(`template "flaws" (\(beside (\S+) ([^)]*)\)|\S+)}}`).FindAllStringSubmatch(part, -1) {
				forms++
				of, said := m[2], strings.Fields(strings.ReplaceAll(m[3], `"`, ""))
				if of == "" {
					of = m[1]
				}
				want := slices.Compact(slices.Sorted(slices.Values(shown[of])))
				if slices.Sort(said); !slices.Equal(said, want) {
					t.Errorf("%s: the form %.30s… says that it shows errors beside %q, and does beside %q", path, part, said, want)
				}
			}
		}
		return err
	})
	if err != nil || forms < 20 {
		t.Errorf("%d forms, %v", forms, err)
	}
}
