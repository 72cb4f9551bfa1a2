package modes

// Kind says what to do about an Error.
type Kind uint8

// The kinds.
const (
	Invalid     Kind = iota + 1 // ask for something else
	Conflict                    // not as things are; nothing was done
	Unavailable                 // it was tried
)

// Error is why a switch, or what becomes of it, isn't as it was asked for.
type Error struct {
	Kind  Kind
	Field string // of what was asked for: "mode" or "lanPort"; where Kind is Invalid
	err   error
}

func (e *Error) Error() string { return e.err.Error() }

func (e *Error) Unwrap() error { return e.err }

func conflict(err error) error { return &Error{Kind: Conflict, err: err} }

func unavailable(err error) error { return &Error{Kind: Unavailable, err: err} }
