package peers

import (
	"context"
	"fmt"
	"strings"

	"landbridge/bench/underlay"
	"landbridge/console/api"
)

// Native is a peer whose ends are on one LAN, and speak past the tunnel.
type Native interface {
	Peer
	// Direct waits until they do.
	Direct(ctx context.Context) error
	// Carried returns how many packets of hosts the appliances' tunnels have carried so far.
	Carried(ctx context.Context) (packets uint64, err error)
}

// The modes of Landbridge, as peers.
const (
	ModeInterface = "interface"
	ModeRouter    = "router"
	ModeHybrid    = "hybrid"
)

// Natives returns the modes in which two hosts of one LAN speak natively, as [Native] peers.
func Natives() []Kind {
	return []Kind{
		{Name: ModeHybrid, New: func(p Programs) Peer { return &hybridLAN{landbridge{binary: p.Landbridge}} }},
		{Name: ModeRouter, New: func(p Programs) Peer { return &routerLAN{router{landbridge: landbridge{binary: p.Landbridge}}} }},
	}
}

// Sites returns the modes, each between two sites.
func Sites() []Kind {
	return []Kind{
		{Name: ModeInterface, New: func(p Programs) Peer { return &landbridge{binary: p.Landbridge} }},
		{Name: ModeRouter, New: func(p Programs) Peer { return &router{landbridge: landbridge{binary: p.Landbridge}} }},
		{Name: ModeHybrid, New: func(p Programs) Peer { return &hybrid{landbridge{binary: p.Landbridge}} }},
	}
}

// hybrid is Landbridge in hybrid mode on two LANs: all goes by the tunnel.
type hybrid struct{ landbridge }

func (h *hybrid) Setup(ctx context.Context, pair *underlay.Pair) error {
	h.args = make(map[*underlay.Side][]string)
	for _, s := range pair.Sides() {
		pair.Lab.LAN("lan-"+s.Name).Plug(s.Host, "lan0")
		h.args[s] = []string{"--mode", "hybrid", "--lan-port", "lan0"}
	}
	if err := pair.Lab.Err(); err != nil {
		return err
	}
	return h.landbridge.Setup(ctx, pair)
}

// hybridLAN is Landbridge in hybrid mode on the pair's own Ethernet.
type hybridLAN struct{ landbridge }

func (h *hybridLAN) Setup(ctx context.Context, pair *underlay.Pair) error {
	h.args = make(map[*underlay.Side][]string)
	for _, s := range pair.Sides() {
		h.args[s] = []string{"--mode", "hybrid", "--lan-port", "eth0"}
	}
	daemonA, daemonB, err := h.form(ctx, pair.A, pair.B)
	if err != nil {
		return err
	}
	for i, s := range pair.Sides() {
		if h.ends[i], err = h.end(ctx, s); err != nil {
			return err
		}
	}
	if err := h.Direct(ctx); err != nil {
		return err
	}
	return terminate(daemonA, daemonB)
}

// Direct speaks from each side to the other until that goes by the LAN port.
func (h *hybridLAN) Direct(ctx context.Context) error {
	for i, from := range h.ends {
		to := h.ends[1-i].Addr.String()
		err := h.wait(ctx, from.Host.Name+" to speak natively", func(ctx context.Context) (bool, error) {
			if _, err := from.Host.Run(ctx, "ping", "-q", "-c", "1", "-W", "1", to); err != nil {
				return false, err
			}
			way, err := from.Host.Run(ctx, "ip", "-o", "route", "get", to)
			return strings.Contains(way, " dev eth0 "), fmt.Errorf("it goes by %q (%w)", way, err)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// routerLAN is Landbridge in router mode, with two hosts on the LAN of side a, which have
// their addresses by DHCP and nothing installed.
type routerLAN struct{ router }

func (r *routerLAN) Setup(ctx context.Context, pair *underlay.Pair) error {
	daemonA, daemonB, err := r.route(ctx, pair)
	if err != nil {
		return err
	}
	for i := range r.ends {
		host := r.wires[pair.A].Host(fmt.Sprint("h", i+1))
		if err := pair.Lab.Err(); err != nil {
			return err
		}
		if err := pair.Cable(ctx, host.Port("eth0")); err != nil {
			return err
		}
		if r.ends[i], err = lease(ctx, host); err != nil {
			return err
		}
	}
	return terminate(daemonA, daemonB)
}

// Direct waits for the routers alone: these hosts know no other way.
func (r *routerLAN) Direct(ctx context.Context) error {
	return r.wait(ctx, "the routers to be there", func(ctx context.Context) (bool, error) {
		_, err := r.Carried(ctx)
		return err == nil, err
	})
}

// Carried sums up what the appliances of both sides have exchanged with members.
func (l *landbridge) Carried(ctx context.Context) (packets uint64, err error) {
	for s := range l.args {
		var list api.CounterList
		if err := l.ask(ctx, s, &list, "counters"); err != nil {
			return 0, err
		}
		found := 0
		for _, c := range list.Items {
			if c.Component == "router" && (c.Name == "out_packets" || c.Name == "in_packets") {
				packets += c.Value
				found++
			}
		}
		if found != 2 {
			return 0, fmt.Errorf("%s doesn't count what it carries: of the router's out_packets and in_packets there are %d", s.Name, found)
		}
	}
	return packets, nil
}
