package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// packages names the Debian package of each program that the lab or its DHCP
// clients run.
func packages() map[string]string {
	return map[string]string{
		"sh":       "dash",
		"mount":    "mount",
		"env":      "coreutils", // 8.31 at least, for --ignore-signal
		"sleep":    "coreutils",
		"logger":   "bsdutils",
		"ip":       "iproute2",
		"ping":     "iputils-ping",
		"dhclient": "isc-dhcp-client",
		"udhcpc":   "udhcpc",
		"dhcpcd":   "dhcpcd-base",
		"dnsmasq":  "dnsmasq-base",
		"nsenter":  "util-linux",
		"iperf3":   "iperf3",
		"ethtool":  "ethtool",
		"tcpdump":  "tcpdump",
	}
}

// MissingProgramError says that a program is not installed, and which package has it.
type MissingProgramError struct {
	Program string
	Package string // Debian's; empty if unknown
}

func (e MissingProgramError) Error() string {
	if e.Package == "" {
		return fmt.Sprintf("the program %q is not installed", e.Program)
	}
	return fmt.Sprintf("the program %q is not installed: apt-get install %s", e.Program, e.Package)
}

// Missing reports what the lab cannot do without and this machine lacks: one error
// for each of the lab's own programs, those named (say, "dhclient") and root's rights.
func Missing(programs ...string) []error {
	var all []error
	if os.Geteuid() != 0 {
		all = append(all, errors.New("the lab makes network namespaces, which needs root"))
	}
	for _, p := range append([]string{"sh", "mount", "env", "sleep"}, programs...) {
		if _, err := lookPath(p); err != nil {
			all = append(all, err)
		}
	}
	for _, dev := range []string{"/dev/net/tun"} {
		if _, err := os.Stat(dev); err != nil {
			all = append(all, fmt.Errorf("%s: the kernel needs the TUN/TAP driver (modprobe tun): %w", dev, err))
		}
	}
	if fs, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(fs), "\toverlay\n") {
		all = append(all, errors.New("the kernel needs the overlay file system (modprobe overlay)"))
	}
	return all
}

// searchPath is $PATH with the directories where Debian keeps network programs.
func searchPath() string {
	path := os.Getenv("PATH")
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if !strings.Contains(":"+path+":", ":"+dir+":") {
			path = strings.TrimPrefix(path+":"+dir, ":")
		}
	}
	return path
}

// lookPath finds a program as exec.LookPath does, but in searchPath.
func lookPath(program string) (string, error) {
	if strings.Contains(program, "/") {
		return exec.LookPath(program)
	}
	for dir := range strings.SplitSeq(searchPath(), ":") {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil && filepath.IsAbs(path) {
			return path, nil
		}
	}
	return "", MissingProgramError{Program: program, Package: packages()[program]}
}
