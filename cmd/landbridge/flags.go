package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"landbridge/internal/config"
)

// wrongFlag says what is wrong with a flag, and which one may have been meant.
func wrongFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var wrong *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := config.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			err = fmt.Errorf("%w: did you mean --%s?", err, near)
		}
	case errors.As(err, &wrong):
		why := errors.Unwrap(wrong)
		switch wrong.GetFlag().Value.Type() { // whose errors are strconv's
		case "int":
			why = errors.New("want a whole number")
		case "bool":
			why = errors.New("want true or false")
		}
		err = fmt.Errorf("--%s %s: %w", wrong.GetFlag().Name, wrong.GetValue(), why)
	}
	return usageError{err}
}

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
