package peers

import (
	"context"
	"fmt"
	"net/netip"

	"landbridge/bench/underlay"
	"landbridge/console/api"
)

// Consoled is a peer that is run from a console, on its side A.
type Consoled interface {
	Peer
	// Console returns where the console is, as side W finds it, and the code that sets it up.
	Console(ctx context.Context) (url, setupCode string, err error)
	// Bystander is Console of an appliance that is no end of the tunnel, but shares the machine; it starts it.
	Bystander(ctx context.Context) (url, setupCode string, err error)
}

// WithConsole returns Landbridge, as a [Consoled] peer.
func WithConsole() Kind {
	return Kind{Name: Landbridge, New: func(p Programs) Peer { return &consoled{landbridge: landbridge{binary: p.Landbridge}} }}
}

const consolePort = 4861

// consoled is Landbridge in interface mode, with a console that all of the underlay may ask, and
// besides an appliance with a group of its own and such a console.
type consoled struct {
	landbridge
	a, bystander *underlay.Side
}

func (c *consoled) Setup(ctx context.Context, pair *underlay.Pair) (err error) {
	if c.bystander, err = pair.Bystander(ctx, "c"); err != nil {
		return err
	}
	c.a, c.args = pair.A, make(map[*underlay.Side][]string)
	for _, s := range []*underlay.Side{c.a, c.bystander} {
		c.args[s] = []string{
			"--console-listen", netip.AddrPortFrom(s.Addr, consolePort).String(),
			"--console-allow", netip.PrefixFrom(pair.W.Addr, pair.W.Addr.BitLen()).String(),
		}
	}
	return c.landbridge.Setup(ctx, pair)
}

func (c *consoled) Console(ctx context.Context) (url, setupCode string, err error) {
	return c.console(ctx, c.a)
}

func (c *consoled) Bystander(ctx context.Context) (url, setupCode string, err error) {
	if _, err := c.create(ctx, c.bystander); err != nil {
		return "", "", err
	}
	return c.console(ctx, c.bystander)
}

// console waits for a side's console.
func (c *consoled) console(ctx context.Context, s *underlay.Side) (url, setupCode string, err error) {
	var console api.Console
	err = c.wait(ctx, "the console", func(ctx context.Context) (bool, error) {
		err := c.ask(ctx, s, &console, "console")
		return err == nil && len(console.Urls) > 0, err
	})
	if err == nil && console.SetupCode == "" {
		err = fmt.Errorf("the console at %v has an administrator already", console.Urls)
	}
	if err != nil {
		return "", "", err
	}
	return fmt.Sprintf("https://%v", netip.AddrPortFrom(s.Addr, consolePort)), console.SetupCode, nil
}
