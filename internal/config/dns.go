package config

import (
	"errors"
	"fmt"
	"strings"

	"landbridge/dns/forward"
)

// DNS says what of DNS is asked elsewhere.
type DNS struct {
	// Forward are zones of which other servers are asked, besides those that are set while the
	// appliance runs.
	Forward []forward.Zone
}

func dnsSettings() []Setting {
	return []Setting{
		{Key: "dns-forward", Value: "ZONE=SERVER[,SERVER]", Kind: List, Usage: "zone whose names others are asked, and whom, as `ZONE=SERVER[,SERVER]`; zone . is all that isn't the group's; may be given more than once",
			Default: func(c Config) string { return forwardText(c.DNS.Forward) }, example: "corp.example=10.0.0.53",
			set: setForward, item: checked(forward.Parse)},
	}
}

func forwardText(zones []forward.Zone) string {
	var all []string
	for _, z := range zones {
		all = append(all, z.String())
	}
	return strings.Join(all, " ")
}

func setForward(c *Config, values []string) error {
	if len(values) > forward.MaxZones {
		return fmt.Errorf("%d zones are more than %d", len(values), forward.MaxZones)
	}
	var zones []forward.Zone
	var errs []string
	seen := make(map[string]bool)
	for _, v := range values {
		z, err := forward.Parse(v)
		switch {
		case err != nil:
			errs = append(errs, err.Error())
		case seen[z.Name]:
			errs = append(errs, fmt.Sprintf("%s is there twice: give all its servers at once, as %s=10.0.0.53,10.0.0.54", z.Label(), z.Label()))
		}
		seen[z.Name] = true
		zones = append(zones, z)
	}
	if len(errs) > 0 {
		return errors.New(strings.Join(errs, "; "))
	}
	c.DNS.Forward = zones
	return nil
}
