package pid1

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"landbridge/console/api"
	"landbridge/image/userdata"
)

// appliance is the running program, by its API.
type appliance interface {
	Console(ctx context.Context) (api.Console, error)
	Status(ctx context.Context) (api.Status, error)
	SetUp(ctx context.Context, name, passwordHash string) error
	Groups(ctx context.Context) (int, error)
	Create(ctx context.Context, g userdata.Group) error
	Join(ctx context.Context, invitation string) error
	ResetPassword(ctx context.Context, user, password string) error
}

// local is the program on this machine, at its socket.
type local struct{ socket string }

func newLocal() local { return local{filepath.Join(stateDir, "landbridge", api.SocketName)} }

// ask dials the program for one question.
func ask[T any](ctx context.Context, l local, within time.Duration, f func(context.Context, *api.Local) (*T, *api.Problem, int, error)) (answer T, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := api.Dial(ctx, l.socket)
	if err != nil {
		return answer, err
	}
	defer c.Close()
	body, problem, status, err := f(ctx, c)
	switch {
	case err != nil:
		return answer, err
	case problem != nil:
		return answer, problem
	case body == nil && status >= http.StatusBadRequest:
		return answer, fmt.Errorf("the program answered %d", status)
	case body != nil:
		answer = *body
	}
	return answer, nil
}

// How long an answer may take: one that needs nobody else, and one of another appliance.
const (
	soon  = 15 * time.Second
	later = 2 * time.Minute
)

func (l local) Console(ctx context.Context) (api.Console, error) {
	return ask(ctx, l, soon, func(ctx context.Context, c *api.Local) (*api.Console, *api.Problem, int, error) {
		r, err := c.GetConsoleWithResponse(ctx)
		if err != nil {
			return nil, nil, 0, err
		}
		return r.JSON200, r.ApplicationProblemJSONDefault, r.StatusCode(), nil
	})
}

func (l local) Status(ctx context.Context) (api.Status, error) {
	return ask(ctx, l, soon, func(ctx context.Context, c *api.Local) (*api.Status, *api.Problem, int, error) {
		r, err := c.GetStatusWithResponse(ctx)
		if err != nil {
			return nil, nil, 0, err
		}
		return r.JSON200, r.ApplicationProblemJSONDefault, r.StatusCode(), nil
	})
}

func (l local) Groups(ctx context.Context) (int, error) {
	list, err := ask(ctx, l, soon, func(ctx context.Context, c *api.Local) (*api.GroupList, *api.Problem, int, error) {
		r, err := c.ListGroupsWithResponse(ctx)
		if err != nil {
			return nil, nil, 0, err
		}
		return r.JSON200, r.ApplicationProblemJSONDefault, r.StatusCode(), nil
	})
	return len(list.Items), err
}

func (l local) SetUp(ctx context.Context, name, passwordHash string) error {
	_, err := ask(ctx, l, soon, func(ctx context.Context, c *api.Local) (*struct{}, *api.Problem, int, error) {
		r, err := c.SetUpWithResponse(ctx, api.SetupRequest{Name: name, Password: passwordHash, Code: "by the socket"})
		if err != nil {
			return nil, nil, 0, err
		}
		return nil, r.ApplicationProblemJSONDefault, r.StatusCode(), nil
	})
	return err
}

func (l local) Create(ctx context.Context, g userdata.Group) error {
	_, err := ask(ctx, l, soon, func(ctx context.Context, c *api.Local) (*struct{}, *api.Problem, int, error) {
		r, err := c.CreateGroupWithResponse(ctx, api.GroupCreate{Name: g.Name, Prefix: g.Prefix.String(), Zone: g.Zone})
		if err != nil {
			return nil, nil, 0, err
		}
		return nil, r.ApplicationProblemJSONDefault, r.StatusCode(), nil
	})
	return err
}

func (l local) Join(ctx context.Context, invitation string) error {
	_, err := ask(ctx, l, later, func(ctx context.Context, c *api.Local) (*struct{}, *api.Problem, int, error) {
		r, err := c.JoinGroupWithResponse(ctx, api.JoinRequest{Token: invitation})
		if err != nil {
			return nil, nil, 0, err
		}
		return nil, r.ApplicationProblemJSONDefault, r.StatusCode(), nil
	})
	return err
}

func (l local) ResetPassword(ctx context.Context, user, password string) error {
	_, err := ask(ctx, l, soon, func(ctx context.Context, c *api.Local) (*struct{}, *api.Problem, int, error) {
		r, err := c.ChangeUserWithResponse(ctx, user, api.UserChange{Password: password, RemoveTotp: true})
		if err != nil {
			return nil, nil, 0, err
		}
		return nil, r.ApplicationProblemJSONDefault, r.StatusCode(), nil
	})
	return err
}
