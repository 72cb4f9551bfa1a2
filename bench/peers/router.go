package peers

import (
	"context"
	"fmt"

	"landbridge/bench/underlay"
	"landbridge/internal/netlab"
)

// router is Landbridge in router mode: each side has a LAN with one host on it, that has
// its address by DHCP and nothing installed. Traffic goes between the two hosts.
type router struct {
	landbridge
	wires map[*underlay.Side]*netlab.LAN
}

func (r *router) Setup(ctx context.Context, pair *underlay.Pair) error {
	daemonA, daemonB, err := r.route(ctx, pair)
	if err != nil {
		return err
	}
	for i, s := range pair.Sides() {
		if r.ends[i], err = lease(ctx, r.wires[s].Host(s.Name+"1")); err != nil {
			return err
		}
	}
	return r.rest(ctx, pair.A, daemonA, daemonB)
}

// route gives each side a LAN, and starts the routers.
func (r *router) route(ctx context.Context, pair *underlay.Pair) (daemonA, daemonB *netlab.Cmd, err error) {
	r.args = make(map[*underlay.Side][]string)
	r.wires = make(map[*underlay.Side]*netlab.LAN)
	for _, s := range pair.Sides() {
		r.wires[s] = pair.Lab.LAN("lan-" + s.Name)
		r.wires[s].Plug(s.Host, "lan0")
		r.args[s] = []string{"--mode", "router", "--lan-port", "lan0"}
	}
	if err := pair.Lab.Err(); err != nil {
		return nil, nil, err
	}
	return r.form(ctx, pair.A, pair.B)
}

// lease has a host of a router's LAN get its address.
func lease(ctx context.Context, host *netlab.Host) (End, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := host.StartDHCP(ctx, netlab.Udhcpc, "eth0")
	if err != nil {
		return End{}, fmt.Errorf("a lease from the appliance: %w", err)
	}
	return End{Host: host, Addr: client.Addr.Addr()}, nil
}
