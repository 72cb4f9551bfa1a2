package appliance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/health"
	"landbridge/internal/neighbourhood"
	"landbridge/internal/share"
	"landbridge/internal/sorting"
	"landbridge/internal/vouch"
)

const (
	// vouchAgain is how soon a router is named again to itself that didn't take it.
	vouchAgain = 2 * time.Second
	// relearnInterval is how often the LAN's switches are shown where a taken MAC is; they forget after some minutes.
	relearnInterval = 30 * time.Second
	// loopQuiet is how long no loop must have been seen for health to be well again.
	loopQuiet = 10 * time.Second
)

// rounds is run's own: what it has done about the other routers.
type rounds struct {
	wan     *neighbourhood.WANWatch
	alone   bool // no other router was there last time
	claims  map[group.MemberID]*claim
	named   map[group.MemberID]time.Time // when a router is to be named again
	taken   []group.MemberID
	doubts  neighbourhood.Doubts
	relearn time.Time
	hushed  bool
	looped  time.Time // when a loop was seen last
}

// claim is a router for which we stand in.
type claim struct {
	asking    bool
	confirmed bool      // it doesn't say that it is well
	again     time.Time // when to ask
}

// alive is what a router said that had fallen silent, or is doubted.
type alive struct {
	member  group.MemberID
	doubted bool
	well    bool
}

// run decides what this router does on its segment and for others, until ctx ends.
func (s *neighbours) run(ctx context.Context) {
	r := &rounds{alone: true, claims: make(map[group.MemberID]*claim), named: make(map[group.MemberID]time.Time), doubts: neighbourhood.NewDoubts(s.self)}
	r.wan = neighbourhood.NewWANWatch(elsewhere{s})
	defer s.rest(r)
	duty := share.NewDuty(s.self)
	answers := make(chan alive, 16)
	tick := time.NewTicker(neighbourhood.WANInterval)
	defer tick.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		asking := false
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-next.C:
		case <-tick.C:
			asking = true
		case a := <-answers:
			r.heard(a, time.Now())
		}
		now := time.Now()
		routers := s.routers(ctx, r, duty, answers, now)
		s.watchLoop(r, now)
		s.watchWAN(ctx, r, len(routers) == 0, asking)
		orders := duty.Step(s.lanWell.Load(), s.wanWell.Load(), routers, now)
		s.hear(routers)
		s.obey(r, orders, now)
		s.network.standins.Serve(s.claim(ctx, r, orders, answers, now))
		s.name(ctx, r, routers, now)
		s.review()
		if !orders.Next.IsZero() {
			next.Reset(max(0, orders.Next.Sub(now)))
		}
	}
}

// heard takes what a router said of itself.
func (r *rounds) heard(a alive, now time.Time) {
	if a.doubted {
		r.doubts.Answer(a.member, a.well, now)
		return
	}
	if c := r.claims[a.member]; c != nil {
		c.asking, c.confirmed, c.again = false, !a.well, now.Add(neighbourhood.AliveAgain)
	}
}

// routers returns the other routers on the segment. In whose names somebody else may speak
// are asked over the overlay, and asked to answer on the segment what nobody hears there.
func (s *neighbours) routers(ctx context.Context, r *rounds, duty *share.Duty, answers chan<- alive, now time.Time) []share.Router {
	if !s.lanWell.Load() {
		r.doubts = neighbourhood.NewDoubts(s.self)
		return nil
	}
	routers, ask, unsure := r.doubts.Step(s.beacon.Neighbors(), s.beacon.Doubted(), now)
	duty.Unsure(unsure)
	for _, m := range ask {
		timeout := r.doubts.Patience(m)
		s.attachment.running.Go(func() {
			well := s.askAlive(ctx, m, timeout, neighbourhood.Appoint(s.macOf(s.self), s.beacon.Appoint()))
			tellAlive(ctx, answers, alive{member: m, doubted: true, well: well})
		})
	}
	return routers
}

// watchWAN finds out whether the WAN side works. That matters where another router could
// take over.
func (s *neighbours) watchWAN(ctx context.Context, r *rounds, alone, asking bool) {
	if r.alone != alone {
		r.alone, asking = alone, true
		r.wan.Begin()
	}
	well := s.wanWell.Load()
	if asking {
		well = alone || r.wan.Ask(ctx, s.sharing.Load(), s.attachment.running.Go)
	}
	well = well && (alone || s.uplink.Load())
	if s.wanWell.Swap(well) != well {
		s.network.log.Debug("the WAN side of this router", "connected", well)
		s.beacon.Announce()
	}
}

// obey takes up the orders, but for telling members elsewhere.
func (s *neighbours) obey(r *rounds, o share.Orders, now time.Time) {
	s.circle.Store(o.Circle)
	if s.sharing.Swap(o.Sharing) != o.Sharing {
		s.beacon.Announce()
	}
	relief := frame.MAC{}
	if !o.Relief.IsZero() {
		relief = s.macOf(o.Relief)
	}
	s.attachment.router.HandOver(relief)
	standing := make(map[group.MemberID]struct{})
	var take []group.MemberID
	for _, st := range o.Stands {
		standing[st.Member] = struct{}{}
		if st.Unheard {
			take = append(take, st.Member)
		}
	}
	if len(standing) == 0 {
		s.standing.Store(nil)
	} else {
		s.standing.Store(&standing)
	}
	s.takeMACs(r, take, now)
}

// takeMACs takes the frames for the MACs of these routers, and leaves those of others.
func (s *neighbours) takeMACs(r *rounds, members []group.MemberID, now time.Time) {
	log, again := s.network.log, !now.Before(r.relearn)
	var macs []frame.MAC
	for _, m := range members {
		macs = append(macs, s.macOf(m))
	}
	if !slices.Equal(members, r.taken) {
		s.attachment.router.TakeMACs(macs...)
	}
	for _, m := range r.taken {
		if slices.Contains(members, m) {
			continue
		}
		log.Info("another router of this LAN is heard again", "member", m)
		s.network.health().Clear("lan", "router "+m.String())
		if err := s.attachment.bridge.GiveMACBack(gatewayMAC(s.network.id, m)); err != nil {
			log.Warn("a router's MAC isn't given back", "member", m, "err", err)
		}
	}
	for i, m := range members {
		known := slices.Contains(r.taken, m)
		if known && !again {
			continue
		}
		if !known {
			log.Info("another router of this LAN isn't heard any more: this one stands in for it", "member", m)
			s.tellUnheard(m, now)
			if err := s.attachment.bridge.TakeMAC(gatewayMAC(s.network.id, m)); err != nil {
				log.Warn("a router's MAC isn't taken over", "member", m, "err", err)
				continue
			}
		}
		// Any frame from that MAC shows the switches where it is now.
		shown := append(frame.AppendEthernet(nil, frame.Broadcast(), macs[i], frame.EtherTypeBeacon), make([]byte, 46)...)
		if err := s.attachment.router.WriteFrame(shown); err != nil {
			log.Debug("a taken MAC isn't shown", "err", err)
		}
		r.relearn = now.Add(relearnInterval)
	}
	r.taken = members
}

// tellUnheard has health say that a router is missed: hosts go on, but not for ever.
func (s *neighbours) tellUnheard(m group.MemberID, now time.Time) {
	s.network.health().Report(health.Trouble{Level: health.Warning, Component: "lan", Key: "router " + m.String(), Finding: health.Finding{
		Text: fmt.Sprintf("The router %s of the LAN of port %s isn't heard any more, and this one does its work. Unless it can be asked over the overlay, hosts that have their address from it can't renew it: each keeps it until its lease ends, and gets another one then.",
			s.network.memberName(m), s.attachment.setup.LANPort),
		Remedy: "Bring it back within half a lease time, or see that it reaches the LAN. If it was taken away for good, landbridge restart here ends this.",
	}}, now)
}

// claim returns whose hosts we serve, as members elsewhere are to be told: those of routers
// that we stand in for and that don't object, and our own while we take part. A router that is
// silent on the LAN is asked: the segment may have come apart.
func (s *neighbours) claim(ctx context.Context, r *rounds, o share.Orders, answers chan<- alive, now time.Time) (serving []group.MemberID) {
	if o.Sharing {
		serving = append(serving, s.self)
	}
	former := r.claims
	r.claims = make(map[group.MemberID]*claim)
	for _, st := range o.Stands {
		c := former[st.Member]
		if c == nil {
			c = &claim{}
		}
		r.claims[st.Member] = c
		c.confirmed = c.confirmed || !st.Unheard
		if c.confirmed {
			serving = append(serving, st.Member)
			continue
		}
		if !c.asking && !now.Before(c.again) {
			c.asking = true
			s.attachment.running.Go(func() {
				tellAlive(ctx, answers, alive{member: st.Member, well: s.askAlive(ctx, st.Member, neighbourhood.AliveTimeout, []byte{neighbourhood.AskAlive})})
			})
		}
	}
	sorting.By(serving, group.MemberID.Compare)
	return serving
}

// askAlive asks a router over the overlay, and reports whether it says that it is well.
func (s *neighbours) askAlive(ctx context.Context, m group.MemberID, timeout time.Duration, question []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	reply, err := s.network.node.gate.call(ctx, s.network, m, neighbourhood.Protocol, question)
	return err == nil && len(reply) > 0 && reply[0] == 1
}

func tellAlive(ctx context.Context, answers chan<- alive, a alive) {
	select {
	case answers <- a:
	case <-ctx.Done():
	}
}

// name tells the other routers of the segment that we name them, so that they can show it.
func (s *neighbours) name(ctx context.Context, r *rounds, routers []share.Router, now time.Time) {
	maps.DeleteFunc(r.named, func(m group.MemberID, _ time.Time) bool {
		return !slices.ContainsFunc(routers, func(other share.Router) bool { return other.Member == m })
	})
	for _, other := range routers {
		if due, named := r.named[other.Member]; named && now.Before(due) {
			continue
		}
		st := s.statement(other.Member, now)
		if _, named := r.named[other.Member]; !named {
			s.attachment.running.Go(func() {
				s.tryWhileHere(ctx, other.Member, "what another router of this LAN has leased isn't known", s.fetchLeases)
			})
		}
		r.named[other.Member] = now.Add(vouch.RenewAfter(s.network.standins.LeaseTime()))
		s.attachment.running.Go(func() {
			s.tryWhileHere(ctx, other.Member, "another router of this LAN can't be named to itself", func(ctx context.Context, _ group.MemberID) error {
				return s.nameOne(ctx, st)
			})
		})
	}
}

// statement is our word that a neighbour is one.
func (s *neighbours) statement(about group.MemberID, now time.Time) vouch.Statement {
	return vouch.Sign(s.network.membership, about, now)
}

// nameOne hands a statement to the router that it names, and takes its own.
func (s *neighbours) nameOne(ctx context.Context, st vouch.Statement) error {
	within, cancel := context.WithTimeout(ctx, vouchAgain)
	defer cancel()
	reply, err := s.network.node.gate.call(within, s.network, st.Neighbour, neighbourhood.Protocol, st.Append([]byte{neighbourhood.AskVouch}))
	if err == nil && len(reply) > 0 {
		err = s.network.standins.TakeStatement(st.Neighbour, reply, time.Now())
	}
	return err
}

// tryWhileHere does something with another router again and again until it succeeds, while that one is here.
func (s *neighbours) tryWhileHere(ctx context.Context, m group.MemberID, failed string, try func(context.Context, group.MemberID) error) {
	again := time.NewTicker(vouchAgain)
	defer again.Stop()
	for s.beacon.Is(m) {
		err := try(ctx, m)
		if err == nil {
			return
		}
		s.network.log.Debug(failed, "member", m, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// review tells hosts of hybrid members that have left the LAN.
func (s *neighbours) review() {
	for _, addr := range s.guests.Review(s.beacon.Neighbors()) {
		if !s.circle.Load().Ours(share.AddrKey(addr)) {
			continue
		}
		if err := s.attachment.router.Announce(addr); err != nil {
			s.network.log.Warn("move not announced", "addr", addr, "err", err)
		}
	}
}

// watchLoop keeps the broadcasts of a LAN with a loop from us, and says so. When our beacons
// have not come back for a while it lets them pass again, and finds out whether they do.
func (s *neighbours) watchLoop(r *rounds, now time.Time) {
	looped := s.beacon.Looped()
	if looped {
		r.looped = now
	}
	if looped != r.hushed {
		r.hushed = looped
		if err := s.attachment.bridge.Hush(looped); err != nil {
			s.network.log.Warn("broadcasts of the LAN aren't kept from this appliance, though they go round", "err", err)
		}
		if !looped {
			s.beacon.Announce()
		}
	}
	switch {
	case looped:
		s.network.health().Report(health.Trouble{Level: health.Error, Component: "lan", Key: "loop", Finding: health.Finding{
			Text: fmt.Sprintf("The LAN of port %s has a loop: frames of this appliance come back to it. It takes no broadcasts from that LAN until the loop is gone, so that hosts may find no addresses.",
				s.attachment.setup.LANPort),
			Remedy: "Look for a cable, a bridge or an access point that joins the LAN to itself.",
		}}, now)
	case !r.looped.IsZero() && now.Sub(r.looped) >= loopQuiet:
		r.looped = time.Time{}
		s.network.health().Clear("lan", "loop")
	}
}

// rest gives back what was taken over.
func (s *neighbours) rest(r *rounds) {
	s.network.health().Clear("lan", "loop")
	s.takeMACs(r, nil, time.Now())
	s.network.standins.Serve(nil)
}

// macOf returns the gateway MAC of a member.
func (s *neighbours) macOf(m group.MemberID) frame.MAC {
	return frame.MAC(gatewayMAC(s.network.id, m))
}
