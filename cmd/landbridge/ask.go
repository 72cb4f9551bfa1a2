package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

// reply is what the appliance has answered, as the generated client has it.
type reply[T any] interface {
	GetJSON200() *T
	GetApplicationProblemJSONDefault() *api.Problem
	Status() string
}

// said returns what the appliance has answered, or why there is no answer. It takes what a call of
// the client returns.
func said[T any, R reply[T]](res R, err error) (T, error) {
	if err != nil {
		var none T
		return none, transportError(err)
	}
	return answer(res.GetJSON200(), res.GetApplicationProblemJSONDefault(), &http.Response{Status: res.Status()})
}

// show asks the appliance for something and prints it: as JSON where that is wanted, else by write.
func show[T any](p *program, cmd *cobra.Command, ask func(context.Context, *api.Local) (T, error), write func(T) error) error {
	return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
		v, err := ask(ctx, c)
		if err != nil {
			return err
		}
		if p.json {
			return p.printJSON(v)
		}
		return write(v)
	})
}

// perPage is the largest page that the API gives.
const perPage = 1000

// byPages has page called with how many items to ask for, until there are limit (0: all) or it names
// no next page.
func byPages(limit int, page func(size int) (got int, next string, err error)) error {
	for all := 0; ; {
		size := perPage
		if limit > 0 {
			size = min(size, limit-all)
		}
		got, next, err := page(size)
		all += got
		if err != nil || next == "" || all == limit {
			return err
		}
	}
}
