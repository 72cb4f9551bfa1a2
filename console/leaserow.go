package console

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"time"

	"landbridge/console/api"
)

// LeaseRow is a lease as an Appliance has it: what a listing is sought, sorted and cut by,
// before anything is put into words. 100,000 of them are gone through for one page.
type LeaseRow struct {
	Group                      string // its ID
	Address                    netip.Addr
	IPv6                       netip.Addr // invalid where the host has taken none
	Name, HostName, Note       string
	MAC                        [6]byte // zero where it isn't known
	Client                     []byte
	Member, MemberName         string // who serves it
	Segment                    [16]byte
	State                      api.LeaseState
	Kind                       api.LeaseKind
	Elsewhere, Reserved, ByMAC bool
	Start, End, Changed        time.Time
}

// Lease puts a row into words.
func (w *LeaseRow) Lease() api.Lease {
	l := api.Lease{
		Group: w.Group, Address: w.Address, Ipv6Address: w.IPv6, Name: w.Name, HostName: w.HostName, Note: w.Note, ClientID: hex.EncodeToString(w.Client),
		MemberID: w.Member, MemberName: w.MemberName, State: w.State, Kind: w.Kind, Found: w.Kind == api.LeaseKindStatic,
		Elsewhere: w.Elsewhere, Reserved: w.Reserved, Start: w.Start.UTC(), End: w.End.UTC(),
	}
	if w.Segment != [16]byte{} {
		l.Segment = hex.EncodeToString(w.Segment[:])
	}
	if w.MAC != [6]byte{} {
		l.MAC = net.HardwareAddr(w.MAC[:]).String()
	}
	if w.Reserved {
		l.ReservedFor = api.ReservedForClientID
		if w.ByMAC {
			l.ReservedFor = api.ReservedForMAC
		}
	}
	if !w.Changed.IsZero() {
		l.Changed = w.Changed.UTC()
	}
	return l
}

// finder looks for a text, in lower case, in what people know of leases. What a text can't be
// a part of isn't looked at: most of 100,000 rows cost two comparisons.
type finder struct {
	text              string
	address, hex, mac bool // whether it may be a part of one
	member            string
	memberHas         bool // whether member, the name that was looked at last, has it
}

func newFinder(text string) *finder {
	only := func(of string) bool { return strings.Trim(text, of) == "" }
	return &finder{text: text, address: only("0123456789."), hex: only("0123456789abcdef"), mac: only("0123456789abcdef:"), memberHas: text == ""}
}

// in reports whether a row has the text in its address, names, MAC, client ID, note or member.
// It allocates nothing but for notes.
func (f *finder) in(w *LeaseRow) bool {
	if strings.Contains(w.Name, f.text) || w.HostName != "" && strings.Contains(w.HostName, f.text) || // labels: in lower case
		w.Note != "" && strings.Contains(strings.ToLower(w.Note), f.text) {
		return true
	}
	if w.MemberName != f.member {
		f.member, f.memberHas = w.MemberName, strings.Contains(strings.ToLower(w.MemberName), f.text)
	}
	if f.memberHas {
		return true
	}
	var buf [512]byte
	if f.address && bytes.Contains(w.Address.AppendTo(buf[:0]), []byte(f.text)) {
		return true
	}
	if f.mac && w.MAC != [6]byte{} && bytes.Contains(appendMAC(buf[:0], w.MAC), []byte(f.text)) {
		return true
	}
	return f.hex && bytes.Contains(hex.AppendEncode(buf[:0], w.Client), []byte(f.text))
}

func appendMAC(b []byte, mac [6]byte) []byte {
	for i := range mac {
		if i > 0 {
			b = append(b, ':')
		}
		b = hex.AppendEncode(b, mac[i:i+1])
	}
	return b
}
