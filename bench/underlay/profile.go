package underlay

import (
	"context"
	"fmt"

	"landbridge/internal/netlab"
)

// Profile says what the cable does with super-frames, the frames of up to 64 KiB that a
// sender leaves to its NIC to cut.
type Profile string

const (
	// Veth carries them whole, as the kernel's virtual cables do. It flatters whoever
	// sends with segmentation offload, and bare cables most.
	Veth Profile = "veth"
	// NIC cuts them to frames of the MTU at the far end of the sender's cable, and
	// gives the receiver what software makes of them (GRO): the honest stand-in for a NIC.
	NIC Profile = "nic"
)

// ParseProfile returns the profile of that name.
func ParseProfile(name string) (Profile, error) {
	switch p := Profile(name); p {
	case Veth, NIC:
		return p, nil
	}
	return "", fmt.Errorf("no profile %q: there are %s and %s", name, Veth, NIC)
}

// Apply makes a host's port behave so.
func (p Profile) Apply(ctx context.Context, port *netlab.Port) error {
	if p == Veth {
		return nil
	}
	far, device := port.Far()
	if _, err := far.Run(ctx, "ethtool", "-K", device, "tso", "off", "gso", "off", "tx-udp-segmentation", "off"); err != nil {
		return fmt.Errorf("make the wire cut super-frames: %w", err)
	}
	if _, err := port.Host.Run(ctx, "ethtool", "-K", port.Name, "gro", "on"); err != nil {
		return fmt.Errorf("make the receiver rejoin segments: %w", err)
	}
	return nil
}
