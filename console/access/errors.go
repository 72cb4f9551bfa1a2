package access

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"landbridge/console/api"
)

// Kind is what a refusal means for who asked.
type Kind int

// The kinds.
const (
	Invalid         Kind = iota // a field is wrong: 422
	NotFound                    // 404
	Conflict                    // the present state doesn't allow it: 409
	Unauthenticated             // nobody, or a wrong name, password or code: 401
	Forbidden                   // somebody who may not: 403
	Reauthenticate              // first the password or a code again: 403
	TooMany                     // come again later: 429
)

// Refusals of requests that say about themselves what can't be.
var (
	errSetUp   = refuse(Conflict, "this appliance has an administrator already: log in instead")
	ErrNobody  = refuse(Unauthenticated, "log in first")
	ErrToken   = refuse(Unauthenticated, "the API token is unknown, revoked or over: make another one in the console")
	ErrForeign = refuse(Forbidden, "another site sent this in your browser's name: open the console itself")
	ErrCSRF    = refuse(Forbidden, "the request doesn't carry its session's CSRF token, as one sent by another site: load the page again (programs: the header X-CSRF-Token, with what GET /api/v1/session says)")
)

// Error is a refusal in words, with its meaning.
type Error struct {
	Kind   Kind
	Fields []api.FieldError // which fields are wrong, where that is known
	Retry  time.Duration    // TooMany: when to come again
	Code   bool             // Unauthenticated: name and password may be right, and a TOTP code is wanted
	text   string
}

// Error returns the refusal in words.
func (e *Error) Error() string { return e.text }

func refuse(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, text: fmt.Sprintf(format, args...)}
}

// invalid returns the refusal of fields, nil where there are none.
func invalid(fields ...api.FieldError) error {
	if len(fields) == 0 {
		return nil
	}
	said := make([]string, len(fields))
	for i, f := range fields {
		said[i] = f.Field + ": " + f.Detail
	}
	return &Error{Kind: Invalid, Fields: fields, text: strings.Join(said, "; ")}
}

// IsKind reports whether err is a refusal of this kind.
func IsKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// tooMany returns the refusal of who must wait; the wait is told in whole seconds.
func tooMany(wait time.Duration, format string, args ...any) error {
	wait = max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
	return &Error{Kind: TooMany, Retry: wait, text: fmt.Sprintf(format, args...) + fmt.Sprintf(": try again in %v", wait)}
}
