package group

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/fxamacker/cbor/v2"

	"landbridge/internal/ula"
)

// SignedSettings are Settings as they travel: see "Settings" in doc.go.
type SignedSettings []byte

// MaxSettingsSize bounds SignedSettings, in bytes.
const MaxSettingsSize = 16 << 10

// settingsFormat is the version of the body's layout. What is only added to it doesn't change it.
const settingsFormat = 1

// ErrSettings: they can't be used.
var ErrSettings = errors.New("bad group settings")

// ErrNewerSettings: they were made by a newer program, and say what this one can't use.
var ErrNewerSettings = fmt.Errorf("%w: made by a newer landbridge: update this appliance", ErrSettings)

type wireSettings struct {
	Format     uint64   `cbor:"0,keyasint"`
	Group      ID       `cbor:"1,keyasint"`
	Version    uint64   `cbor:"2,keyasint"`
	Made       uint64   `cbor:"3,keyasint"`           // Unix seconds
	LeaseTime  uint32   `cbor:"4,keyasint,omitempty"` // seconds
	RenewPart  uint8    `cbor:"5,keyasint,omitempty"`
	RebindPart uint8    `cbor:"6,keyasint,omitempty"`
	Domain     string   `cbor:"7,keyasint,omitempty"`
	Search     []string `cbor:"8,keyasint,omitempty"`
	DNS        []byte   `cbor:"9,keyasint,omitempty"`
	NTP        []byte   `cbor:"10,keyasint,omitempty"`
	Routes     []byte   `cbor:"11,keyasint,omitempty"`
	Excluded   []byte   `cbor:"12,keyasint,omitempty"`
	Allowed    []byte   `cbor:"13,keyasint,omitempty"`
	Denied     []byte   `cbor:"14,keyasint,omitempty"`
	Only       bool     `cbor:"15,keyasint,omitempty"`
	IPv6       []byte   `cbor:"16,keyasint,omitempty"`
}

// lastSetting is the last key of wireSettings: those behind it are a newer program's.
const lastSetting = 16

// settingsMessage is what the CA signs.
func settingsMessage(body []byte) []byte {
	return append([]byte("landbridge settings 1\x00"), body...)
}

// sign encodes the settings, with what a newer program has set, and signs them.
func (s *Settings) sign(id ID, key ed25519.PrivateKey) (SignedSettings, error) {
	w := wireSettings{
		Format: settingsFormat, Group: id, Version: s.Version, Made: uint64(s.Made.Unix()),
		LeaseTime: uint32(s.LeaseTime / time.Second), RenewPart: uint8(s.RenewPart), RebindPart: uint8(s.RebindPart),
		Domain: s.Domain, Search: s.Search, DNS: joinAddrs(s.DNS), NTP: joinAddrs(s.NTP), Only: s.OnlyAllowed,
	}
	for _, r := range s.Routes {
		to := r.To.Addr().As4()
		w.Routes = append(append(w.Routes, to[:]...), byte(r.To.Bits()))
		w.Routes = append(w.Routes, joinAddrs([]netip.Addr{r.Via})...)
	}
	for _, r := range s.Excluded {
		w.Excluded = append(w.Excluded, joinAddrs([]netip.Addr{r.First, r.Last})...)
	}
	for _, mac := range s.Allowed {
		w.Allowed = append(w.Allowed, mac[:]...)
	}
	for _, mac := range s.Denied {
		w.Denied = append(w.Denied, mac[:]...)
	}
	if !s.IPv6.IsZero() {
		w.IPv6 = s.IPv6.Prefix().Addr().AsSlice()[:ula.Bits/8]
	}
	body, err := w.encode(s.unknown)
	if err != nil {
		return nil, fmt.Errorf("encode the group's settings: %w", err)
	}
	return marshal(wireEnvelope{Body: body, Signature: ed25519.Sign(key, settingsMessage(body))})
}

// encode writes the settings, and beside them those that this program doesn't know.
func (w wireSettings) encode(unknown map[uint64]cbor.RawMessage) ([]byte, error) {
	body, err := marshal(w)
	if err != nil || len(unknown) == 0 {
		return body, err
	}
	var all map[uint64]cbor.RawMessage
	if err := unmarshal(body, &all); err != nil {
		return nil, err
	}
	for key, value := range unknown {
		all[key] = value
	}
	return marshal(all)
}

// ParseSettings verifies signed settings of d's group: size, signature of its CA, shape, bounds. What a
// newer program has added is kept, and has no effect here. What the CA has signed and this program
// can't use is a newer program's, too: ErrNewerSettings.
func ParseSettings(b []byte, d *Descriptor) (*Settings, error) {
	if len(b) > MaxSettingsSize {
		return nil, fmt.Errorf("%w: %d bytes long, at most %d are allowed", ErrSettings, len(b), MaxSettingsSize)
	}
	var envelope wireEnvelope
	if err := unmarshal(b, &envelope); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	ca, ok := d.ca.PublicKey.(ed25519.PublicKey)
	if !ok || !ed25519.Verify(ca, settingsMessage(envelope.Body), envelope.Signature) {
		return nil, fmt.Errorf("%w: %w", ErrSettings, ErrSignature)
	}
	s, err := readSettings(envelope.Body, d)
	switch {
	case errors.Is(err, ErrOtherGroup):
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	case err != nil:
		return nil, fmt.Errorf("%w (%w)", ErrNewerSettings, err)
	}
	sum := sha256.Sum256(b)
	s.sum = binary.BigEndian.Uint64(sum[:])
	return s, nil
}

// readSettings reads a body that the CA of d's group has signed.
func readSettings(body []byte, d *Descriptor) (*Settings, error) {
	var all map[uint64]cbor.RawMessage
	var head struct {
		Format uint64 `cbor:"0,keyasint"`
	}
	if err := errors.Join(unmarshal(body, &all), unmarshal(body, &head)); err != nil {
		return nil, err
	}
	if head.Format != settingsFormat {
		return nil, fmt.Errorf("format %d, this program knows %d", head.Format, settingsFormat)
	}
	var w wireSettings
	if err := unmarshal(body, &w); err != nil {
		return nil, err
	}
	if w.Group != d.Group {
		return nil, fmt.Errorf("settings of group %s: %w", w.Group.Short(), ErrOtherGroup)
	}
	s, err := w.settings()
	if err != nil {
		return nil, err
	}
	if err := s.Validate(d.Params); err != nil {
		return nil, err
	}
	for key := range all {
		if key <= lastSetting {
			delete(all, key)
		}
	}
	if len(all) > 0 {
		s.unknown = all
	}
	return s, nil
}

func (w wireSettings) settings() (*Settings, error) {
	if w.Version == 0 || w.Made > 1<<40 {
		return nil, fmt.Errorf("version %d of second %d", w.Version, w.Made)
	}
	for _, list := range []struct {
		what string
		b    []byte
		size int
	}{{"DNS servers", w.DNS, 4}, {"NTP servers", w.NTP, 4}, {"routes", w.Routes, 9}, {"excluded addresses", w.Excluded, 8}, {"allowed hosts", w.Allowed, 6}, {"denied hosts", w.Denied, 6}} {
		if len(list.b)%list.size != 0 {
			return nil, fmt.Errorf("%s: torn, %d bytes", list.what, len(list.b))
		}
	}
	s := &Settings{
		Version: w.Version, Made: time.Unix(int64(w.Made), 0).UTC(), LeaseTime: time.Duration(w.LeaseTime) * time.Second,
		RenewPart: int(w.RenewPart), RebindPart: int(w.RebindPart), Domain: w.Domain, Search: w.Search,
		DNS: splitAddrs(w.DNS), NTP: splitAddrs(w.NTP), OnlyAllowed: w.Only, Allowed: splitMACs(w.Allowed), Denied: splitMACs(w.Denied),
	}
	if len(w.IPv6) > 0 {
		first, ok := netip.AddrFromSlice(append(w.IPv6[:len(w.IPv6):len(w.IPv6)], make([]byte, 16-ula.Bits/8)...))
		if !ok {
			return nil, fmt.Errorf("IPv6 prefix: %d bytes", len(w.IPv6))
		}
		var err error
		if s.IPv6, err = ula.Parse(netip.PrefixFrom(first, ula.Bits)); err != nil {
			return nil, fmt.Errorf("IPv6 prefix: %w", err)
		}
	}
	for b := w.Routes; len(b) > 0; b = b[9:] {
		s.Routes = append(s.Routes, Route{To: netip.PrefixFrom(netip.AddrFrom4([4]byte(b[:4])), int(b[4])), Via: netip.AddrFrom4([4]byte(b[5:9]))})
	}
	for b := w.Excluded; len(b) > 0; b = b[8:] {
		s.Excluded = append(s.Excluded, Range{First: netip.AddrFrom4([4]byte(b[:4])), Last: netip.AddrFrom4([4]byte(b[4:8]))})
	}
	return s, nil
}

func joinAddrs(all []netip.Addr) (b []byte) {
	for _, a := range all {
		b = binary.BigEndian.AppendUint32(b, number(a))
	}
	return b
}

func splitAddrs(b []byte) (all []netip.Addr) {
	for ; len(b) >= 4; b = b[4:] {
		all = append(all, netip.AddrFrom4([4]byte(b[:4])))
	}
	return all
}

func splitMACs(b []byte) (all []MAC) {
	for ; len(b) >= 6; b = b[6:] {
		all = append(all, MAC(b[:6]))
	}
	return all
}

// parsedSettings are settings in both forms.
type parsedSettings struct {
	signed   SignedSettings
	settings *Settings // nil: none
}

// newer reports whether came takes p's place. Of two of one version, which an authority makes that
// was set back to an older copy of its state, all members take the same.
func (p parsedSettings) newer(came parsedSettings) bool {
	switch {
	case p.settings == nil:
		return true
	case came.settings.Version != p.settings.Version:
		return came.settings.Version > p.settings.Version
	case !came.settings.Made.Equal(p.settings.Made):
		return came.settings.Made.After(p.settings.Made)
	}
	return bytes.Compare(came.signed, p.signed) > 0
}
