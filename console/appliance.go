package console

import (
	"context"
	"errors"
	"io"
	"time"

	"landbridge/console/api"
)

// Appliance is what the console shows and steers. All methods are safe for concurrent
// use, return at once or soon (they must not wait for other members, Join, Leave, SwitchMode and HearAll apart), and
// hand over values that the caller may keep and change.
//
// An error that a person caused is marked by Invalid, NotFound, Conflict or Unavailable
// and becomes a problem of the fitting status; any other error is a fault of the
// appliance (500).
type Appliance interface {
	Memberships
	Modes
	Hosts
	Leases
	Checks
	Names
	Forwarders
	Diagnostics
	Named
	Maintenance
	Updates
	Status(ctx context.Context) (api.Status, error)
	Peers(ctx context.Context) ([]api.Peer, error)
	Blocks(ctx context.Context) ([]api.Block, error)
	Counters(ctx context.Context) ([]api.Counter, error)
	// Throughput is how fast traffic was.
	Throughput(ctx context.Context) (api.Throughput, error)
	Segments
	// Events is what happens; the same for as long as the appliance runs.
	Events() *Events
}

// Named is what people call an Appliance.
type Named interface {
	// Name returns the name, and whether the configuration decides it.
	Name() (name string, fixed bool)
	// CheckName says in words what is wrong with a new name.
	CheckName(name string) error
	Rename(ctx context.Context, name string) error
}

// Maintenance is what is done with an Appliance as a program.
type Maintenance interface {
	// Time tells of the clock, and how it compares with those of the members.
	Time(ctx context.Context) (api.Time, error)
	// Restart has it end and start anew, and returns before that begins.
	Restart(ctx context.Context) error
	// CheckRestore takes in a copy of a state, checks it whole and says what restoring it would change,
	// which is nothing yet. A copy that waited is forgotten.
	CheckRestore(ctx context.Context, r io.Reader) (api.Restore, error)
	// WaitingRestore says what the copy that waits would change.
	WaitingRestore(ctx context.Context) (api.Restore, error)
	ForgetRestore(ctx context.Context) error
	// ApplyRestore restores the copy that has this ID by a restart.
	ApplyRestore(ctx context.Context, id string) error
}

// Updates is how an Appliance that is the image is updated. On a host all but Update is a Conflict.
type Updates interface {
	// Update tells how it stands.
	Update(ctx context.Context) (api.Update, error)
	// CheckUpdate takes in an update, checks it whole and says what it is; nothing is changed yet. One
	// that waited is forgotten.
	CheckUpdate(ctx context.Context, r io.Reader) (api.UpdateOffer, error)
	// ForgetUpdate removes the update that waits, and what is known of how the last one ended.
	ForgetUpdate(ctx context.Context) error
	// ApplyUpdate and RollbackUpdate return before the machine begins with it.
	ApplyUpdate(ctx context.Context, order api.UpdateOrder) error
	RollbackUpdate(ctx context.Context) error
}

// Hosts is the hosts that DHCP serves whatever the policy says, and the groups that they are of by name.
type Hosts interface {
	Hosts(ctx context.Context) ([]api.RegisteredHost, error)
	// RegisterHost and ForgetHost take a hardware address as a person writes it. by is who orders it.
	RegisterHost(ctx context.Context, mac string, req api.HostRegistration, by string) (api.RegisteredHost, error)
	ForgetHost(ctx context.Context, mac, by string) (api.RegisteredHost, error)
}

// Segments is what the groups are attached to, and whom DHCP serves there. group is as for Invitations.
type Segments interface {
	Segments(ctx context.Context) ([]api.Segment, error)
	// PlanSegment tells what a change would do, or why it is refused. It changes nothing.
	PlanSegment(ctx context.Context, group string, req api.SegmentChange) (api.SegmentPlan, error)
	// SetSegment changes it. by is who orders it.
	SetSegment(ctx context.Context, group string, req api.SegmentChange, by string) (api.SegmentPlan, error)
}

// Modes is how an Appliance is attached, and switching that.
type Modes interface {
	Mode(ctx context.Context) (api.ModeStatus, error)
	// PlanMode tells what a switch would do, or why it is refused. It changes nothing.
	PlanMode(ctx context.Context, req api.ModeRequest) (api.ModePlan, error)
	// SwitchMode applies and verifies a switch, which takes some seconds at most, and has it
	// wait for confirmation.
	SwitchMode(ctx context.Context, req api.ModeRequest) (api.ModeStatus, error)
	ConfirmMode(ctx context.Context) (api.ModeStatus, error)
	RollbackMode(ctx context.Context) (api.ModeStatus, error)
}

// Memberships is the part of an Appliance that also works on its state directory alone,
// while no daemon runs.
type Memberships interface {
	Invitations
	Requests
	Joining
	Settings
	Groups(ctx context.Context) ([]api.Group, error)
	// CreateGroup makes a group with this node as its first member. Fields that are
	// zero in the request get their defaults; what is wrong comes back by Invalid.
	CreateGroup(ctx context.Context, req api.GroupCreate) (api.Group, error)
	// Remove ends a membership, which only the appliance with the CA key can. group is as
	// for Invitations, member a member ID or a name. All members are told the reason.
	Remove(ctx context.Context, group, member, reason string) (api.Removal, error)
	// Leave ends the group here and forgets it. Where that destroys the CA key it is a
	// Conflict, unless destroyCA is set. It may take some seconds.
	Leave(ctx context.Context, group string, destroyCA bool) (api.Departure, error)
}

// Settings are what can be changed of a group while it runs, on the appliance with the CA key; all
// others only tell of them. group is as for Invitations. A change of other settings than those of the
// version that the request names is a Conflict.
type Settings interface {
	GroupSettings(ctx context.Context, group string) (api.GroupSettings, error)
	SetGroupSettings(ctx context.Context, group string, req api.GroupSettingsChange) (api.GroupSettings, error)
}

// Invitations are made, listed and revoked on the appliance with the CA key. group is a
// group ID or an unambiguous name.
type Invitations interface {
	Invite(ctx context.Context, group string, req api.InvitationCreate) (api.Invitation, error)
	Invitations(ctx context.Context, group string) ([]api.IssuedInvitation, error)
	RevokeInvitation(ctx context.Context, group, id string) (api.IssuedInvitation, error)
}

// Requests are appliances that wait to be let in, by an invitation that demands approval, on
// the appliance with the CA key. member is a member ID, a fingerprint or a name.
type Requests interface {
	Requests(ctx context.Context, group string) ([]api.Applicant, error)
	Approve(ctx context.Context, group, member string) (api.GroupMember, error)
	Deny(ctx context.Context, group, member, reason string) (api.Applicant, error)
}

// Joining is how an Appliance comes into a group.
type Joining interface {
	// Join asks the group's authority for membership; it may take until ctx is done. For
	// a good member of the invitation's group it does nothing, and says that it is one already.
	Join(ctx context.Context, req api.JoinRequest) (api.Joined, error)
	// Applications are the groups for which the appliance waits, and those that refused it.
	// Where no daemon asks again and again, it asks.
	Applications(ctx context.Context) ([]api.JoinApplication, error)
	// WithdrawApplication ends the wait for the group with this ID.
	WithdrawApplication(ctx context.Context, group string) (api.JoinApplication, error)
}

// Error is an error with its meaning for who asked. Make one with Invalid, NotFound,
// Conflict or Unavailable.
type Error struct {
	status int              // the HTTP status that says it
	fields []api.FieldError // which fields are wrong, where that is known
	retry  time.Duration    // when to come again; 0 where that isn't known
	err    error
}

// Error returns the text of the error that was marked.
func (e *Error) Error() string { return e.err.Error() }

// Fields returns which fields of the request are wrong, where that is known.
func (e *Error) Fields() []api.FieldError { return e.fields }

// Unwrap returns the error that was marked.
func (e *Error) Unwrap() error { return e.err }

// Invalid marks err as the fault of the request: something in it is wrong (422). The
// fields say which, where that is known.
func Invalid(err error, fields ...api.FieldError) error {
	return &Error{status: statusInvalid, fields: fields, err: err}
}

// NotFound marks err as a question about something that isn't here (404).
func NotFound(err error) error { return &Error{status: statusNotFound, err: err} }

// Conflict marks err as a request that doesn't fit the present state (409). The fields say what
// of it, where that is known.
func Conflict(err error, fields ...api.FieldError) error {
	return &Error{status: statusConflict, fields: fields, err: err}
}

// Unavailable marks err as something that the network can't do now but may do later (503).
func Unavailable(err error) error { return &Error{status: statusUnavailable, err: err} }

// asError returns the marked error in err's chain.
func asError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}
