package tunnel

import (
	"bytes"
	"crypto/ecdh"
	"net/netip"

	"landbridge/internal/group"
)

// sendControl seals a control message and sends it by a path, if it can; p.mu is
// held. It doesn't count as traffic that wants an answer, but from a relay it does:
// one that has died is noticed by what stays away.
func (p *peer) sendControl(path pathID, plaintext []byte) {
	t := p.tunnel
	s := p.current
	if s == nil {
		s = p.next
	}
	if s == nil {
		return
	}
	addr := path.addr
	var hop *route
	var relay *peer
	if path.relayed() {
		if relay = t.peers.Load().byID[path.via]; relay == nil {
			return
		}
		if hop = relay.route.Load(); hop == nil || hop.via != nil {
			return
		}
		addr = hop.addr
	}
	if !addr.IsValid() {
		return
	}
	counter, ok := s.out.reserve(1)
	if !ok {
		return
	}
	var outer uint64
	if hop != nil {
		if outer, ok = hop.out.reserve(1); !ok {
			return
		}
	}
	b := t.borrowBatch()
	b.class = classUrgent
	slot := b.slot(len(plaintext) + sealOverhead + relayOverhead)
	if hop == nil {
		b.add(addr, s.out.seal(slot, typeControl, counter, plaintext))
	} else {
		b.add(addr, sealRelayed(slot, hop.out, outer, s.out, typeControl, counter, p.hash, plaintext))
		now := t.now()
		hop.sent.Store(int64(now))
		relay.rouse(now)
	}
	t.flushBatch(b)
}

func (p *peer) sendProbe(a probePath) {
	size := probeSize
	if a.full {
		size = p.tunnel.mtu + trailerSize
	}
	p.sendControl(a.to, newProbe(a.id, size))
}

// control handles a control message, which arrived from an address or through a
// relay. The reader calls it.
func (p *peer) control(s *session, msg []byte, from netip.AddrPort, via *peer) {
	path := pathID{addr: from}
	if via != nil {
		path = pathID{via: via.id}
	}
	var err error
	switch msg[0] {
	case msgProbe:
		err = p.onProbe(msg, path)
	case msgPong:
		err = p.onPong(msg, path)
	case msgKeepalive:
	case msgClose:
		err = p.onClose(s, msg)
	case msgRekey:
		err = p.onRekey(s, msg, path)
	case msgRekeyAnswer:
		err = p.onRekeyAnswer(s, msg)
	case msgCandidates:
		err = p.onCandidates(msg)
	case msgRefused:
		err = p.onRefused(msg)
	default:
		p.tunnel.counts.add(UnknownControl, 1)
	}
	if err != nil {
		p.tunnel.counts.add(BadControl, 1)
	}
}

// onProbe answers a probe where it came from, a hundred in a second: answers go before all
// that waits for a slow link (classUrgent).
func (p *peer) onProbe(msg []byte, path pathID) error {
	id, err := parseProbe(msg)
	if err != nil {
		return err
	}
	if !p.probesIn.take(1, p.tunnel.now()) {
		return nil
	}
	observed := path.addr
	if isLink(observed) {
		observed = netip.AddrPort{} // ours alone
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if isLink(path.addr) && p.linkOf(path.addr) == nil {
		return nil // by UDP, from a source that is forged
	}
	p.sendControl(path, newPong(id, observed))
	return nil
}

func (p *peer) onPong(msg []byte, path pathID) error {
	id, observed, err := parsePong(msg)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastHeard = p.tunnel.now()
	if !p.echoes.answer(id, p.lastHeard) {
		p.dispatch(ponged{path: path, id: id})
	}
	if !path.relayed() {
		p.tunnel.noteSeen(p.id, observed, p.tunnel.now())
	}
	return nil
}

func (p *peer) onClose(s *session, msg []byte) error {
	if len(msg) != closeSize {
		return errMalformed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s != p.current && s != p.next {
		return nil // of a session that is over already
	}
	over := sessionOver{why: "the member ended the session"}
	switch msg[1] {
	case closeLeaving:
		over.why = "the member's node stopped"
	case closeIdle:
		over.why = "nothing was sent for long"
	case closeRevoked:
		over.why, over.wait = "the member doesn't accept our certificate", surveyGap
	}
	p.dispatch(over)
	return nil
}

func (p *peer) onCandidates(msg []byte) error {
	list, flags, err := parseCandidates(msg)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.candidatesIn.take(1, p.tunnel.now()) {
		return nil
	}
	p.offered(list)
	if flags&flagReply != 0 {
		p.sendCandidates(0)
	}
	return nil
}

// onRefused hears from a relay, which p is, that it can't reach a member.
func (p *peer) onRefused(msg []byte) error {
	to, err := parseRefused(msg)
	if err != nil {
		return err
	}
	dst := p.tunnel.peers.Load().byHash[to]
	if dst == nil {
		return nil
	}
	dst.mu.Lock()
	defer dst.mu.Unlock()
	dst.dispatch(refused{via: p.id})
	return nil
}

// lower says whose exchange goes on when two cross.
func lower(a, b group.MemberID) bool { return bytes.Compare(a[:], b[:]) < 0 }

// A pendingRekey is a key exchange inside a session that we began.
type pendingRekey struct {
	session *session
	private *ecdh.PrivateKey
	offer   rekeyOffer
}

// answeredRekey is the last one that the peer began, for when our answer was lost.
type answeredRekey struct {
	session *session
	offer   rekeyOffer
	answer  []byte
}

// sendRekey begins a key exchange, or repeats its first message.
func (p *peer) sendRekey() {
	if p.current == nil {
		return
	}
	if p.rekey == nil || p.rekey.session != p.current {
		p.abandonRekey()
		private, err := newEphemeral()
		if err != nil {
			return
		}
		index, err := p.tunnel.demux.table.reserve()
		if err != nil {
			return
		}
		offer := rekeyOffer{index: index, ephemeral: [ephemeralSize]byte(private.PublicKey().Bytes())}
		p.rekey = &pendingRekey{session: p.current, private: private, offer: offer}
	}
	p.sendControl(p.paths.chosen, p.rekey.offer.bytes())
}

func (p *peer) abandonRekey() {
	if p.rekey != nil {
		p.tunnel.demux.table.release(p.rekey.offer.index)
		p.rekey = nil
	}
}

// onRekey answers a key exchange. If both ends began one, the lower ID's goes on.
func (p *peer) onRekey(s *session, msg []byte, path pathID) error {
	offer, err := parseRekey(msg)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answered.session == s && p.answered.offer == offer {
		p.sendControl(path, p.answered.answer)
		return nil
	}
	if s != p.current || p.closed || p.rekey != nil && lower(p.tunnel.self, p.id) {
		return nil
	}
	if !p.rekeysIn.take(1, p.tunnel.now()) { // each takes an index for a while, and a tenth of a millisecond of the reader
		return nil
	}
	p.abandonRekey()
	private, err := newEphemeral()
	if err != nil {
		return nil
	}
	index, err := p.tunnel.demux.table.reserve()
	if err != nil {
		return nil
	}
	reply := rekeyAnswer{offered: offer.ephemeral, index: index, ephemeral: [ephemeralSize]byte(private.PublicKey().Bytes())}
	answer := reply.bytes()
	next, err := p.rekeyed(s, private, offer.ephemeral[:], msg, answer, false, index, offer.index)
	if err != nil {
		p.tunnel.demux.table.release(index)
		return errMalformed
	}
	p.tunnel.demux.table.put(next.in)
	p.retire(p.next)
	p.next = next
	p.answered = answeredRekey{session: s, offer: offer, answer: answer}
	p.sendControl(path, answer)
	p.rest(p.moment())
	return nil
}

func (p *peer) onRekeyAnswer(s *session, msg []byte) error {
	answer, err := parseRekeyAnswer(msg)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rekey
	if r == nil || r.session != s || s != p.current || r.offer.ephemeral != answer.offered {
		return nil
	}
	next, err := p.rekeyed(s, r.private, answer.ephemeral[:], r.offer.bytes(), msg, true, r.offer.index, answer.index)
	if err != nil {
		return errMalformed
	}
	p.rekey = nil
	p.tunnel.demux.table.put(next.in)
	p.adopt(next)
	p.publish()
	p.dispatch(installed{initiator: true})
	return nil
}

// rekeyed derives the session that follows s.
func (p *peer) rekeyed(s *session, private *ecdh.PrivateKey, public, offer, answer []byte, initiator bool, ours, theirs uint32) (*session, error) {
	keys, err := deriveKeys(private, public, s.chain[:], transcript(offer, answer))
	if err != nil {
		return nil, err
	}
	next, err := newSession(p, s.cipher, keys, initiator, ours, theirs, p.tunnel.now())
	if err == nil {
		next.rekey = true
		next.in.inflow = s.in.inflow
	}
	return next, err
}
