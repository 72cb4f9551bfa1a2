package api

import "context"

// Operation is what the document says of one operation besides its types.
type Operation struct {
	ID     string // the operationId
	Method string // as GET
	Path   string // echo's pattern, as /api/v1/groups/:group
	Role   string // x-role: anyone, viewer, operator or administrator
	Reauth bool   // x-reauth: needs a password or TOTP code given a moment ago
	Stream bool   // x-stream: the answer goes on until somebody ends it
	Check  bool   // x-check: can be only checked (CheckOnly)
	Audit  bool   // kept in the audit log: what changes something, unless x-audit says otherwise
}

// Guard decides whether an operation is done, and does it by call or returns why not. target
// is what the operation is about: the values of its path parameters.
type Guard func(ctx context.Context, op Operation, target string, call func(context.Context) error) error

// CheckHeader is the header of a request that is only to be checked.
const CheckHeader = "X-Check-Only"

type checkKey struct{}

// CheckOnly returns a context in which operations that change something say what is wrong with
// a request, and change nothing; those without x-check refuse it. Package console sees to that.
func CheckOnly(ctx context.Context) context.Context {
	return context.WithValue(ctx, checkKey{}, true)
}

// IsCheck reports whether a request is only to be checked.
func IsCheck(ctx context.Context) bool { return ctx.Value(checkKey{}) != nil }

// Bounds is told the bounds that the document sets for the fields of a request, with what they hold.
type Bounds interface {
	// Length bounds a text; given says that it must not be empty.
	Length(field, v string, given bool, most int)
	// Between bounds a number that is given.
	Between(field string, v, least, most int64)
}
