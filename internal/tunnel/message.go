package tunnel

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/fxamacker/cbor/v2"

	"landbridge/internal/group"
)

// The offer and its answer travel over the signal stream, not over UDP. Each is a
// signed body; the answer's body holds the hash of the offer's, so that the two
// signatures cover the whole exchange.

const (
	offerVersion = 1
	offerDomain  = "landbridge tunnel offer 1"
	answerDomain = "landbridge tunnel answer 1"

	maxMessage     = 16 << 10 // bytes of an offer or answer
	maxCertificate = 4 << 10
)

// Errors of an offer or an answer, beside those of Membership.
var (
	// ErrVersion means that the other member runs a version that we can't talk to.
	ErrVersion = errors.New("the member's tunnel speaks another version: update the older of the two")
	// ErrMessage means that an offer or answer isn't one, or isn't for us.
	ErrMessage = errors.New("not a good offer or answer")
	// ErrBusy means that too many offers came.
	ErrBusy = errors.New("too many offers: try again in a second")
	// ErrClosed means that the tunnel has been closed.
	ErrClosed = errors.New("the tunnel is closed")
)

// signed is what travels.
type signed struct {
	Body      []byte `cbor:"1,keyasint"`
	Signature []byte `cbor:"2,keyasint"`
}

// offerBody asks a member for a session.
type offerBody struct {
	Version     uint64   `cbor:"1,keyasint"`
	Group       []byte   `cbor:"2,keyasint"`
	From        []byte   `cbor:"3,keyasint"`
	To          []byte   `cbor:"4,keyasint"`
	Ephemeral   []byte   `cbor:"5,keyasint"` // X25519
	Index       uint32   `cbor:"6,keyasint"` // receiver index of the sender
	AES         bool     `cbor:"7,keyasint"` // in hardware
	Certificate []byte   `cbor:"8,keyasint"` // DER
	Fresh       bool     `cbor:"9,keyasint"` // the sender holds no keys of a former session
	Relay       bool     `cbor:"10,keyasint"`
	Homes       [][]byte `cbor:"11,keyasint"` // addresses of its own interfaces: 4 or 16 bytes and 2 of port
	Seen        [][]byte `cbor:"12,keyasint"` // addresses that others see
	Relays      [][]byte `cbor:"13,keyasint"` // members that relay for it
}

// answerBody accepts an offer, or says that the answerer's own offer stands.
type answerBody struct {
	Superseded bool      `cbor:"1,keyasint"`
	Offer      []byte    `cbor:"2,keyasint"` // SHA-256 of the offer's body
	Cipher     Cipher    `cbor:"3,keyasint"`
	Sender     offerBody `cbor:"4,keyasint"`
}

// codec has the strict limits of everything that comes from a peer.
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func newCodec() (codec, error) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return codec{}, err
	}
	dec, err := cbor.DecOptions{
		MaxNestedLevels: 8, MaxArrayElements: 64, MaxMapPairs: 64,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		DupMapKey: cbor.DupMapKeyEnforcedAPF,
	}.DecMode()
	return codec{enc, dec}, err
}

func encodeEndpoints(list []endpointCandidate, host bool) [][]byte {
	var out [][]byte
	for _, e := range list {
		if e.host == host {
			ip := e.addr.Addr().Unmap().AsSlice()
			out = append(out, binary.BigEndian.AppendUint16(ip, e.addr.Port()))
		}
	}
	return out
}

func decodeEndpoints(raw [][]byte, host bool) ([]endpointCandidate, error) {
	var out []endpointCandidate
	for _, b := range raw {
		if len(b) < 2 {
			return nil, ErrMessage
		}
		ip, ok := netip.AddrFromSlice(b[:len(b)-2])
		if !ok {
			return nil, ErrMessage
		}
		addr := netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(b[len(b)-2:]))
		out = append(out, endpointCandidate{addr: addr, host: host})
	}
	return out, nil
}

// candidates reads the candidate list of an offer or answer.
func (o *offerBody) candidates() (c candidateList, err error) {
	if len(o.Homes)+len(o.Seen) > maxOffered || len(o.Relays) > maxRelays {
		return c, fmt.Errorf("%w: too many addresses", ErrMessage)
	}
	homes, err := decodeEndpoints(o.Homes, true)
	if err != nil {
		return c, err
	}
	seen, err := decodeEndpoints(o.Seen, false)
	if err != nil {
		return c, err
	}
	c.endpoints = append(homes, seen...)
	for _, r := range o.Relays {
		if len(r) != len(group.MemberID{}) {
			return c, fmt.Errorf("%w: a relay's ID", ErrMessage)
		}
		c.relays = append(c.relays, group.MemberID(r))
	}
	return c, nil
}

// check tests an offer or answer's sender part: for this group, from this member,
// for us, and the sender is a member in good standing.
func (t *Tunnel) check(o *offerBody, from group.MemberID, body, sig []byte, domain string) error {
	m := t.cfg.Membership
	id := m.Group()
	switch {
	case o.Version != offerVersion:
		return ErrVersion
	case !bytes.Equal(o.Group, id[:]):
		return fmt.Errorf("%w: of another group", ErrMessage)
	case !bytes.Equal(o.From, from[:]) || !bytes.Equal(o.To, t.self[:]):
		return fmt.Errorf("%w: between other members", ErrMessage)
	case len(o.Ephemeral) != ephemeralSize || o.Index == 0 || len(o.Certificate) > maxCertificate:
		return fmt.Errorf("%w: sizes", ErrMessage)
	}
	now := time.Now()
	if err := m.CheckCertificate(from, o.Certificate, now); err != nil {
		return err
	}
	if err := m.Authorized(from, now); err != nil {
		return err
	}
	return m.Verify(domain, from, body, sig)
}

// describe fills in what an offer and an answer say of us.
func (t *Tunnel) describe(to group.MemberID, ephemeral []byte, index uint32, fresh bool) offerBody {
	m := t.cfg.Membership
	id := m.Group()
	list := t.candidates()
	o := offerBody{
		Version: offerVersion, Group: id[:], From: t.self[:], To: to[:],
		Ephemeral: ephemeral, Index: index, AES: hardwareAES(), Certificate: m.Certificate(),
		Fresh: fresh, Relay: !t.cfg.Relay.Off,
		Homes: encodeEndpoints(list.endpoints, true), Seen: encodeEndpoints(list.endpoints, false),
	}
	for _, r := range list.relays {
		o.Relays = append(o.Relays, r[:])
	}
	return o
}

// sign encodes and signs a body; raw is what was signed.
func (t *Tunnel) sign(domain string, body any) (message, raw []byte, err error) {
	raw, err = t.codec.enc.Marshal(body)
	if err != nil {
		return nil, nil, err
	}
	message, err = t.codec.enc.Marshal(signed{Body: raw, Signature: t.cfg.Membership.Sign(domain, raw)})
	return message, raw, err
}

// decode reads a signed message without believing it yet.
func (c codec) decode(message []byte, body any) (s signed, err error) {
	if len(message) > maxMessage {
		return s, fmt.Errorf("%w: %d bytes", ErrMessage, len(message))
	}
	if err := c.dec.Unmarshal(message, &s); err != nil {
		return s, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	if err := c.dec.Unmarshal(s.Body, body); err != nil {
		return s, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	return s, nil
}

// transcript is what the keys of an exchange depend on.
func transcript(offer, answer []byte) []byte {
	a, b := sha256.Sum256(offer), sha256.Sum256(answer)
	return append(a[:], b[:]...)
}
