package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"landbridge/console/api"
)

// Before a port becomes a LAN port, listening tells who is on its segment: the site's own DHCP
// server, a host, and another appliance; and of the port to the WAN where the default route leads.
func TestListeningOnAPortTellsWhoIsThere(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	r := s.site("r")
	office(t, r.wire)
	m := newMachine(t, r.net.Host("m"))
	r.wire.Plug(m.Host, "lan0")
	s.join(m)
	host := newClient(t, r.wire, "host")
	client, err := api.Dial(t.Context(), m.Path(m.state()+"/"+api.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	listen := func(port string) (api.PortHearing, error) {
		a, err := client.ListenOnPortWithResponse(t.Context(), port, api.ListenRequest{Seconds: 2})
		if err != nil {
			return api.PortHearing{}, err
		}
		if a.JSON200 == nil {
			return api.PortHearing{}, fmt.Errorf("listen on %s: %s", port, a.Body)
		}
		return *a.JSON200, nil
	}
	m.wait("to hear all of them", func() (bool, error) {
		switchedOn := make(chan struct{}) // what it has to say to all it says while it is listened to
		go func() {
			defer close(switchedOn)
			for range 4 {
				_, _ = host.Run(t.Context(), "timeout", "1", "udhcpc", "-f", "-q", "-n", "-t1", "-T1", "-i", "eth0", "-s", "/bin/true")
			}
		}()
		h, err := listen("lan0")
		<-switchedOn
		if err != nil {
			return false, err
		}
		server := slices.ContainsFunc(h.DhcpServers, func(s api.HeardServer) bool {
			return s.Address == officePrefix.Addr().Next() || strings.HasPrefix(s.Address.String(), "10.77.")
		})
		station := slices.ContainsFunc(h.Stations, func(s api.HeardStation) bool { return s.MAC == macOf(t, host.Host) })
		other := slices.ContainsFunc(h.Appliances, func(a api.HeardAppliance) bool { return a.Name == "r" && a.GroupName == "e2e" })
		return h.Up && server && station && other, fmt.Errorf("%+v", h)
	})
	if h, err := listen("eth0"); err != nil || len(h.Gateways) != 1 || h.Gateways[0].Sign != api.HeardGatewaySignRoute || h.Gateways[0].MAC == "" {
		t.Errorf("the way out of eth0 isn't told: %+v, %v", h, err)
	}
	if a, err := client.ListenOnPortWithResponse(t.Context(), "eth9", api.ListenRequest{}); err != nil || a.StatusCode() != 404 {
		t.Errorf("a port that isn't there: %v %s", err, a.Body)
	}
}
