package main

import (
	"context"

	"landbridge/console/api"
)

// remote is the groups of a daemon.
type remote struct{ client *api.Local }

// Groups lists the daemon's groups.
func (r remote) Groups(ctx context.Context) ([]api.Group, error) {
	res, err := r.client.ListGroupsWithResponse(ctx)
	if err != nil {
		return nil, transportError(err)
	}
	list, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
	return list.Items, err
}

// CreateGroup has the daemon create a group.
func (r remote) CreateGroup(ctx context.Context, req api.GroupCreate) (api.Group, error) {
	res, err := r.client.CreateGroupWithResponse(ctx, req)
	if err != nil {
		return api.Group{}, transportError(err)
	}
	return answer(res.JSON201, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}

// Invite has the daemon make an invitation.
func (r remote) Invite(ctx context.Context, group string, req api.InvitationCreate) (api.Invitation, error) {
	res, err := r.client.CreateInvitationWithResponse(ctx, group, req)
	if err != nil {
		return api.Invitation{}, transportError(err)
	}
	return answer(res.JSON201, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}

// Invitations lists the daemon's invitations.
func (r remote) Invitations(ctx context.Context, group string) ([]api.IssuedInvitation, error) {
	res, err := r.client.ListInvitationsWithResponse(ctx, group)
	if err != nil {
		return nil, transportError(err)
	}
	list, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
	return list.Items, err
}

// RevokeInvitation has the daemon end an invitation.
func (r remote) RevokeInvitation(ctx context.Context, group, id string) (api.IssuedInvitation, error) {
	res, err := r.client.RevokeInvitationWithResponse(ctx, group, id)
	if err != nil {
		return api.IssuedInvitation{}, transportError(err)
	}
	return answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}

// GroupSettings returns the daemon's settings of a group.
func (r remote) GroupSettings(ctx context.Context, group string) (api.GroupSettings, error) {
	res, err := r.client.GetGroupSettingsWithResponse(ctx, group)
	if err != nil {
		return api.GroupSettings{}, transportError(err)
	}
	return answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}

// SetGroupSettings has the daemon change them.
func (r remote) SetGroupSettings(ctx context.Context, group string, req api.GroupSettingsChange) (api.GroupSettings, error) {
	res, err := r.client.SetGroupSettingsWithResponse(ctx, group, req)
	if err != nil {
		return api.GroupSettings{}, transportError(err)
	}
	return answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}

// Remove has the daemon remove a member.
func (r remote) Remove(ctx context.Context, group, member, reason string) (api.Removal, error) {
	res, err := r.client.RemoveMemberWithResponse(ctx, group, member, &api.RemoveMemberParams{Reason: reason})
	if err != nil {
		return api.Removal{}, transportError(err)
	}
	return answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}

// Requests lists who waits to be let in.
func (r remote) Requests(ctx context.Context, group string) ([]api.Applicant, error) {
	res, err := r.client.ListRequestsWithResponse(ctx, group)
	if err != nil {
		return nil, transportError(err)
	}
	list, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
	return list.Items, err
}

// Approve has the daemon let an appliance in.
func (r remote) Approve(ctx context.Context, group, member string) (api.GroupMember, error) {
	res, err := r.client.ApproveRequestWithResponse(ctx, group, member)
	if err != nil {
		return api.GroupMember{}, transportError(err)
	}
	return answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}

// Deny has the daemon refuse an appliance.
func (r remote) Deny(ctx context.Context, group, member, reason string) (api.Applicant, error) {
	res, err := r.client.DenyRequestWithResponse(ctx, group, member, api.Denial{Reason: reason})
	if err != nil {
		return api.Applicant{}, transportError(err)
	}
	return answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}

// Join has the daemon join a group.
func (r remote) Join(ctx context.Context, req api.JoinRequest) (api.Joined, error) {
	res, err := r.client.JoinGroupWithResponse(ctx, req)
	if err != nil {
		return api.Joined{}, transportError(err)
	}
	if res.JSON200 != nil {
		return api.Joined{Group: *res.JSON200, Already: true}, nil
	}
	if res.JSON202 != nil {
		return api.Joined{Waiting: res.JSON202}, nil
	}
	g, err := answer(res.JSON201, res.ApplicationProblemJSONDefault, res.HTTPResponse)
	return api.Joined{Group: g}, err
}

// Applications lists the groups for which the daemon waits.
func (r remote) Applications(ctx context.Context) ([]api.JoinApplication, error) {
	res, err := r.client.ListApplicationsWithResponse(ctx)
	if err != nil {
		return nil, transportError(err)
	}
	list, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
	return list.Items, err
}

// WithdrawApplication has the daemon wait no longer.
func (r remote) WithdrawApplication(ctx context.Context, group string) (api.JoinApplication, error) {
	res, err := r.client.WithdrawApplicationWithResponse(ctx, group)
	if err != nil {
		return api.JoinApplication{}, transportError(err)
	}
	return answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}

// Leave has the daemon leave a group.
func (r remote) Leave(ctx context.Context, group string, destroyCA bool) (api.Departure, error) {
	res, err := r.client.LeaveGroupWithResponse(ctx, group, &api.LeaveGroupParams{DestroyCA: destroyCA})
	if err != nil {
		return api.Departure{}, transportError(err)
	}
	return answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}
