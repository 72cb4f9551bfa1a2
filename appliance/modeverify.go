package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"landbridge/iface"
	"landbridge/internal/group"
	"landbridge/internal/modes"
)

const (
	beforeTime = 2 * time.Second  // for members to answer before the switch
	verifyTime = 12 * time.Second // for all of it, afterwards
	answerTime = 500 * time.Millisecond
	verifyPace = 50 * time.Millisecond
	maxAsked   = 3 // members that are asked whether they can be reached
)

// attacher is the node as package modes sees it.
type attacher struct{ node *node }

// Now returns how groups are attached.
func (a attacher) Now() modes.Setup { return a.node.setup() }

// Witness looks whom each group reaches. What it returns finds out whether all groups work as they
// are attached then.
func (a attacher) Witness(ctx context.Context) (verify func(context.Context) error) {
	reached := a.node.reached(ctx)
	return func(ctx context.Context) error { return a.node.verify(ctx, reached) }
}

// Reattach has all groups attached as the setup says.
func (a attacher) Reattach(to modes.Setup) error { return a.node.reattach(to) }

// verify finds out whether all groups work as they are attached now. reached is whom each
// could reach before.
func (n *node) verify(ctx context.Context, reached map[group.ID][]group.MemberID) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	for _, nw := range n.running() {
		if err := nw.verify(ctx, reached[nw.id]); err != nil {
			return fmt.Errorf("group %s: %w", nw.membership.Descriptor().Name, err)
		}
	}
	return nil
}

func (n *network) verify(ctx context.Context, reached []group.MemberID) error {
	a := n.attachment.Load()
	if a == nil {
		return errors.New("it isn't attached")
	}
	if err := n.verifySegment(ctx, a); err != nil {
		return err
	}
	if len(reached) > 0 {
		if err := n.anyAnswers(ctx, reached); err != nil {
			return fmt.Errorf("no member can be reached any more: %w", err)
		}
	}
	return a.check()
}

// check reports whether the devices stand as they were made.
func (a *attachment) check() error {
	if err := a.tap.Check(); err != nil {
		return err
	}
	if a.bridge != nil {
		return a.bridge.Check(a.setup.LANPort)
	}
	return nil
}

// verifySegment asks for the service address as a host does: by ARP on the LAN, or by DNS
// from this host.
func (n *network) verifySegment(ctx context.Context, a *attachment) error {
	service := n.membership.Descriptor().ServiceAddr()
	if a.setup.AttachesLAN() {
		deadline, _ := ctx.Deadline()
		if err := iface.AskARP(a.bridge.Name(), service, a.neighbours.macOf(n.membership.Self()), deadline); err != nil {
			return fmt.Errorf("the service address doesn't answer on the LAN: %w", err)
		}
		return nil
	}
	var last error
	for {
		own := a.address.Load()
		if own == nil {
			last = errors.New("this host got no address")
		} else if last = a.checkPresence(own.Addr()); last == nil {
			if last = askDNS(ctx, own.Addr(), service, n.membership.Descriptor().Zone); last == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("this host isn't attached as it should be within %v: %w", verifyTime, last)
		case <-time.After(verifyPace):
		}
	}
}

// checkPresence reports whether this host is on the wire of its LAN port (hybrid mode).
func (a *attachment) checkPresence(own netip.Addr) error {
	if a.hybrid == nil {
		return nil
	}
	there, err := iface.HasAddress(a.setup.LANPort, own)
	if err == nil && !there {
		err = fmt.Errorf("the LAN port %s hasn't got this host's address %v", a.setup.LANPort, own)
	}
	return err
}

// askDNS asks a server one question; any answer will do.
func askDNS(ctx context.Context, from, server netip.Addr, zone string) error {
	question, err := new(dns.Msg).SetQuestion(dns.Fqdn(zone), dns.TypeSOA).Pack()
	if err != nil {
		return err
	}
	dialer := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	conn, err := dialer.DialContext(ctx, "udp4", netip.AddrPortFrom(server, 53).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err = conn.SetDeadline(time.Now().Add(answerTime)); err == nil {
		_, err = conn.Write(question)
	}
	if err == nil {
		_, err = conn.Read(make([]byte, 512))
	}
	if err != nil {
		return fmt.Errorf("the service address %v doesn't answer DNS; see whether a firewall of this host is in the way: %w", server, err)
	}
	return nil
}

// reached returns, for each group in which a member answers, whom to ask afterwards.
func (n *node) reached(ctx context.Context) map[group.ID][]group.MemberID {
	ctx, cancel := context.WithTimeout(ctx, beforeTime)
	defer cancel()
	all := make(map[group.ID][]group.MemberID)
	for _, nw := range n.running() {
		if near := nw.near(); nw.anyAnswers(ctx, near) == nil {
			all[nw.id] = near
		}
	}
	return all
}

// near returns some members that the overlay has connections to.
func (n *network) near() []group.MemberID {
	links, d := n.node.overlay.Links(), n.membership.Descriptor()
	var all []group.MemberID
	for _, m := range d.Current() {
		if _, ok := links[m]; ok && m != n.membership.Self() && len(all) < maxAsked {
			all = append(all, m)
		}
	}
	return all
}

// anyAnswers says hello to members until one of them answers.
func (n *network) anyAnswers(ctx context.Context, members []group.MemberID) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the others need not answer then
	answers := make(chan error, len(members))
	for _, m := range members {
		n.background(func() { answers <- n.hail(ctx, m) })
	}
	last := errors.New("there is none")
	for range members {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case last = <-answers:
			if last == nil {
				return nil
			}
		}
	}
	return last
}

// hail says hello to a member until it answers.
func (n *network) hail(ctx context.Context, m group.MemberID) error {
	for {
		err := n.node.gate.introduce(ctx, n, m)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(answerTime):
		}
	}
}
