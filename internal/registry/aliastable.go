package registry

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"landbridge/internal/group"
)

const (
	// aliasRegister is the register whose value is the group's aliases, beyond all blocks.
	aliasRegister BlockID = group.MaxBlocks

	// MaxAliases bounds a group's aliases.
	MaxAliases = 500
	// maxAliasText bounds the table of them: it travels as a whole.
	maxAliasText = 96 << 10
	maxAliasBy   = 64 // bytes of who set one
	// maxAliasHops bounds how many aliases lead from one to what it stands for.
	maxAliasHops = 8
)

// Alias is a name of the group's zone that an operator has given. It stands for another name
// of the zone, or for an address.
type Alias struct {
	Name   string     // one label
	Target string     // one label; empty where Addr is set
	Addr   netip.Addr // IPv4 or IPv6, of the group or not
	By     string     // who set it
	At     time.Time  // when, to the second
}

// AliasFault says what is the matter with an AliasError.
type AliasFault uint8

const (
	AliasInvalid  AliasFault = iota // the alias itself is wrong
	AliasConflict                   // it doesn't go with what there is
	AliasMissing                    // there is none of that name
)

// AliasError says why an alias wasn't changed. Nothing was.
type AliasError struct {
	Fault AliasFault
	Field string // name or target
	Text  string
}

// Error says why.
func (e *AliasError) Error() string { return e.Text }

// errTable: a table of aliases that no member of ours wrote.
var errTable = errors.New("bad table of aliases")

// aliasTable is the aliases as of one epoch of their register; immutable.
type aliasTable struct {
	grant  Grant
	byName map[string]Alias
}

// readAliases reads a table: a line for each alias, by name, which says name, target (a
// label, or an address), Unix time and who set it, with a space between them.
func readAliases(text string) (map[string]Alias, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxAliasText || text[len(text)-1] != '\n' {
		return nil, fmt.Errorf("%w: %d bytes", errTable, len(text))
	}
	all := make(map[string]Alias)
	last := ""
	for line := range strings.Lines(text) {
		a, err := parseAlias(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		if a.Name <= last || len(all) == MaxAliases {
			return nil, fmt.Errorf("%w: out of order, or more than %d", errTable, MaxAliases)
		}
		last = a.Name
		all[a.Name] = a
	}
	return all, nil
}

func parseAlias(line string) (Alias, error) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) != 4 || len(parts[3]) > maxAliasBy || parts[0] == "" || cleanName(parts[0]) != parts[0] {
		return Alias{}, fmt.Errorf("%w: %q", errTable, line)
	}
	at, err := strconv.ParseInt(parts[2], 10, 64)
	a := Alias{Name: parts[0], By: parts[3], At: time.Unix(at, 0).UTC()}
	if addr, notAddr := netip.ParseAddr(parts[1]); notAddr == nil && addr.Zone() == "" {
		a.Addr = addr
	} else if a.Target = parts[1]; a.Target == "" || cleanName(a.Target) != a.Target {
		err = errors.Join(err, errTable)
	}
	if err != nil {
		return Alias{}, fmt.Errorf("%w: %q", errTable, line)
	}
	return a, nil
}

// writeAliases is the inverse of readAliases.
func writeAliases(all map[string]Alias) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := all[name]
		fmt.Fprintf(&b, "%s %s %d %s\n", name, a.StandsFor(), a.At.Unix(), a.By)
	}
	return b.String()
}

// StandsFor is the target, label or address, as text.
func (a Alias) StandsFor() string {
	if a.Addr.IsValid() {
		return a.Addr.String()
	}
	return a.Target
}

// check finds what is wrong with an alias by itself.
func (a Alias) check() error {
	switch {
	case a.Name == "" || cleanName(a.Name) != a.Name:
		return &AliasError{AliasInvalid, "name", fmt.Sprintf("%q can't be a name of the zone: want one label of letters, digits and hyphens, 63 at most, without the zone", a.Name)}
	case a.Addr.IsValid() && a.Target != "":
		return &AliasError{AliasInvalid, "target", "an alias stands for a name or for an address, not for both"}
	case a.Addr.IsValid() && (a.Addr.IsUnspecified() || a.Addr.IsMulticast() || a.Addr.IsLoopback() || a.Addr.Zone() != "" || a.Addr.Is4In6()):
		return &AliasError{AliasInvalid, "target", fmt.Sprintf("%v is no address of one host", a.Addr)}
	case !a.Addr.IsValid() && (a.Target == "" || cleanName(a.Target) != a.Target):
		return &AliasError{AliasInvalid, "target", fmt.Sprintf("%q is neither a name of the zone nor an address, as printer or 10.9.0.7", a.Target)}
	case a.Target == a.Name:
		return &AliasError{AliasInvalid, "target", fmt.Sprintf("%s can't stand for itself", a.Name)}
	}
	return nil
}

// putAlias returns the change of a table that sets an alias.
func putAlias(a Alias) func(Grant) (Grant, error) {
	a.By = cleanBy(a.By)
	return editAliases(func(all map[string]Alias) error {
		if _, known := all[a.Name]; !known && len(all) >= MaxAliases {
			return &AliasError{AliasConflict, "name", fmt.Sprintf("the group has %d aliases, and that is the most: remove one first", MaxAliases)}
		}
		all[a.Name] = a
		way := a.Name
		for at, hops := a, 0; at.Target != ""; hops++ {
			way += " → " + at.Target
			if at.Target == a.Name || hops == maxAliasHops {
				return &AliasError{AliasConflict, "target", fmt.Sprintf("%s would never lead to a host: %s", a.Name, way)}
			}
			at = all[at.Target]
		}
		return nil
	})
}

// dropAlias returns the change of a table that removes an alias.
func dropAlias(name string) func(Grant) (Grant, error) {
	return editAliases(func(all map[string]Alias) error {
		if _, known := all[name]; !known {
			return &AliasError{AliasMissing, "name", fmt.Sprintf("%q isn't an alias", name)}
		}
		delete(all, name)
		return nil
	})
}

func editAliases(edit func(map[string]Alias) error) func(Grant) (Grant, error) {
	return func(g Grant) (Grant, error) {
		all, err := readAliases(g.Aliases)
		if err != nil {
			return g, &AliasError{AliasConflict, "", err.Error()}
		}
		next := make(map[string]Alias, len(all)+1)
		maps.Copy(next, all)
		if err := edit(next); err != nil {
			return g, err
		}
		text := writeAliases(next)
		if text == g.Aliases { // as after a ballot of ours that we took for lost
			return g, nil
		}
		if len(text) > maxAliasText {
			return g, &AliasError{AliasConflict, "name", "the group's aliases have no room for one more: remove one first"}
		}
		return Grant{Epoch: g.Epoch + 1, Aliases: text}, nil
	}
}

// cleanBy makes of who sets an alias what the table takes.
func cleanBy(by string) string {
	by = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return -1
		}
		return r
	}, by)
	for len(by) > maxAliasBy {
		runes := []rune(by)
		by = string(runes[:len(runes)-1])
	}
	return cmp.Or(by, "-")
}

// aliasesOnly reports whether an accept fits the register that it is for: tables are in that
// of the aliases alone, and nothing else is there.
func aliasesOnly(b BlockID, base, value Grant) bool {
	if b != aliasRegister {
		return base.Aliases == "" && value.Aliases == ""
	}
	_, err := readAliases(value.Aliases)
	return base.free() && value.free() && err == nil
}
