package peers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"landbridge/bench/underlay"
	"landbridge/internal/netlab"
)

// program returns the program under test, which it builds unless it is given.
func program(t *testing.T) Programs {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	for _, err := range netlab.Missing("ip", "ping", "ethtool", "udhcpc") {
		t.Skip(err)
	}
	if binary := os.Getenv("LANDBRIDGE_BINARY"); binary != "" {
		return Programs{Landbridge: binary}
	}
	binary := filepath.Join(t.TempDir(), "landbridge")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "landbridge/cmd/landbridge")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return Programs{Landbridge: binary}
}

// ready sets a peer up, starts it, and waits until packets pass.
func ready(ctx context.Context, t *testing.T, k Kind, programs Programs) Peer {
	t.Helper()
	pair, err := underlay.Open(ctx, underlay.NIC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pair.Close)
	p := k.New(programs)
	if err := p.Setup(ctx, pair); err != nil {
		t.Fatalf("%v\n%s%s", err, pair.A.Log(), pair.B.Log())
	}
	for _, s := range pair.Sides() {
		if err := p.Start(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	ends := p.Ends()
	err = netlab.WaitFor(ctx, "an echo", func() (bool, error) {
		_, err := ends[0].Host.Run(ctx, "ping", "-q", "-c", "1", "-W", "1", ends[1].Addr.String())
		return err == nil, err
	})
	if err != nil {
		t.Fatalf("%v\n%s%s", err, pair.A.Log(), pair.B.Log())
	}
	return p
}

func TestHostsOfALANSpeakPastTheTunnelAndThoseOfTwoByIt(t *testing.T) {
	programs := program(t)
	for _, c := range []struct {
		name  string
		kind  Kind
		least uint64 // packets that tunnels carry for 20 echoes
		most  uint64
	}{
		{"hybrid hosts of one LAN", Natives()[0], 0, 0},
		{"hosts of a router's LAN", Natives()[1], 0, 0},
		{"hybrid hosts of two LANs", Sites()[2], 80, 100}, // there and back, counted at both ends
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			p := ready(ctx, t, c.kind, programs)
			if n, ok := p.(Native); ok {
				if err := n.Direct(ctx); err != nil {
					t.Fatal(err)
				}
			}
			counts := p.(interface {
				Carried(context.Context) (uint64, error)
			})
			before, err := counts.Carried(ctx)
			if err != nil {
				t.Fatal(err)
			}
			ends := p.Ends()
			if out, err := ends[0].Host.Run(ctx, "ping", "-q", "-c", "20", "-i", "0.01", "-w", "10", ends[1].Addr.String()); err != nil {
				t.Fatal(out)
			}
			after, err := counts.Carried(ctx)
			if got := after - before; err != nil || got < c.least || got > c.most {
				t.Errorf("the tunnels have carried %d packets, want %d to %d (%v)", got, c.least, c.most, err)
			}
		})
	}
}
