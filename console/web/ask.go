package web

import (
	"context"
	"fmt"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// ask runs an operation of the API for a page, in the name of who asked for the page.
func ask[Request, Response, Answer any](
	c echo.Context, f func(context.Context, Request) (Response, error), request Request,
) (answer Answer, err error) {
	response, err := f(c.Request().Context(), request)
	if err != nil {
		return answer, err
	}
	answer, ok := any(response).(Answer)
	if !ok {
		return answer, fmt.Errorf("the API answered with a %T, which the page doesn't know", response)
	}
	return answer, nil
}

func (p *Pages) status(c echo.Context) (api.Status, error) {
	s, err := ask[api.GetStatusRequestObject, api.GetStatusResponseObject, api.GetStatus200JSONResponse](
		c, p.api.GetStatus, api.GetStatusRequestObject{})
	return api.Status(s), err
}

func (p *Pages) peers(c echo.Context) ([]api.Peer, error) {
	l, err := ask[api.ListPeersRequestObject, api.ListPeersResponseObject, api.ListPeers200JSONResponse](
		c, p.api.ListPeers, api.ListPeersRequestObject{})
	return l.Items, err
}

func (p *Pages) blocks(c echo.Context) ([]api.Block, error) {
	l, err := ask[api.ListBlocksRequestObject, api.ListBlocksResponseObject, api.ListBlocks200JSONResponse](
		c, p.api.ListBlocks, api.ListBlocksRequestObject{})
	return l.Items, err
}

func (p *Pages) groups(c echo.Context) ([]api.Group, error) {
	l, err := ask[api.ListGroupsRequestObject, api.ListGroupsResponseObject, api.ListGroups200JSONResponse](
		c, p.api.ListGroups, api.ListGroupsRequestObject{})
	return l.Items, err
}

func (p *Pages) leases(c echo.Context, params api.ListLeasesParams) (api.LeaseList, error) {
	l, err := ask[api.ListLeasesRequestObject, api.ListLeasesResponseObject, api.ListLeases200JSONResponse](
		c, p.api.ListLeases, api.ListLeasesRequestObject{Params: params})
	return api.LeaseList(l), err
}

func (p *Pages) lease(c echo.Context, address string) (api.Lease, error) {
	l, err := ask[api.GetLeaseRequestObject, api.GetLeaseResponseObject, api.GetLease200JSONResponse](
		c, p.api.GetLease, api.GetLeaseRequestObject{Address: address})
	return api.Lease(l), err
}
