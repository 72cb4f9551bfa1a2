package iface

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// What rp_filter says (Documentation/networking/ip-sysctl.rst): a packet is taken by a
// device if the way back to its source leads out of that device (strict), or anywhere (loose).
const (
	filterStrict = "1"
	filterLoose  = "2"
)

// ipv4Setting reads one of the kernel's IPv4 settings of a device, or of all.
func ipv4Setting(dev, setting string) (string, error) {
	b, err := os.ReadFile(ipv4SettingPath(dev, setting))
	if err != nil {
		return "", fmt.Errorf("read the kernel's settings: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func ipv4SettingPath(dev, setting string) string {
	return "/proc/sys/net/ipv4/conf/" + dev + "/" + setting
}

// strictFilter reports whether a device drops what it wouldn't answer by itself, and what
// its own setting is then. The larger of that and the one for all devices counts.
func strictFilter(dev string) (own string, strict bool, err error) {
	own, err = ipv4Setting(dev, "rp_filter")
	if err != nil {
		return "", false, err
	}
	all, err := ipv4Setting("all", "rp_filter")
	if err != nil {
		return "", false, err
	}
	if max(own, all) != filterStrict {
		return "", false, nil
	}
	return own, true, nil
}

func setFilter(dev, value string) error {
	return os.WriteFile(ipv4SettingPath(dev, "rp_filter"), []byte(value), 0)
}

// restoreFilter puts back what a Presence has changed, unless somebody else has changed
// it since.
func restoreFilter(dev, former string) error {
	if former == "" {
		return nil
	}
	now, err := ipv4Setting(dev, "rp_filter")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the device has gone
	}
	if err != nil || now != filterLoose {
		return err
	}
	if err := setFilter(dev, former); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set rp_filter of %s back to %s: %w", dev, former, err)
	}
	return nil
}
