package group

import "github.com/fxamacker/cbor/v2"

// Limits of what is read from others, in bytes.
const (
	MaxDescriptorSize  = 640 << 10
	MaxCertificateSize = 2 << 10
	MaxRequestSize     = 1 << 10
	MaxReplySize       = MaxDescriptorSize + MaxCertificateSize + 1<<10
)

// marshal encodes deterministically (RFC 8949 section 4.2.1), so that one descriptor
// has one signature.
func marshal(v any) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(v)
}

// unmarshal decodes what a stranger may have sent: one item, nothing behind it, no
// tags, no indefinite lengths, no key twice, little nesting. Unknown fields are
// ignored. The caller bounds b.
func unmarshal(b []byte, v any) error {
	mode, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  6,
		MaxArrayElements: MaxMembers,
		MaxMapPairs:      32,
	}.DecMode()
	if err != nil {
		return err
	}
	return mode.Unmarshal(b, v)
}
