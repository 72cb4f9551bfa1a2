package doctor

// Kind says what to do about an Error.
type Kind uint8

// The kinds.
const (
	Invalid     Kind = iota + 1 // ask for something else
	NotFound                    // there is no such thing
	Unavailable                 // it may be found out later
)

// Error is why something can't be looked into.
type Error struct {
	Kind Kind
	Want string // of a target, where Kind is Invalid
	err  error
}

func (e *Error) Error() string { return e.err.Error() }

func (e *Error) Unwrap() error { return e.err }

func notFound(err error) error { return &Error{Kind: NotFound, err: err} }

func unavailable(err error) error { return &Error{Kind: Unavailable, err: err} }
