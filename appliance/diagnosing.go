package appliance

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/iface"
	"landbridge/internal/doctor"
	"landbridge/internal/group"
	"landbridge/internal/store"
	"landbridge/internal/tunnel"
)

// agreement is how far apart clocks may be that agree.
const agreement = time.Second

// Doctor checks what commonly goes wrong.
func (n *node) Doctor(ctx context.Context) (api.DoctorReport, error) {
	p := doctor.Place{StateDir: n.state.dir, State: n.state.db.View(func(*store.Tx) error { return nil }), Port: n.socket.LocalAddr().Port()}
	if m := n.mapped.Load(); m != nil {
		p.Mapped, p.MapFault = m.UDP, m.Fault
	}
	for _, nw := range n.running() {
		p.NAT = max(p.NAT, nw.nat())
		if off, of := nw.clocks.median(nw.membership.Descriptor().Current(), time.Now()); off.Abs() < agreement {
			p.Agree = max(p.Agree, of)
		}
		for _, s := range nw.tunnel.Peers() {
			if s.Narrow {
				p.Narrow = append(p.Narrow, nw.memberName(s.Member))
			}
		}
	}
	return doctor.Examine(ctx, n, p)
}

// Ping measures round trips.
func (n *node) Ping(ctx context.Context, req api.PingRequest) (api.PingResult, error) {
	nw, err := n.choose(req.Group)
	if err != nil {
		return api.PingResult{}, err
	}
	r, err := nw.doctor.Ping(ctx, req)
	return r, doctorProblem(err)
}

// Trace measures round trips to each whom a packet passes.
func (n *node) Trace(ctx context.Context, req api.TraceRequest) (api.TraceResult, error) {
	nw, err := n.choose(req.Group)
	if err != nil {
		return api.TraceResult{}, err
	}
	r, err := nw.doctor.Trace(ctx, req)
	return r, doctorProblem(err)
}

// Path says what would happen to a packet from here to what target names.
func (n *node) Path(ctx context.Context, ref, target string) (api.PathReport, error) {
	nw, err := n.choose(ref)
	if err != nil {
		return api.PathReport{}, err
	}
	r, err := nw.doctor.Path(ctx, target)
	return r, doctorProblem(err)
}

// doctorProblem puts what package doctor refuses in the console's words.
func doctorProblem(err error) error {
	var refused *doctor.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Kind {
	case doctor.Invalid:
		return console.Invalid(err, api.FieldError{Field: "target", Detail: "want " + refused.Want})
	case doctor.NotFound:
		return console.NotFound(err)
	default:
		return console.Unavailable(err)
	}
}

// newDoctor returns what looks into the group.
func newDoctor(n *network) *doctor.Group {
	return doctor.NewGroup(doctor.Config{
		Name: n.node.cfg.Name, Port: n.node.socket.LocalAddr().Port(), NAT: n.nat,
		Membership: n.membership, Directory: n.registry, Members: patients{n}, Segment: ward{n}, IPv6: n.ipv6Net,
	})
}

// nat says what stands between this appliance and the others.
func (n *network) nat() doctor.NAT {
	local, err := iface.LocalAddrs(n.membership.Descriptor().Prefix)
	if err != nil {
		n.log.Debug("no interface addresses", "err", err)
	}
	return doctor.NATOf(n.node.overlay.Observed(), local)
}

// patients are the other members as the doctor sees them.
type patients struct{ network *network }

func (p patients) Peer(m group.MemberID) api.Peer {
	var session tunnel.PeerStatus
	for _, s := range p.network.tunnel.Peers() {
		if s.Member == m {
			session = s
		}
	}
	return p.network.describePeer(m, session, p.network.node.connected()[m])
}

func (p patients) Near(m group.MemberID) bool { return p.network.attachment.Load().near(m) }

func (p patients) Serving(m group.MemberID) group.MemberID { return p.network.standins.Serving(m) }

func (p patients) Ping(ctx context.Context, m group.MemberID) (api.PingPacket, error) {
	pong, err := p.network.tunnel.Ping(ctx, m)
	packet := api.PingPacket{RttMicroseconds: pong.RTT.Microseconds(), Path: pathKind(pong.Path), Endpoint: pong.Addr}
	if !pong.Via.IsZero() {
		packet.Via, packet.ViaName = pong.Via.String(), p.network.memberName(pong.Via)
	}
	return packet, err
}

func (p patients) Ask(ctx context.Context, m group.MemberID, req []byte) ([]byte, error) {
	return transport{p.network, doctor.Protocol}.Call(ctx, m, req)
}

// ward is what the group is attached to, as the doctor sees it.
type ward struct{ network *network }

func (w ward) HasLAN() bool { return w.network.node.setup().AttachesLAN() }

func (w ward) IsOwn(addr netip.Addr) bool {
	a := w.network.attachment.Load()
	if a == nil {
		return false
	}
	own := a.address.Load()
	return own != nil && own.Addr() == addr
}

func (w ward) Present(ctx context.Context, addr netip.Addr) (bool, error) {
	return w.network.present(ctx, addr)
}
