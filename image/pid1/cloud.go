package pid1

import (
	"context"
	"reflect"
	"time"
)

// askCloud has the machine's cloud say what nobody else has, while the appliance runs already.
func (m *machine) askCloud(ctx context.Context) {
	if !m.unguided || !inCloud(dmi) {
		return
	}
	for len(urls()) == 0 && ctx.Err() == nil {
		pause(ctx, time.Second)
	}
	s, err := newMetadata().seed(ctx)
	if err != nil {
		m.log.Warn("no user-data by the cloud", "err", err)
		return
	}
	if inHands(ctx, newLocal(), pause) {
		m.log.Warn("the user-data of the cloud is left out: somebody sets this appliance up already")
		return
	}
	told, taken, wrong := take(stateDir, s)
	m.screen.Warn("user-data", wrong...)
	if !taken {
		return
	}
	m.tell(told)
	m.setHostName(told.Name)
	if to := management(ctx, stateDir, told.Management, m.log); !reflect.DeepEqual(to, m.network.Now()) {
		m.network.Change(ctx, to)
	}
	m.program.Restart(programArgs(told))
}

// inHands waits until the program answers, and reports whether a person has begun with it.
func inHands(ctx context.Context, program appliance, pause func(context.Context, time.Duration)) bool {
	for ctx.Err() == nil {
		c, err := program.Console(ctx)
		if err == nil && c.SetUp {
			return true
		}
		if err == nil {
			n, err := program.Groups(ctx)
			if err == nil {
				return n > 0
			}
		}
		pause(ctx, firstRetry)
	}
	return true
}
