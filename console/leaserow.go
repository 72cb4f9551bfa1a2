package console

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"time"

	"landbridge/console/api"
)

// LeaseRow is a lease as an Appliance has it: what a listing is sought, sorted and cut by,
// before anything is put into words. 100,000 of them are gone through for one page.
type LeaseRow struct {
	Group                      string // its ID
	Address                    netip.Addr
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
		Group: w.Group, Address: w.Address, Name: w.Name, HostName: w.HostName, Note: w.Note, ClientID: hex.EncodeToString(w.Client),
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

// contains reports whether a row has this text, in lower case, in what people know of it. It
// allocates nothing where names are in lower case, as DNS labels are.
func (w *LeaseRow) contains(search []byte) bool {
	var buf [128]byte
	if bytes.Contains(w.Address.AppendTo(buf[:0]), search) || bytes.Contains(lower(buf[:0], w.Name), search) ||
		bytes.Contains(lower(buf[:0], w.HostName), search) || bytes.Contains(lower(buf[:0], w.MemberName), search) || bytes.Contains(lower(buf[:0], w.Note), search) {
		return true
	}
	if w.MAC != [6]byte{} && bytes.Contains(appendMAC(buf[:0], w.MAC), search) {
		return true
	}
	return bytes.Contains(hex.AppendEncode(buf[:0], w.Client), search)
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

// lower appends s with its ASCII letters in lower case.
func lower(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}
