package e2e

import (
	"fmt"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// segments returns what the machine says of its groups' segments.
func (m *machine) segments() []api.Segment {
	m.t.Helper()
	client, err := api.Dial(m.t.Context(), m.Path(m.state()+"/"+api.SocketName))
	if err != nil {
		m.t.Fatal(err)
	}
	defer client.Close()
	r, err := client.ListSegmentsWithResponse(m.t.Context())
	if err != nil || r.JSON200 == nil {
		m.t.Fatalf("the segments: %v, %s", err, r.Body)
	}
	return r.JSON200.Items
}

// Of two routers on one LAN each tells who serves it, and who does when the other has lost its way to the group.
func TestARouterTellsWhoServesItsLAN(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	r1 := s.site("r1")
	r2 := s.beside(r1, "r2")
	newClient(t, r1.wire, "h").lease(netlab.Udhcpc)
	tell := func(want string) {
		t.Helper()
		r1.wait("to say "+want, func() (bool, error) {
			all := r1.segments()
			got := ""
			for _, n := range all[0].Neighbours {
				got += fmt.Sprintf("%s %s %d by %q; ", n.Name, n.State, n.Percent, n.StandIn)
			}
			return len(all) == 1 && got == want && all[0].Remainder && all[0].Attachment.LanPort == "lan0", fmt.Errorf("it says %s", got)
		})
	}
	tell(`r1 serving 50 by ""; r2 serving 50 by ""; `)
	if err := r2.Port("eth0").Cut(); err != nil {
		t.Fatal(err)
	}
	tell(`r1 serving 100 by ""; r2 wanDown 0 by "r1"; `)
}
