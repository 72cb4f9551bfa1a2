package web

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sentence makes one for people of what the API says of a request: there a field's name stands before
// "want at most 200 characters" or "is not your password", here it is said beside the field.
func sentence(said string) string {
	first, rest, _ := strings.Cut(said, " ")
	switch {
	case said == "":
		return ""
	case first == "want":
		said = "Use " + rest
	case slices.Contains([]string{"is", "isn't", "has", "must"}, first):
		said = "This " + said
	case opens(strings.TrimRight(first, ",:")):
		said = strings.ToUpper(first[:1]) + first[1:] + said[len(first):]
	}
	if last, _ := utf8.DecodeLastRuneInString(said); unicode.IsLetter(last) || unicode.IsDigit(last) || strings.ContainsRune(")”\"", last) {
		said += "."
	}
	return said
}

// opens reports whether a word is one with which a sentence begins. All others may be names, which are
// written as they are.
func opens(word string) bool {
	return slices.Contains([]string{
		"a", "an", "the", "this", "that", "these", "there", "no", "not", "nothing", "nobody", "none", "only", "it", "as", "at", "by",
		"in", "on", "of", "to", "for", "from", "with", "while", "when", "what", "where", "whether", "who", "if", "too", "both", "each", "some", "somebody", "several",
		"all", "such", "choose", "say", "give", "names", "hosts", "members", "member", "prefix", "address", "addresses", "your", "you", "unknown", "can't",
	}, word)
}

// beside returns what is said of a form before its fields, of which it shows those: what stands beside
// one isn't said twice.
func beside(f flaws, shown ...string) flaws {
	var others []string
	for field, said := range f.Fields {
		if !slices.Contains(shown, field) {
			others = append(others, field+": "+said)
		}
	}
	switch {
	case len(others) == 0 && len(f.Fields) > 0:
		f.Detail = ""
	case f.Detail == "":
		slices.Sort(others)
		f.Detail = strings.Join(others, "; ")
	}
	return f
}
