package peers

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// goVersion returns the version of the module that a Go program was built from.
func goVersion(binary string) (string, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "", fmt.Errorf("%w: run make bench, which builds it", err)
	}
	return info.Main.Version, nil
}

// debianVersion returns the version of a Debian package.
func debianVersion(ctx context.Context, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", name).Output()
	if err != nil {
		return "", fmt.Errorf("version of the Debian package %s: %w: install it, as make bench does", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// kernelVersion returns the version of the running kernel.
func kernelVersion() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	return "kernel " + unix.ByteSliceToString(name.Release[:]), nil
}
