package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/health"
	"landbridge/internal/overlay"
)

const (
	// introduceTimeout bounds a hello to one member.
	introduceTimeout = 5 * time.Second
	// renewalCheck is how often a certificate's age is looked at.
	renewalCheck = time.Minute
	// refreshInterval is how often the descriptor is asked for in the DHT.
	refreshInterval = 5 * time.Minute
)

// hello is what this node says of itself in the group. known is what the receiver has, nil
// where that isn't known.
func (n *network) hello(known *extent) hello {
	d, s := n.membership.Descriptor(), n.membership.Settings()
	h := hello{Certificate: n.membership.Certificate(), Version: d.Version, Run: n.run, Time: time.Now().UnixNano(), SettingsVersion: new(uint64)}
	if s != nil {
		*h.SettingsVersion, h.SettingsSum = s.Version, s.Sum()
	}
	if known != nil && known.descriptor < d.Version {
		h.Descriptor = n.membership.Signed()
	}
	if known != nil && known.lacks(s) {
		h.Settings = n.membership.SignedSettings()
	}
	return h
}

// greet takes what a member said of itself. It fails with group.ErrBehind where the
// descriptor known here is too old to tell.
func (n *network) greet(from group.MemberID, h hello) error {
	if len(h.Descriptor) > 0 {
		if _, err := n.membership.Update(h.Descriptor); err != nil {
			return fmt.Errorf("descriptor from %s: %w", from.Short(), err)
		}
	}
	if err := n.membership.CheckCertificate(from, h.Certificate, time.Now()); err != nil {
		return err
	}
	n.takeSettings(from, h.Settings)
	n.mu.Lock()
	former, known := n.met[from]
	n.met[from] = greeting{run: h.Run, has: *h.has()}
	n.mu.Unlock()
	if known && former.run != h.Run {
		n.sessionsLost(from)
	}
	return nil
}

// sessionsLost has the sessions with a restarted member made anew. Before the tunnel
// stands there are none.
func (n *network) sessionsLost(m group.MemberID) {
	select {
	case <-n.ready:
		n.tunnel.Restarted(m)
	default:
	}
}

func (n *network) fetchDescriptor(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, introduceTimeout)
	defer cancel()
	signed, err := n.node.overlay.GetDescriptor(ctx, n.id)
	if err != nil {
		n.log.Debug("descriptor not found in the DHT", "err", err)
		return
	}
	if _, err := n.membership.Update(signed); err != nil {
		n.log.Warn("descriptor in the DHT refused", "err", err)
		if errors.Is(err, group.ErrForked) {
			n.health().Report(health.Trouble{Level: health.Error, Component: "group", Key: "forked", Finding: health.Finding{
				Text:   fmt.Sprintf("The group's descriptor that the network has is refused: %v.", err),
				Remedy: "Let the group's authority run and be reached, so that it fetches the newest descriptor, before anybody is admitted or removed there.",
			}}, time.Now())
		}
	}
}

// renewCertificate asks the authority for a new certificate once two thirds of this
// one's life are over.
func (n *network) renewCertificate(ctx context.Context, now time.Time) {
	if !n.membership.RenewalDue(now) || n.standing() != nil {
		n.health().Clear("group", "renewal")
		n.renewalWarning = reminder{}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*introduceTimeout)
	defer cancel()
	err := n.renew(ctx, now)
	if n.standing() != nil {
		return // that is what the authority had to say; reportStanding tells
	}
	if err != nil {
		kind := "no answer" // its text can differ each time
		if refusesNewcomer(err) {
			kind = err.Error()
		}
		if n.renewalWarning.due(kind, now) {
			n.log.Warn("certificate not renewed; the appliance goes on trying each minute", "expires", n.membership.Expires(), "err", err)
		}
		n.health().Report(health.Trouble{Component: "group", Key: "renewal", Finding: health.Finding{
			Text:   fmt.Sprintf("The certificate ends on %s and couldn't be renewed: %v. The appliance goes on trying.", n.membership.Expires().Format(time.RFC1123), err),
			Remedy: "See that the group's authority is running and can be reached.",
		}}, now)
	}
}

func (n *network) renew(ctx context.Context, now time.Time) error {
	var reply group.JoinReply
	if n.authority != nil {
		der, err := n.authority.Renew(n.node.state.self(), now)
		if err != nil {
			return err
		}
		reply = group.JoinReply{Descriptor: n.membership.Signed(), Certificate: der}
	} else {
		authority := n.membership.Descriptor().Authority
		answer, err := askAuthority(ctx, n.node.overlay, authority, group.NewRenewRequest(n.id))
		if errors.Is(err, group.ErrRemoved) { // a hello brings the descriptor that proves it
			err = errors.Join(err, n.node.gate.introduce(ctx, n, authority))
		}
		if err != nil {
			return err
		}
		reply = answer
	}
	if err := n.membership.Renewed(reply, now); err != nil {
		return err
	}
	n.log.Info("certificate renewed", "expires", n.membership.Expires())
	return nil
}

// askAuthority sends a request to a group's authority over the overlay.
func askAuthority(ctx context.Context, o *overlay.Overlay, authority group.MemberID, req group.JoinRequest) (group.JoinReply, error) {
	b, err := req.Marshal()
	if err != nil {
		return group.JoinReply{}, err
	}
	answer, err := o.Call(ctx, authority, group.Protocol, envelope(req.Group, b))
	if err != nil {
		return group.JoinReply{}, err
	}
	body, err := unwrap(answer)
	if err != nil {
		return group.JoinReply{}, err
	}
	return group.ParseJoinReply(body)
}

// serveJoin answers newcomers, and members that want a new certificate. It is open to
// everybody: the invitation's secret, or the roster, lets them in.
func (nd *node) serveJoin(ctx context.Context, from group.MemberID, req []byte) ([]byte, error) {
	n, body, err := nd.gate.open(ctx, req)
	if err != nil {
		return refusal(err), nil
	}
	if n.authority == nil {
		b, _ := group.MarshalRefusal(group.ErrNotAuthority)
		return append([]byte{replyOK}, b...), nil
	}
	b, err := n.authority.Serve(from, cameFrom(nd.overlay.Remote(from)), body, time.Now())
	if err != nil {
		nd.log.Info("request to join refused", "peer", from, "err", err)
		return refusal(errors.New("the request can't be served")), nil
	}
	return append([]byte{replyOK}, b...), nil
}
