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
	hosts map[*underlay.Side]*netlab.Host
}

func (r *router) Setup(ctx context.Context, pair *underlay.Pair) error {
	r.args = make(map[*underlay.Side][]string)
	r.hosts = make(map[*underlay.Side]*netlab.Host)
	for _, s := range pair.Sides() {
		wire := pair.Lab.LAN("lan-" + s.Name)
		wire.Plug(s.Host, "lan0")
		r.hosts[s] = wire.Host(s.Name + "1")
		r.args[s] = []string{"--mode", "router", "--lan-port", "lan0"}
	}
	if err := pair.Lab.Err(); err != nil {
		return err
	}
	daemonA, daemonB, err := r.form(ctx, pair.A, pair.B)
	if err != nil {
		return err
	}
	for i, s := range pair.Sides() {
		lease, cancel := context.WithTimeout(ctx, patience)
		client, err := r.hosts[s].StartDHCP(lease, netlab.Udhcpc, "eth0")
		cancel()
		if err != nil {
			return fmt.Errorf("a lease from the appliance: %w", err)
		}
		r.ends[i] = End{Host: r.hosts[s], Addr: client.Addr.Addr()}
	}
	return r.rest(ctx, pair.A, daemonA, daemonB)
}
