package appliance

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/config"
	"landbridge/internal/store"
)

func TestUsersThatCannotBeReadDoNotStopTheNetwork(t *testing.T) {
	g := &testGroup{t: t}
	n := newMember(t, g.create).node
	n.cfg = config.Default()
	n.cfg.State = t.TempDir()
	n.cfg.Console.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	if err := n.state.db.Update(func(tx *store.Tx) error {
		return store.NewBucket[string]("access", "users").Put(tx, []byte("anna"), "not as this program writes it")
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.serveConsole(ctx) }()
	client := patientDial(t, filepath.Join(n.cfg.State, SocketFile), ended)
	if res, err := client.GetModeWithResponse(t.Context()); err != nil || res.JSON200 == nil {
		t.Errorf("at the socket: %v, %s", err, res.Body)
	}
	if items := n.health.Items(); len(items) != 1 || !strings.Contains(items[0].Text, "Persons can't reach the console") {
		t.Errorf("health says %+v", items)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// patientDial connects to a console that is beginning to serve.
func patientDial(t *testing.T, path string, ended <-chan error) *api.Local {
	t.Helper()
	for {
		select {
		case err := <-ended:
			t.Fatalf("it has ended: %v", err)
		default:
		}
		if client, err := api.Dial(t.Context(), path); err == nil {
			t.Cleanup(func() { _ = client.Close() })
			return client
		}
	}
}
