package registry

import (
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"landbridge/internal/group"
)

// Limits of what a peer may send.
const (
	maxMessage     = 1 << 20
	maxRecord      = 256 << 10
	maxBlocksAsk   = 512 // blocks in one transfer or status message
	maxHints       = 256 // hints in one message
	maxClientID    = 255 // RFC 2132 section 9.14
	maxName        = 63  // RFC 1035 section 2.3.4
	maxDescriptor  = 640 << 10
	maxCertificate = 8 << 10
	maxCandidates  = 4 // addresses remembered for one hint key
)

// kind of a request.
type kind uint8

const (
	kindPrepare  kind = 1 + iota // Block, Ballot
	kindAccept                   // Block, Ballot, BaseBallot, Base, Value
	kindTransfer                 // Blocks -> States
	kindStore                    // Record: holder or replica to replica
	kindLookup                   // Block: to a replica -> Grant, Record
	kindWatch                    // Block: to the holder -> Record; pushes follow
	kindPush                     // Record: holder to watcher
	kindMove                     // Block, Move: serving member to holder, or (moveSeen) to the serving one -> Record
	kindHint                     // Hints: to the replicas of their keys
	kindAsk                      // Key -> Addrs
	kindGrants                   // Blocks -> Grants: what the replica knows, without a quorum
	kindAliases                  // Value.Epoch: of the aliases, which an older program's other messages don't tell
	kindEnd
)

// request is every message that a member sends. Which fields count depends on
// the kind.
type request struct {
	Kind       kind         `cbor:"1,keyasint"`
	Group      group.ID     `cbor:"2,keyasint"`
	Version    uint64       `cbor:"3,keyasint"` // of the sender's descriptor
	Descriptor []byte       `cbor:"4,keyasint,omitempty"`
	Block      BlockID      `cbor:"5,keyasint,omitempty"`
	Ballot     Ballot       `cbor:"6,keyasint,omitzero"`
	BaseBallot Ballot       `cbor:"7,keyasint,omitzero"`
	Base       Grant        `cbor:"8,keyasint,omitzero"`
	Value      Grant        `cbor:"9,keyasint,omitzero"`
	Blocks     []BlockID    `cbor:"10,keyasint,omitempty"`
	Record     []byte       `cbor:"11,keyasint,omitempty"`
	Move       *moveRequest `cbor:"12,keyasint,omitempty"`
	Hints      []hint       `cbor:"13,keyasint,omitempty"`
	Key        []byte       `cbor:"14,keyasint,omitempty"`
	// Certificate is sent when the other side answered statusStranger.
	Certificate []byte `cbor:"15,keyasint,omitempty"`
	// Mark is of the sender's memory, OfYou what it has seen of the receiver's, and Others
	// of some more members'.
	Mark   mark        `cbor:"16,keyasint,omitzero"`
	OfYou  seen        `cbor:"17,keyasint,omitzero"`
	Others []testimony `cbor:"18,keyasint,omitempty"`
	// Aliases is the epoch of the table of aliases that the sender goes by.
	Aliases uint64 `cbor:"19,keyasint,omitempty"`
}

// moveKind says what a serving member wants of an address in another's block.
type moveKind uint8

const (
	moveTake  moveKind = 1 + iota // the lessee is on my segment: sign the address over
	moveKeep                      // as moveTake, from the member that serves it already
	moveGone                      // released or expired: it is free again
	moveAdopt                     // a host on my segment uses this address, which nobody has: sign it over
	moveSeen                      // a host with MAC uses the address on my segment: give it up if it has left yours
	moveEnd
)

// moveRequest travels with kindMove.
type moveRequest struct {
	Kind    moveKind   `cbor:"1,keyasint"`
	Offset  uint16     `cbor:"2,keyasint"`
	Client  clientHash `cbor:"3,keyasint"`
	Segment SegmentID  `cbor:"4,keyasint"`
	Name    string     `cbor:"5,keyasint,omitempty"`
	MAC     [6]byte    `cbor:"6,keyasint,omitzero"`  // moveSeen: instead of Client, which the asker doesn't know
	Six     bool       `cbor:"7,keyasint,omitempty"` // the host has taken its IPv6 address
}

// hint says that the client or name of Key may be found at Addr. It is never
// believed: the block's record decides.
type hint struct {
	Key  [32]byte `cbor:"1,keyasint"`
	Addr [4]byte  `cbor:"2,keyasint"`
	Gone bool     `cbor:"3,keyasint,omitempty"`
}

// reply is every answer.
type reply struct {
	Status     status          `cbor:"1,keyasint"`
	Descriptor []byte          `cbor:"2,keyasint,omitempty"` // with statusStale
	Promised   Ballot          `cbor:"3,keyasint,omitzero"`
	Accepted   Ballot          `cbor:"4,keyasint,omitzero"`
	Value      Grant           `cbor:"5,keyasint,omitzero"`
	Lapsed     bool            `cbor:"6,keyasint,omitempty"`
	States     []transferReply `cbor:"7,keyasint,omitempty"`
	Record     []byte          `cbor:"8,keyasint,omitempty"`
	Addrs      [][4]byte       `cbor:"9,keyasint,omitempty"`
	Grants     []Grant         `cbor:"10,keyasint,omitempty"`
	Mark       mark            `cbor:"11,keyasint,omitzero"` // as in request
	OfYou      seen            `cbor:"12,keyasint,omitzero"`
	// Client and Name are the lessee's, of an address that is given up for moveSeen.
	Client []byte `cbor:"13,keyasint,omitempty"`
	Name   string `cbor:"14,keyasint,omitempty"`
	// Aliases is as in request.
	Aliases uint64 `cbor:"15,keyasint,omitempty"`
}

func (r reply) verdict() verdict {
	return verdict{status: r.Status, promised: r.Promised, accepted: r.Accepted, value: r.Value, lapsed: r.Lapsed}
}

func (v verdict) reply() reply {
	return reply{Status: v.status, Promised: v.promised, Accepted: v.accepted, Value: v.value, Lapsed: v.lapsed}
}

// codec is the CBOR of messages and records: deterministic out, strict in.
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
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  8,
		MaxArrayElements: 2048,
		MaxMapPairs:      32,
	}.DecMode()
	if err != nil {
		return codec{}, err
	}
	return codec{enc: enc, dec: dec}, nil
}

func (c codec) encode(v any) ([]byte, error) { return c.enc.Marshal(v) }

// decodeRequest checks everything about a request that needs no state.
func (c codec) decodeRequest(raw []byte) (request, error) {
	var q request
	if len(raw) > maxMessage {
		return q, fmt.Errorf("registry request of %d bytes: at most %d", len(raw), maxMessage)
	}
	if err := c.dec.Unmarshal(raw, &q); err != nil {
		return q, fmt.Errorf("registry request: %w", err)
	}
	switch {
	case q.Kind == 0 || q.Kind >= kindEnd:
		return q, fmt.Errorf("registry request of unknown kind %d", q.Kind)
	case len(q.Blocks) > maxBlocksAsk, len(q.Hints) > maxHints, len(q.Record) > maxRecord,
		len(q.Descriptor) > maxDescriptor, len(q.Certificate) > maxCertificate, len(q.Others) > replicaCount,
		len(q.Base.Aliases) > maxAliasText, len(q.Value.Aliases) > maxAliasText:
		return q, fmt.Errorf("registry request of kind %d is over its limits", q.Kind)
	case len(q.Blocks) > 1 && slices.Contains(q.Blocks, aliasRegister):
		return q, fmt.Errorf("registry request of kind %d: the register of the aliases stands alone", q.Kind)
	case q.Kind == kindAsk && len(q.Key) != 32:
		return q, fmt.Errorf("registry request: key of %d bytes, want 32", len(q.Key))
	case q.Kind == kindMove && (q.Move == nil || q.Move.Kind == 0 || q.Move.Kind >= moveEnd || len(q.Move.Name) > maxName):
		return q, fmt.Errorf("registry request: bad move")
	}
	return q, nil
}

// decodeReply is the same for an answer.
func (c codec) decodeReply(raw []byte) (reply, error) {
	var a reply
	if len(raw) > maxMessage {
		return a, fmt.Errorf("registry reply of %d bytes: at most %d", len(raw), maxMessage)
	}
	if err := c.dec.Unmarshal(raw, &a); err != nil {
		return a, fmt.Errorf("registry reply: %w", err)
	}
	if a.Status >= statusCount || len(a.States) > maxBlocksAsk || len(a.Grants) > maxBlocksAsk ||
		len(a.Record) > maxRecord || len(a.Addrs) > maxCandidates || len(a.Descriptor) > maxDescriptor ||
		len(a.Client) > maxClientID || len(a.Name) > maxName || len(a.Value.Aliases) > maxAliasText || tooMuchText(a) {
		return a, fmt.Errorf("registry reply is over its limits")
	}
	return a, nil
}

// tooMuchText reports whether an answer has more of the aliases than their register alone may have.
func tooMuchText(a reply) bool {
	text := 0
	for _, g := range a.Grants {
		text += len(g.Aliases)
	}
	for _, s := range a.States {
		text += len(s.Value.Aliases)
	}
	return text > maxAliasText
}
