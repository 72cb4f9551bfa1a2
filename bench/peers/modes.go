package peers

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"landbridge/bench/underlay"
	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// Native is Landbridge where hosts of one LAN speak natively. Its ends are reached by a wire
// that BareEnds use, too, without any Landbridge.
type Native interface {
	Peer
	BareEnds() [2]End
	// Settle waits, after Start, until the ends speak natively.
	Settle(ctx context.Context) error
	// Carried returns how many packets the appliances have carried between members.
	Carried(ctx context.Context) (uint64, error)
}

// NewHybrid returns two hosts of one LAN in hybrid mode.
func NewHybrid(p Programs) Native { return &hybrid{landbridge: landbridge{binary: p.Landbridge}} }

// NewLAN returns two hosts of a LAN in router mode, with nothing installed.
func NewLAN(p Programs) Native { return &lan{landbridge: landbridge{binary: p.Landbridge}} }

type hybrid struct {
	landbridge
	pair *underlay.Pair
}

func (h *hybrid) Setup(ctx context.Context, pair *underlay.Pair) error {
	h.pair, h.args = pair, make(map[*underlay.Side][]string)
	for _, s := range pair.Sides() {
		h.args[s] = []string{"--mode", "hybrid", "--lan-port", "eth0"}
	}
	return h.landbridge.Setup(ctx, pair)
}

func (h *hybrid) BareEnds() [2]End {
	return [2]End{{h.pair.A.Host, h.pair.A.Addr}, {h.pair.B.Host, h.pair.B.Addr}}
}

func (h *hybrid) Settle(ctx context.Context) error {
	for i, from := range h.ends {
		to := h.ends[1-i].Addr.String()
		err := h.wait(ctx, from.Host.Name+" to speak natively", func(ctx context.Context) (bool, error) {
			if _, err := from.Host.Run(ctx, "ping", "-q", "-c", "1", "-W", "1", to); err != nil {
				return false, err
			}
			way, err := from.Host.Run(ctx, "ip", "-o", "route", "get", to)
			return strings.Contains(way, " dev eth0 "), err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *hybrid) Carried(ctx context.Context) (uint64, error) { return h.carried(ctx, h.pair) }

// lan is one appliance with a LAN, and a second one elsewhere.
type lan struct {
	landbridge
	pair *underlay.Pair
	bare [2]End
}

func (l *lan) Setup(ctx context.Context, pair *underlay.Pair) error {
	l.pair = pair
	l.args = map[*underlay.Side][]string{pair.A: {"--mode", "router", "--lan-port", "lan0"}}
	wire := pair.Lab.LAN("lan-a")
	wire.Plug(pair.A.Host, "lan0")
	var hosts [2]*netlab.Host
	for i := range hosts {
		hosts[i] = wire.Host(fmt.Sprintf("a%d", i+1))
	}
	if err := pair.Lab.Err(); err != nil {
		return err
	}
	daemonA, daemonB, err := l.form(ctx, pair.A, pair.B)
	if err != nil {
		return err
	}
	for i, host := range hosts {
		if err := underlay.NIC.Apply(ctx, host.Port("eth0")); err != nil {
			return err
		}
		lease, cancel := context.WithTimeout(ctx, patience)
		client, err := host.StartDHCP(lease, netlab.Udhcpc, "eth0")
		cancel()
		if err != nil {
			return fmt.Errorf("a lease from the appliance: %w", err)
		}
		l.ends[i] = End{Host: host, Addr: client.Addr.Addr()}
		// The same hosts and wire, by addresses that no Landbridge knows.
		l.bare[i] = End{Host: host, Addr: netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)})}
		if _, err := host.Run(ctx, "ip", "addr", "add", l.bare[i].Addr.String()+"/24", "dev", "eth0"); err != nil {
			return err
		}
	}
	return l.rest(ctx, nil, daemonA, daemonB)
}

func (l *lan) BareEnds() [2]End { return l.bare }

func (l *lan) Settle(context.Context) error { return nil }

func (l *lan) Carried(ctx context.Context) (uint64, error) { return l.carried(ctx, l.pair) }

// carried adds up what the sides' appliances have carried.
func (l *landbridge) carried(ctx context.Context, pair *underlay.Pair) (n uint64, err error) {
	for _, s := range pair.Sides() {
		var list api.CounterList
		if err := l.ask(ctx, s, &list, "counters"); err != nil {
			return 0, err
		}
		for _, c := range list.Items {
			if c.Component == "router" && (c.Name == "out_packets" || c.Name == "in_packets") {
				n += c.Value
			}
		}
	}
	return n, nil
}
