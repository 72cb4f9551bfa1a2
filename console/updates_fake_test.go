package console

import (
	"context"
	"errors"
	"io"

	"landbridge/console/api"
)

func (f *fake) Update(context.Context) (api.Update, error) {
	return api.Update{Image: true, Version: "v1", Stage: api.UpdateStageIdle}, f.answer()
}

func (f *fake) CheckUpdate(_ context.Context, r io.Reader) (api.UpdateOffer, error) {
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return api.UpdateOffer{}, err
	}
	f.restored = n
	return api.UpdateOffer{ID: "an update", Version: "v2", Bytes: n}, f.answer()
}

func (f *fake) ForgetUpdate(context.Context) error { return f.answer() }

func (f *fake) ApplyUpdate(_ context.Context, order api.UpdateOrder) error {
	if order.ID != "an update" {
		return Conflict(errors.New("another update"))
	}
	return f.Restart(context.Background())
}

func (f *fake) RollbackUpdate(ctx context.Context) error { return f.Restart(ctx) }
