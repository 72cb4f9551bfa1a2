package crowd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"landbridge/bench/load"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/overlay"
	"landbridge/internal/registry"
	"landbridge/internal/store"
	"landbridge/internal/tunnel"
)

// member is one far end.
type member struct {
	crowd      *Crowd
	at         netip.AddrPort // on the underlay
	key        ed25519.PrivateKey
	run        uint64
	db         *store.DB
	membership *group.Membership
	socket     *tunnel.Socket
	overlay    *overlay.Overlay
	registry   *registry.Registry
	tunnel     *tunnel.Tunnel
	addr       netip.Addr // leased
	tally      load.Tally

	closers []func() error // last first
}

// openMember starts member n at an address; its state is in the crowd's directory.
func (c *Crowd) openMember(n int, at netip.Addr) (m *member, err error) {
	m = &member{crowd: c, at: netip.AddrPortFrom(at, c.hub.Port())}
	if err := m.open(n); err != nil {
		return nil, errors.Join(fmt.Errorf("member %d: %w", n, err), m.close())
	}
	return m, nil
}

func (m *member) open(n int) error {
	if err := m.load(n); err != nil {
		return err
	}
	var err error
	if m.socket, err = tunnel.OpenSocket(m.crowd.loop, m.at, m.crowd.log); err != nil {
		return err
	}
	m.closers = append(m.closers, m.socket.Close)
	if err := m.openOverlay(); err != nil {
		return err
	}
	m.registry, err = registry.Open(registry.Config{
		Membership: m.membership, Store: m.db, Transport: line{m, registry.Protocol, (*member).register}, Segment: segment(m.membership.Self()), Log: m.crowd.log,
	})
	if err != nil {
		return err
	}
	m.closers = append(m.closers, m.registry.Close)
	m.tunnel, err = tunnel.Open(tunnel.Config{
		Socket: m.socket, Membership: m.membership, Signal: line{m, protocolConnect, (*member).connect},
		Interfaces: func() []netip.Addr { return []netip.Addr{m.at.Addr()} },
		Exclude:    m.membership.Descriptor().Prefix.Contains,
		Deliver:    m.deliver,
		JoinTCP:    true, JoinUDP: true,
		MTU: m.membership.Descriptor().MTU, Log: m.crowd.log,
	})
	if err != nil {
		return err
	}
	m.closers = append(m.closers, m.tunnel.Close)
	return nil
}

// load reads what Admit has saved.
func (m *member) load(n int) error {
	seed, err := os.ReadFile(keyFile(m.crowd.dir, n))
	if err != nil {
		return err
	}
	m.key = ed25519.NewKeyFromSeed(seed)
	var run [8]byte
	_, _ = rand.Read(run[:]) // never fails
	m.run = binary.BigEndian.Uint64(run[:])
	if m.db, err = store.Open(stateFile(m.crowd.dir, n)); err != nil {
		return err
	}
	m.closers = append(m.closers, m.db.Close)
	ids, err := group.Groups(m.db)
	if err != nil {
		return err
	}
	if len(ids) != 1 {
		return fmt.Errorf("a state with %d groups: want one", len(ids))
	}
	m.membership, err = group.OpenMembership(m.db, m.key, ids[0])
	return err
}

// openOverlay starts the overlay, which dials nobody but the hub.
func (m *member) openOverlay() (err error) {
	m.overlay, err = overlay.Open(context.Background(), overlay.Config{
		Key: m.key, Socket: m.socket.QUIC(), Log: m.crowd.log, Guest: true,
		Exclude: func(a netip.Addr) bool { a = a.Unmap(); return a != m.crowd.hub.Addr() && a != m.at.Addr() },
		Validator: func(id group.ID, value []byte) (uint64, error) {
			d, err := group.ParseDescriptor(value)
			if err != nil {
				return 0, err
			}
			if d.Group != id {
				return 0, group.ErrOtherGroup
			}
			return d.Version, nil
		},
	})
	if err != nil {
		return err
	}
	m.closers = append(m.closers, m.overlay.Close)
	m.listen()
	m.overlay.SetMembers([]group.MemberID{m.authority()})
	return nil
}

func (m *member) authority() group.MemberID { return m.membership.Descriptor().Authority }

// meetHub makes the hub and the member known to each other.
func (m *member) meetHub(ctx context.Context) error {
	m.overlay.Add([]string{fmt.Sprintf("/ip4/%v/udp/%d/quic-v1/p2p/%v", m.crowd.hub.Addr(), m.crowd.hub.Port(), m.authority())})
	if err := patiently(ctx, func() error { return m.introduce(ctx, m.authority()) }); err != nil {
		return fmt.Errorf("%v doesn't meet the hub: %w", m.at, err)
	}
	return nil
}

// patiently tries until it succeeds or ctx ends.
func patiently(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return err
		}
	}
}

// lease leases the member its address.
func (m *member) lease(ctx context.Context) error {
	self := m.membership.Self()
	client := registry.Client{ID: registry.OwnClient(self), MAC: hostMAC(self)}
	err := patiently(ctx, func() error {
		offer, err := m.registry.Offer(ctx, client, netip.Addr{})
		if err != nil {
			return err
		}
		lease, err := m.registry.Commit(ctx, client, offer.Addr)
		m.addr = lease.Addr
		return err
	})
	if err != nil {
		return fmt.Errorf("%v gets no address: %w", m.at, err)
	}
	return nil
}

// deliver counts what arrives for the sink's port. The loop's thread calls it.
func (m *member) deliver(_ group.MemberID, packets []frame.Packet) {
	now := time.Now().UnixNano()
	for _, p := range packets {
		ip := p.IP()
		const headers = frame.IPv4HeaderLen + frame.UDPHeaderLen
		if len(ip) <= headers || ip[0] != 0x45 || ip[9] != frame.ProtocolUDP || binary.BigEndian.Uint16(ip[frame.IPv4HeaderLen+2:]) != m.crowd.port {
			continue
		}
		payload, size := ip[headers:], len(ip)-headers
		if p.GSO == frame.GSOUDP {
			size = int(p.Size)
		}
		for len(payload) > 0 {
			size = min(size, len(payload))
			m.tally.Note(payload[:size], now)
			payload = payload[size:]
		}
	}
}

func (m *member) close() error {
	var errs []error
	for i := len(m.closers) - 1; i >= 0; i-- {
		errs = append(errs, m.closers[i]())
	}
	return errors.Join(errs...)
}

// segment and hostMAC stand for the LAN and the card that the member doesn't have.
func segment(m group.MemberID) registry.SegmentID {
	sum := sha256.Sum256(append([]byte("landbridge bench segment"), m[:]...))
	return registry.SegmentID(sum[:16])
}

func hostMAC(m group.MemberID) net.HardwareAddr {
	return net.HardwareAddr{0x02, m[0], m[1], m[2], m[3], m[4]}
}
