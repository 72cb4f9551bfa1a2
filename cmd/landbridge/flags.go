package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// text is a flag that takes any text and shows the name of its value in help texts.
type text struct {
	value *string
	name  string
}

// textFlag returns a flag for *v, whose value is called name in help texts.
func textFlag(v *string, name, value string) *text {
	*v = value
	return &text{value: v, name: name}
}

func (t *text) String() string     { return *t.value }
func (t *text) Set(v string) error { *t.value = v; return nil }

// Type returns the name of the value: pflag shows it behind the flag.
func (t *text) Type() string { return t.name }

// durationFlag is a flag that takes a duration, also in days: "90s", "1h30m", "7d".
type durationFlag time.Duration

// Type returns the name of the value.
func (d *durationFlag) Type() string { return "DURATION" }

func (d *durationFlag) String() string { return age(time.Duration(*d)) }

// Set reads a duration.
func (d *durationFlag) Set(v string) error {
	if days, ok := strings.CutSuffix(v, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("want a number of days before the d, as 7d")
		}
		*d = durationFlag(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	parsed, err := time.ParseDuration(v)
	if err != nil {
		return fmt.Errorf("want a duration, as 90s, 30m, 24h or 7d")
	}
	*d = durationFlag(parsed)
	return nil
}
