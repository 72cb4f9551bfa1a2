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
}

// WithConsole returns Landbridge, as a [Consoled] peer.
func WithConsole() Kind {
	return Kind{Name: Landbridge, New: func(p Programs) Peer { return &consoled{landbridge: landbridge{binary: p.Landbridge}} }}
}

const consolePort = 4861

// consoled is Landbridge in interface mode, with a console that all of the underlay may ask.
type consoled struct {
	landbridge
	a *underlay.Side
}

func (c *consoled) Setup(ctx context.Context, pair *underlay.Pair) error {
	c.a = pair.A
	c.args = map[*underlay.Side][]string{c.a: {
		"--console-listen", netip.AddrPortFrom(c.a.Addr, consolePort).String(),
		"--console-allow", netip.PrefixFrom(pair.W.Addr, pair.W.Addr.BitLen()).String(),
	}}
	return c.landbridge.Setup(ctx, pair)
}

func (c *consoled) Console(ctx context.Context) (url, setupCode string, err error) {
	var console api.Console
	err = c.wait(ctx, "the console", func(ctx context.Context) (bool, error) {
		err := c.ask(ctx, c.a, &console, "console")
		return err == nil && len(console.Urls) > 0, err
	})
	if err == nil && console.SetupCode == "" {
		err = fmt.Errorf("the console at %v has an administrator already", console.Urls)
	}
	if err != nil {
		return "", "", err
	}
	return fmt.Sprintf("https://%v", netip.AddrPortFrom(c.a.Addr, consolePort)), console.SetupCode, nil
}
