package config

import "slices"

// Mixed is a file that holds some of Landbridge's settings and some of another's.
type Mixed struct {
	// Own is the settings that aren't Landbridge's; each has a Key, a Kind and, as made by
	// NewSetting, what takes its values.
	Own []Setting
	// Without is the keys of Landbridge's settings that the file may not have.
	Without []string
	// Together finds what is wrong with the values together, by the key whose line is to be named.
	// It is called when each of them is right.
	Together func(Config) map[string]string
}

// NewSetting makes a setting that isn't Landbridge's. set is given the value, or each element of
// a list, whose form example shows.
func NewSetting(key string, kind Kind, example string, set func(value string) error) Setting {
	each := func(_ *Config, values []string) error {
		for _, v := range values {
			if err := set(v); err != nil {
				return err
			}
		}
		return nil
	}
	return Setting{Key: key, Kind: kind, example: example, set: each, item: func(string) error { return nil }}
}

// Load returns what a file says: Landbridge's settings, and which of them it has, with their values
// as flags have them. The error is a *Error that lists everything that is wrong, by lines.
func (m Mixed) Load(name string, content []byte) (cfg Config, given map[string][]string, err error) {
	known := slices.DeleteFunc(Settings(), func(s Setting) bool { return slices.Contains(m.Without, s.Key) })
	ours := table(known)
	values, faults := parseFile(name, content, append(slices.Clone(known), m.Own...))
	if cfg, err = merge(values, faults, append(slices.Clone(known), m.Own...)); err != nil {
		return Config{}, nil, err
	}
	given = make(map[string][]string)
	origin := make(map[string]configValue)
	for _, v := range values {
		origin[v.key] = v
		if _, ok := ours.of(v.key); ok {
			given[v.key] = v.values
		}
	}
	for key, text := range m.Together(cfg) {
		v, ok := origin[key]
		if !ok {
			v = configValue{key: key, where: name + ":1", line: 1}
		}
		faults = append(faults, v.fault("%s: %s", key, text))
	}
	if len(faults) > 0 {
		return Config{}, nil, newError(faults)
	}
	return cfg, given, nil
}
