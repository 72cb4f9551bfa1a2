package acme

import "context"

// Record is a TXT record by which a CA sees that a name is ours.
type Record struct {
	Name  string `cbor:"1,keyasint"` // with the dot at its end
	Value string `cbor:"2,keyasint"` // 43 characters of base64url
}

// Solver sets and clears records. What it is asked for may be so already, as after a kill.
type Solver interface {
	// Set has the record's name hold its value, besides what else it holds.
	Set(ctx context.Context, r Record) error
	// Clear takes the value away, where the protocol knows of that.
	Clear(ctx context.Context, r Record) error
}
