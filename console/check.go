package console

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"landbridge/console/access"
	"landbridge/console/api"
)

// Checks says what an Appliance would refuse, and changes nothing.
type Checks interface {
	CheckGroup(ctx context.Context, req api.GroupCreate) error
	CheckReservation(ctx context.Context, addr netip.Addr, r api.ReservationCreate) error
	CheckLeaseName(ctx context.Context, addr netip.Addr, name string) error
	CheckHost(ctx context.Context, mac string, req api.HostRegistration) error
	CheckJoin(ctx context.Context, req api.JoinRequest) error
	CheckGroupSettings(ctx context.Context, group string, req api.GroupSettingsChange) error
}

// errNothingWrong is the outcome of a check that found nothing. It is an error so that nobody
// takes what wasn't done for done.
var errNothingWrong = &Error{status: http.StatusNoContent, err: errors.New("nothing is wrong with the request, which was only checked")}

// check has an operation say what is wrong with a request. Nothing is changed, so that a
// password isn't wanted once more, and nothing is to be kept in the audit log. An operation whose
// handler knows nothing of checks isn't called.
func (s *Server) check(ctx context.Context, op api.Operation, call func(context.Context) error) error {
	if !op.Check {
		return Invalid(errors.New("this can't be only checked: send it without the header " + api.CheckHeader + " to have it done"))
	}
	op.Reauth = false
	if err := s.users.Authorize(access.FromContext(ctx), op); err != nil {
		return err
	}
	if err := call(ctx); err != nil {
		return err
	}
	return errNothingWrong
}
