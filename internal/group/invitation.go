package group

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"
)

const (
	// MaxInvitationAddrs bounds the addresses in an invitation.
	MaxInvitationAddrs = 8
	// MaxTokenLength bounds a token, in characters.
	MaxTokenLength = 2048
	// MinInvitationLife and MaxInvitationLife bound how long an invitation can be used.
	MinInvitationLife = time.Second
	MaxInvitationLife = 365 * 24 * time.Hour

	tokenPrefix    = "lb1"
	secretSize     = 16
	checksumSize   = 4
	maxAddrSize    = 127
	prefixFollows  = 255       // in the place of an address's length
	prefixSize     = 1 + 4 + 1 // with that
	invitationHead = 32 + 32 + secretSize + 4
)

// Secret is what makes an invitation one. It doesn't print itself.
type Secret [secretSize]byte

// Format hides the secret from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(secret)") }

// MarshalText hides the secret from JSON, so from structured logs.
func (Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// Invitation is what a newcomer needs to become a member, once, until it expires.
type Invitation struct {
	Group     ID
	Authority MemberID // whom to show the secret, and nobody else
	Addrs     []string // multiaddrs with /p2p/ID: the authority's, and other members'
	Expires   time.Time
	Secret    Secret
	Prefix    netip.Prefix // the group's; not valid where the invitation is from a time when none was in it
}

// String names the invitation without its secret.
func (inv Invitation) String() string {
	return fmt.Sprintf("invitation to group %s until %s", inv.Group.Short(), inv.Expires.UTC().Format(time.RFC3339))
}

// Check returns ErrExpired where the invitation can't be used any more at now.
func (inv Invitation) Check(now time.Time) error {
	if now.After(inv.Expires) {
		return fmt.Errorf("ended %s: %w", inv.Expires.UTC().Format(time.RFC3339), ErrExpired)
	}
	return nil
}

// tokenEncoding survives what programs and people do to letters: one case, no signs.
func tokenEncoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// Token writes the invitation in the form that ParseInvitation reads: see
// "Invitation" in doc.go. It fails on addresses that don't fit.
func (inv Invitation) Token() (string, error) {
	seconds := inv.Expires.Unix()
	if seconds < 0 || seconds > 1<<32-1 {
		return "", fmt.Errorf("invitation: the end %v is out of range", inv.Expires)
	}
	if len(inv.Addrs) > MaxInvitationAddrs {
		return "", fmt.Errorf("invitation: %d addresses, at most %d fit", len(inv.Addrs), MaxInvitationAddrs)
	}
	b := make([]byte, 0, 256)
	b = append(b, inv.Group[:]...)
	b = append(b, inv.Authority[:]...)
	b = append(b, inv.Secret[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(seconds))
	if inv.Prefix.IsValid() {
		addr := inv.Prefix.Addr().As4()
		b = append(append(append(b, prefixFollows), addr[:]...), byte(inv.Prefix.Bits()))
	}
	for _, addr := range inv.Addrs {
		packed, err := packAddr(addr, inv.Authority)
		if err != nil {
			return "", err
		}
		b = append(b, byte(len(packed)))
		b = append(b, packed...)
	}
	b = append(b, checksum(b)...)
	return tokenPrefix + tokenEncoding().EncodeToString(b), nil
}

func checksum(b []byte) []byte {
	sum := sha256.Sum256(append([]byte("landbridge invitation 1\x00"), b...))
	return sum[:checksumSize]
}

// packAddr turns a multiaddr into its binary form, without the authority's ID, which
// the token holds already.
func packAddr(addr string, authority MemberID) ([]byte, error) {
	m, err := multiaddr.NewMultiaddr(addr)
	if err != nil {
		return nil, fmt.Errorf("invitation: address %q: %w", addr, err)
	}
	rest, last := multiaddr.SplitLast(m)
	if last == nil || last.Protocol().Code != multiaddr.P_P2P || len(rest) == 0 {
		return nil, fmt.Errorf("invitation: address %q: must end in /p2p/ and the ID of the member that it leads to", addr)
	}
	if last.Value() == authority.String() {
		m = rest
	}
	if packed := m.Bytes(); len(packed) <= maxAddrSize {
		return packed, nil
	}
	return nil, fmt.Errorf("invitation: address %q: too long", addr)
}

// unpackAddr is packAddr back.
func unpackAddr(b []byte, authority MemberID) (string, error) {
	m, err := multiaddr.NewMultiaddrBytes(b)
	if err != nil {
		return "", err
	}
	_, last := multiaddr.SplitLast(m)
	if last != nil && last.Protocol().Code == multiaddr.P_P2P {
		return m.String(), nil
	}
	return m.String() + "/p2p/" + authority.String(), nil
}

// ParseInvitation reads a token; spaces and line ends inside, and capitals, do no
// harm. It fails with ErrNotInvitation, ErrNewerInvitation or ErrTornToken. It doesn't
// know the time: see Check.
func ParseInvitation(token string) (Invitation, error) {
	if len(token) > 2*MaxTokenLength {
		return Invitation{}, ErrNotInvitation
	}
	token = strings.ToLower(strings.Join(strings.Fields(token), ""))
	body, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		if len(token) > 3 && token[:2] == tokenPrefix[:2] && token[2] >= '2' && token[2] <= '9' {
			return Invitation{}, ErrNewerInvitation
		}
		return Invitation{}, ErrNotInvitation
	}
	b, err := tokenEncoding().DecodeString(body)
	if err != nil || len(b) < invitationHead+checksumSize || len(token) > MaxTokenLength {
		return Invitation{}, ErrTornToken
	}
	if tokenEncoding().EncodeToString(b) != body { // bits of the last character that no byte needs
		return Invitation{}, ErrTornToken
	}
	b, sum := b[:len(b)-checksumSize], b[len(b)-checksumSize:]
	if !bytes.Equal(sum, checksum(b)) {
		return Invitation{}, ErrTornToken
	}
	return parsePayload(b)
}

func parsePayload(b []byte) (Invitation, error) {
	var inv Invitation
	b = b[copy(inv.Group[:], b):]
	b = b[copy(inv.Authority[:], b):]
	b = b[copy(inv.Secret[:], b):]
	inv.Expires = time.Unix(int64(binary.BigEndian.Uint32(b)), 0)
	b = b[4:]
	if len(b) > 0 && b[0] == prefixFollows {
		if len(b) < prefixSize {
			return Invitation{}, ErrTornToken
		}
		inv.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte(b[1:])), int(b[5]))
		if !inv.Prefix.IsValid() {
			return Invitation{}, ErrTornToken
		}
		b = b[prefixSize:]
	}
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 || n > maxAddrSize || n >= len(b) || len(inv.Addrs) == MaxInvitationAddrs {
			return Invitation{}, ErrTornToken
		}
		addr, err := unpackAddr(b[1:1+n], inv.Authority)
		if err != nil {
			return Invitation{}, fmt.Errorf("%w (%w)", ErrTornToken, err)
		}
		inv.Addrs = append(inv.Addrs, addr)
		b = b[1+n:]
	}
	return inv, nil
}
