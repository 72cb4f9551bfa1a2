package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/iface"
	"landbridge/internal/group"
	"landbridge/internal/hearing"
)

// maxListening is on how many ports is listened at a time.
const maxListening = 16

// Listen finds out who is on the segment of a port.
func (n *node) Listen(ctx context.Context, port string, seconds int) (api.PortHearing, error) {
	if n.listening.Add(1) > maxListening {
		n.listening.Add(-1)
		return api.PortHearing{}, console.Unavailable(errors.New("as many ports are listened on as there can be: wait some seconds, and try again"))
	}
	defer n.listening.Add(-1)
	ports, err := iface.Ports()
	if err != nil {
		return api.PortHearing{}, err
	}
	i := slices.IndexFunc(ports, func(p iface.PortInfo) bool { return p.Name == port })
	if i < 0 {
		return api.PortHearing{}, console.NotFound(fmt.Errorf("this host has no port %q", port))
	}
	h := api.PortHearing{Port: port, Up: ports[i].Up, Seconds: seconds}
	var ear hearing.Ear
	if h.Up {
		for _, look := range []func() error{
			func() error { return acquaint(&ear, port) },
			func() error {
				ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
				defer cancel()
				return iface.Listen(ctx, port, ear.Hear)
			},
		} {
			if err := look(); err != nil {
				return api.PortHearing{}, console.Unavailable(err)
			}
		}
	}
	facts, err := iface.FactsOfPorts()
	if err != nil {
		return api.PortHearing{}, err
	}
	n.describeHearing(&h, ear.Report(), facts[port])
	return h, nil
}

// acquaint tells an ear whom this host knows on a port.
func acquaint(ear *hearing.Ear, port string) error {
	known, err := iface.Acquaintances(port)
	for _, a := range known {
		ear.Knows(a.MAC, a.Address)
	}
	return err
}

// describeHearing puts what was heard on a port into the API's words.
func (n *node) describeHearing(h *api.PortHearing, r hearing.Report, facts *iface.PortFacts) {
	h.Frames, h.More = r.Frames, r.Full
	h.Stations, h.DhcpServers, h.Gateways, h.Appliances = []api.HeardStation{}, []api.HeardServer{}, []api.HeardGateway{}, []api.HeardAppliance{}
	at := make(map[netip.Addr]string)
	for _, s := range r.Stations {
		h.Stations = append(h.Stations, api.HeardStation{MAC: s.MAC.String(), Addresses: nonNil(s.Addresses)})
		for _, a := range s.Addresses {
			at[a] = s.MAC.String()
		}
	}
	for _, s := range r.Servers {
		d := api.HeardServer{Address: s.Address}
		if !s.MAC.IsZero() {
			d.MAC = s.MAC.String()
		}
		h.DhcpServers = append(h.DhcpServers, d)
	}
	for _, g := range r.Gateways {
		d := api.HeardGateway{Address: g.Address, Sign: api.HeardGatewaySignDhcp, MAC: at[g.Address]}
		if g.Advertises {
			d.Sign = api.HeardGatewaySignAdvertises
		}
		if !g.MAC.IsZero() {
			d.MAC = g.MAC.String()
		}
		h.Gateways = append(h.Gateways, d)
	}
	if facts != nil {
		for _, a := range facts.Gateways {
			if !slices.ContainsFunc(h.Gateways, func(g api.HeardGateway) bool { return g.Address == a }) {
				h.Gateways = append(h.Gateways, api.HeardGateway{Address: a, Sign: api.HeardGatewaySignRoute, MAC: at[a]})
			}
		}
	}
	for _, a := range r.Appliances {
		d := api.HeardAppliance{MAC: a.MAC.String(), Group: a.Group.String(), MemberID: a.Member.String()}
		if nw := n.in(a.Group); nw != nil {
			d.GroupName, d.Name = nw.membership.Descriptor().Name, nw.memberName(a.Member)
		}
		h.Appliances = append(h.Appliances, d)
	}
}

// in returns the running network of a group; nil where this appliance isn't in it.
func (n *node) in(g group.ID) *network {
	for _, nw := range n.running() {
		if nw.id == g {
			return nw
		}
	}
	return nil
}
