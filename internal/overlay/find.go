package overlay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"landbridge/internal/group"
)

const (
	pingProtocol  = "/landbridge/ping/1"  // empty request, empty reply
	whereProtocol = "/landbridge/where/1" // request: a member's ID, 32 bytes; reply: whereReply

	askedMembers = 16                     // at most, in one round
	askedFirst   = 4                      // in the first, where more are connected: in a large group many know
	askedPause   = 500 * time.Millisecond // there, once somebody knew an address
	askTime      = 2 * time.Second
	askMore      = 30 * time.Millisecond
	routingTime  = 5 * time.Second
)

// whereReply says what a node knows of another.
type whereReply struct {
	Relays bool     `cbor:"1,keyasint"` // it holds a reservation here
	Addrs  [][]byte `cbor:"2,keyasint"` // multiaddrs, at most maxLearnt
}

func encodeWhere(r whereReply) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(r)
}

// decodeWhere reads an answer from a peer.
func decodeWhere(b []byte) (relays bool, addrs []ma.Multiaddr, err error) {
	mode, err := cbor.DecOptions{MaxArrayElements: maxLearnt, MaxMapPairs: 16, MaxNestedLevels: 4,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden}.DecMode()
	if err != nil {
		return false, nil, err
	}
	var r whereReply
	if err := mode.Unmarshal(b, &r); err != nil {
		return false, nil, fmt.Errorf("answer about a member: %w", err)
	}
	for _, raw := range r.Addrs {
		if a, err := ma.NewMultiaddrBytes(raw); err == nil { // one of a transport that we lack is no fault
			addrs = append(addrs, a)
		}
	}
	return r.Relays, addrs, nil
}

// answerWhere handles whereProtocol.
func (o *Overlay) answerWhere(_ context.Context, _ group.MemberID, req []byte) ([]byte, error) {
	var id group.MemberID
	if len(req) != len(id) {
		return nil, errors.New("want a member ID of 32 bytes")
	}
	copy(id[:], req)
	p := id.Peer()
	r := whereReply{Relays: o.relaying.holds(p)}
	for _, a := range o.node.Peerstore().Addrs(p) {
		if len(r.Addrs) < maxLearnt && o.own.gate.usable(a) {
			r.Addrs = append(r.Addrs, a.Bytes())
		}
	}
	return encodeWhere(r)
}

// askMembers asks those that we are connected to where p is, and returns addresses.
// Whoever relays for p is a way there: relayed tells that there is one, and the
// addresses include a circuit through it. Then it waits only a moment for more.
func (o *Overlay) askMembers(ctx context.Context, p peer.ID, round int) (found []ma.Multiaddr, relayed bool) {
	id, err := group.MemberOfPeer(p)
	if err != nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	type answer struct {
		from   peer.ID
		relays bool
		addrs  []ma.Multiaddr
	}
	conns := o.directConns()
	rand.Shuffle(len(conns), func(i, j int) { conns[i], conns[j] = conns[j], conns[i] })
	if len(conns) > askedMembers {
		conns = conns[:min(askedMembers, askedFirst<<round)]
	}
	answers := make(chan answer, len(conns))
	for _, c := range conns {
		o.running.Go(func() {
			a := answer{from: c.RemotePeer()}
			if reply, err := o.callOn(ctx, c, whereProtocol, id[:]); err == nil {
				a.relays, a.addrs, _ = decodeWhere(reply)
			}
			answers <- a
		})
	}
	var enough <-chan time.Time // set when somebody relays
	for range conns {
		select {
		case a := <-answers:
			for _, addr := range a.addrs {
				if o.own.gate.usable(addr) && len(found) < maxLearnt {
					found = append(found, addr)
				}
			}
			if a.relays {
				relayed = true
				found = append(found, circuitThrough(a.from))
				if enough == nil {
					enough = time.After(askMore)
				}
			}
		case <-enough:
			return found, relayed
		}
	}
	return found, relayed
}

func circuitThrough(relay peer.ID) ma.Multiaddr {
	return ma.StringCast("/p2p/" + relay.String() + "/p2p-circuit")
}

// directConns lists one direct connection to each connected peer.
func (o *Overlay) directConns() []network.Conn {
	var conns []network.Conn
	for _, p := range o.node.swarm.Peers() {
		if c := o.bestConn(p); c != nil && !isCircuit(c.RemoteMultiaddr()) {
			conns = append(conns, c)
		}
	}
	return conns
}

// findByRouting looks p up in the DHT; what it finds is in the peerstore afterwards.
func (o *Overlay) findByRouting(ctx context.Context, p peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, routingTime)
	defer cancel()
	o.counters.searches.Add(1)
	found, err := o.dht.FindPeer(ctx, p)
	if err != nil {
		return fmt.Errorf("nobody knows where it is (%w)", err)
	}
	if len(found.Addrs) == 0 && o.bestConn(p) == nil {
		return errors.New("nobody knows where it is")
	}
	return nil
}
