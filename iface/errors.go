package iface

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Why a LAN port, a device or a host is refused. Match them with errors.Is.
var (
	ErrNoPort       = errors.New("no such port")
	ErrEnslaved     = errors.New("port already belongs to another device")
	ErrDefaultRoute = errors.New("port carries the default route")
	ErrHasAddress   = errors.New("port carries an address of this host")
	ErrLoopback     = errors.New("port is the loopback")
	ErrOwnDevice    = errors.New("port is a device of Landbridge itself")
	ErrNotEthernet  = errors.New("port can't be bridged")
	ErrNoARP        = errors.New("port answers no ARP for other addresses")
	ErrNameTaken    = errors.New("a device of that name exists")
	ErrNoVLAN       = errors.New("this kernel offers no VLAN devices")
	ErrNoTun        = errors.New("this kernel offers no TUN/TAP devices")
)

// PortError says why a LAN port was refused. Err is one of the sentinels of this
// package; Text is the sentence for the operator.
type PortError struct {
	Port string
	Err  error
	Text string
}

func (e *PortError) Error() string { return e.Text }
func (e *PortError) Unwrap() error { return e.Err }

func refuse(port string, err error, format string, args ...any) error {
	return &PortError{Port: port, Err: err, Text: fmt.Sprintf(format, args...)}
}

// CapabilityError names the capability that the process lacks, for example
// "CAP_NET_ADMIN".
type CapabilityError struct {
	Capability string
	Doing      string // what it is needed for: "make network devices"
}

func (e *CapabilityError) Error() string {
	return fmt.Sprintf("can't %s: the capability %s is missing; run landbridge as root, "+
		"or grant it (setcap cap_net_admin+ep on the binary, or AmbientCapabilities=%s in its systemd unit)",
		e.Doing, e.Capability, e.Capability)
}

// CheckPrivileges returns a *CapabilityError if this thread may not make network
// devices. It changes nothing.
func CheckPrivileges() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("ask for this process's capabilities: %w", err)
	}
	if data[unix.CAP_NET_ADMIN/32].Effective&(1<<(unix.CAP_NET_ADMIN%32)) == 0 {
		return &CapabilityError{Capability: "CAP_NET_ADMIN", Doing: "make network devices"}
	}
	return nil
}

// explain turns the errno of a failed change to the network into words. Doing is
// what was attempted: "bridge eth1".
func explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &CapabilityError{Capability: "CAP_NET_ADMIN", Doing: doing}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
