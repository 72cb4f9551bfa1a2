package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

// What a Leaser refuses with; the client gets a NAK. Any other error leaves it
// without an answer.
var (
	// ErrTaken: the address is leased to another client.
	ErrTaken = errors.New("dhcp: address is leased to another client")
	// ErrNotOurs: the address can't be leased on this segment.
	ErrNotOurs = errors.New("dhcp: address can't be leased on this segment")
	// ErrNoAddress: no address is free.
	ErrNoAddress = errors.New("dhcp: no free address; the group needs a larger prefix, or a block from members that are away")
)

// ErrUnsure: the Leaser can't find out now whether the address is the client's. Only
// a client that takes up our own OFFER gets a NAK; another may well be right.
var ErrUnsure = errors.New("dhcp: can't tell now whether the address is the client's")

// Why Handle gave no reply where the sender might have expected one; for counting.
var (
	// ErrMalformed: no DHCP message, or one that contradicts itself.
	ErrMalformed = errors.New("dhcp: malformed message")
	// ErrRelayed: giaddr is set; relay agents aren't served.
	ErrRelayed = errors.New("dhcp: message of a relay agent")
	// ErrHardware: not Ethernet, or chaddr is not the address of the frame's sender.
	ErrHardware = errors.New("dhcp: hardware address is no Ethernet address or isn't the sender's")
	// ErrOtherServer: meant for another server.
	ErrOtherServer = errors.New("dhcp: meant for another server")
	// ErrOtherNetwork: about an address of another network, of which this server knows nothing.
	ErrOtherNetwork = errors.New("dhcp: about an address of another network")
	// ErrBusy: a DISCOVER of the same client is being answered, or too many are.
	ErrBusy = errors.New("dhcp: the client's DISCOVER is being answered, or too many are")
	// ErrConflict: every address tried is used by somebody without a lease.
	ErrConflict = errors.New("dhcp: every address tried is in use by a host without a lease")
)

// Client is who asks.
type Client struct {
	ID   []byte           // option 61 as it came, else htype 1 and MAC; 2 to 255 bytes
	MAC  net.HardwareAddr // six bytes
	Name string           // host name as a DNS label, lower case; empty if none is fit
	IPv6 bool             // it asks by DHCPv6
}

// Lease is what a client gets.
type Lease struct {
	Addr netip.Addr
	// Held reports that the client's lease on Addr is live, so that Addr may be in
	// use by the client itself and isn't probed. Matters in an Offer.
	Held bool
	// Name is the label by which the group's zone has the client; empty for none. Matters in a Commit.
	Name string
	// End is when the lease ends. The zero time in an Offer stands for the
	// configured lease time from now.
	End time.Time
}

// Leaser decides which client gets which address. It must be safe for concurrent use.
type Leaser interface {
	// Offer picks an address and reserves it for a minute or so. The same client
	// gets the same address. want is what the client would like, or the zero Addr.
	Offer(ctx context.Context, c Client, want netip.Addr) (Lease, error)
	// Commit leases addr to the client, or renews its lease. The lease is on disk
	// when it returns. It refuses with ErrTaken, ErrNotOurs or ErrNoAddress, and says
	// ErrUnsure where it can't ask who knows.
	Commit(ctx context.Context, c Client, addr netip.Addr) (Lease, error)
	// Release ends the client's lease; a lease of another client stays.
	Release(ctx context.Context, c Client, addr netip.Addr) error
	// Decline takes addr, offered or leased to the client, out of use for a while:
	// a host that has no lease uses it.
	Decline(ctx context.Context, c Client, addr netip.Addr) error
}

// Prober finds out whether an address is in use on the segment.
type Prober interface {
	// InUse takes a few hundred milliseconds for a free address. except is the
	// client's own MAC, whose answer is no conflict.
	InUse(ctx context.Context, addr netip.Addr, except net.HardwareAddr) (bool, error)
}

// Reply is one UDP payload for the segment.
type Reply struct {
	Payload []byte     // from the service address and the server's port, to the clients' port
	Dst     netip.Addr // the client's address, or 255.255.255.255
	DstMAC  frame.MAC  // the client's, or broadcast

	kind dhcpv4.MessageType
}
