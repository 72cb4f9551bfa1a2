package tunnel

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/sha256"
	"fmt"
	"time"

	"landbridge/internal/group"
)

// glareWait is how long an offer from a peer waits for the end of our own to it.
const glareWait = time.Second

// A pendingOffer is an offer under way.
type pendingOffer struct {
	private *ecdh.PrivateKey
	index   uint32
	cancel  context.CancelFunc
	done    chan struct{} // closed when the call is over and its keys are in use
	stands  bool          // it led to keys; read after done
}

// startOffer calls the peer; p.mu is held.
func (p *peer) startOffer(again bool) {
	if p.offer != nil {
		if !again {
			return
		}
		p.abandonOffer()
	}
	t := p.tunnel
	private, err := newEphemeral()
	if err != nil {
		p.dispatch(offerDone{err})
		return
	}
	index, err := t.demux.table.reserve()
	if err != nil {
		p.dispatch(offerDone{err})
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	o := &pendingOffer{private: private, index: index, cancel: cancel, done: make(chan struct{})}
	p.offer = o
	fresh := p.current == nil && p.next == nil
	t.work.Go(func() { p.call(ctx, o, fresh) })
}

// abandonOffer gives up the offer under way; whatever comes of it is ignored.
func (p *peer) abandonOffer() {
	if p.offer == nil {
		return
	}
	p.offer.cancel()
	p.tunnel.demux.table.release(p.offer.index)
	p.offer = nil
}

// call sends the offer and puts the answer into use.
func (p *peer) call(ctx context.Context, o *pendingOffer, fresh bool) {
	defer o.cancel()
	defer close(o.done)
	t := p.tunnel
	select {
	case t.calls <- struct{}{}:
		defer func() { <-t.calls }()
	case <-ctx.Done():
	}
	t.refreshObserved()
	req, raw, err := t.sign(offerDomain, t.describe(p.id, o.private.PublicKey().Bytes(), o.index, fresh))
	var reply []byte
	if err == nil {
		reply, err = t.cfg.Signal.Call(ctx, p.id, req)
	}
	if err != nil {
		err = fmt.Errorf("offer a session: %w", err)
	}
	var s *session
	var a answerBody
	if err == nil {
		s, a, err = p.readAnswer(o, raw, reply)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.offer != o || p.closed {
		return // given up meanwhile
	}
	p.offer = nil
	if err == nil && s != nil {
		o.stands = true
		p.accepted(s, &a.Sender)
	} else {
		t.demux.table.release(o.index)
	}
	p.dispatch(offerDone{err})
}

// readAnswer checks an answer and makes the session. There is none if the peer's
// own offer stands.
func (p *peer) readAnswer(o *pendingOffer, offer, reply []byte) (*session, answerBody, error) {
	t := p.tunnel
	var a answerBody
	msg, err := t.codec.decode(reply, &a)
	if err != nil {
		return nil, a, err
	}
	hash := sha256.Sum256(offer)
	if !bytes.Equal(a.Offer, hash[:]) {
		return nil, a, fmt.Errorf("%w: the answer is to another offer", ErrMessage)
	}
	if a.Superseded {
		return nil, a, nil
	}
	if err := t.check(&a.Sender, p.id, msg.Body, msg.Signature, answerDomain); err != nil {
		t.counts.add(BadOffer, 1)
		return nil, a, fmt.Errorf("answer: %w", err)
	}
	if a.Cipher == AES256GCM && !hardwareAES() {
		return nil, a, fmt.Errorf("%w: AES, which we did not offer", ErrMessage)
	}
	keys, err := deriveKeys(o.private, a.Sender.Ephemeral, nil, transcript(offer, msg.Body))
	if err != nil {
		return nil, a, err
	}
	s, err := newSession(p, a.Cipher, keys, true, o.index, a.Sender.Index, t.now())
	return s, a, err
}

// accepted puts the session of our own offer into use; p.mu is held.
func (p *peer) accepted(s *session, from *offerBody) {
	s.fresh = from.Fresh
	p.tunnel.demux.table.put(s.in)
	p.adopt(s)
	p.learn(from)
	p.dispatch(keysUp{fresh: from.Fresh})
	p.publish()
	p.dispatch(installed{initiator: true})
	p.made(s, "initiator", from.AES)
}

// learn takes a peer's candidates from its offer or answer.
func (p *peer) learn(from *offerBody) {
	p.relays = from.Relay
	if list, err := from.candidates(); err == nil {
		p.offered(list)
	}
}

// HandleSignal answers an offer. The caller vouches that it came from the member
// named. It is safe for concurrent use.
func (t *Tunnel) HandleSignal(ctx context.Context, from group.MemberID, req []byte) ([]byte, error) {
	var o offerBody
	msg, err := t.codec.decode(req, &o)
	if err == nil {
		_, err = o.candidates()
	}
	if err == nil {
		err = t.check(&o, from, msg.Body, msg.Signature, offerDomain)
	}
	if err != nil {
		t.counts.add(BadOffer, 1)
		return nil, err
	}
	p := t.peer(from)
	if p == nil {
		return nil, ErrBusy
	}
	if p.ourOfferStands(ctx) {
		hash := sha256.Sum256(msg.Body)
		reply, _, err := t.sign(answerDomain, answerBody{Superseded: true, Offer: hash[:]})
		return reply, err
	}
	return p.answer(&o, msg.Body)
}

// ourOfferStands settles offers that cross: the member with the lower ID prevails,
// if its offer comes through.
func (p *peer) ourOfferStands(ctx context.Context) bool {
	p.mu.Lock()
	ours := p.offer
	p.mu.Unlock()
	if ours == nil || !lower(p.tunnel.self, p.id) {
		return false
	}
	timer := time.NewTimer(glareWait)
	defer timer.Stop()
	select {
	case <-ours.done:
		return ours.stands
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// answer makes the session that the peer asks for.
func (p *peer) answer(o *offerBody, offer []byte) ([]byte, error) {
	t := p.tunnel
	private, err := newEphemeral()
	if err != nil {
		return nil, err
	}
	t.refreshObserved()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	if !p.offersIn.take(1, t.now()) {
		return nil, ErrBusy
	}
	index, err := t.demux.table.reserve()
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(offer)
	a := answerBody{
		Offer: hash[:], Cipher: chooseCipher(hardwareAES(), o.AES),
		Sender: t.describe(p.id, private.PublicKey().Bytes(), index, p.current == nil),
	}
	s, reply, err := p.makeAnswer(private, o, offer, a, index)
	if err != nil {
		t.demux.table.release(index)
		return nil, err
	}
	s.fresh = o.Fresh
	t.demux.table.put(s.in)
	p.retire(p.next)
	p.next = s
	if o.Fresh { // the keys in use are of no use to it any more
		p.abandonRekey()
		p.retire(p.current)
		p.current = nil
		p.publish()
	}
	p.learn(o)
	p.dispatch(keysUp{fresh: o.Fresh})
	p.dispatch(installed{initiator: false})
	p.made(s, "responder", o.AES)
	return reply, nil
}

func (p *peer) makeAnswer(private *ecdh.PrivateKey, o *offerBody, offer []byte, a answerBody, index uint32) (*session, []byte, error) {
	reply, raw, err := p.tunnel.sign(answerDomain, a)
	if err != nil {
		return nil, nil, err
	}
	keys, err := deriveKeys(private, o.Ephemeral, nil, transcript(offer, raw))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	s, err := newSession(p, a.Cipher, keys, false, index, o.Index, p.tunnel.now())
	return s, reply, err
}
