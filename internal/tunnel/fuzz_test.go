package tunnel

import (
	"bytes"
	"crypto/ecdh"
	"net/netip"
	"testing"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// FuzzDatagram throws bytes at the demux, as anybody can who finds the port.
func FuzzDatagram(f *testing.F) {
	f.Add(unhex(f, goldenAES))
	f.Add(unhex(f, goldenRelayed))
	f.Add([]byte{})
	f.Add([]byte{byte(typeData >> 24)})
	f.Add(append([]byte{byte(typeData >> 24), 1, 2, 3, 0, 0, 0, 1}, make([]byte, 60)...))
	a := wire(f, 2, func(group.MemberID, []frame.Packet) { f.Fatal("a packet came through") })[0]
	from := netip.MustParseAddrPort("203.0.113.5:99")
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxDatagram {
			return
		}
		a.demux.receive([]datagram{{addr: from, data: bytes.Clone(b)}}, false)
		// and with an index that there is
		if len(b) >= headerSize {
			b = bytes.Clone(b)
			putHeader(b, typeData+lead(b[0]&1)<<24+lead(b[1]), 2+uint32(len(b)%2), uint64(len(b)))
			a.demux.receive([]datagram{{addr: from, data: b}}, false)
		}
	})
}

// FuzzSealed throws plaintexts at a peer, as a member can that has gone mad: control
// messages, envelopes, packets.
func FuzzSealed(f *testing.F) {
	list := candidateList{endpoints: []endpointCandidate{{addr: netip.MustParseAddrPort("192.0.2.1:7"), host: true}}, relays: []group.MemberID{{1}}}
	inner := unhex(f, goldenAES)
	for _, seed := range [][]byte{
		segment("of a flow"), append(packet("whole").IP(), 1<<6), goldenPacket(), newProbe(1, 0), newProbe(1, DefaultMTU), newPong(1, netip.AddrPort{}),
		{msgKeepalive}, {msgClose, closeLeaving}, {msgClose, closeIdle}, rekeyOffer{ephemeral: [32]byte{9}, index: 1}.bytes(),
		rekeyAnswer{ephemeral: [32]byte{9}}.bytes(), list.bytes(flagReply), list.bytes(0),
		append(appendEnvelope(nil, msgForward, memberHash{}), inner...),
		append(appendEnvelope(nil, msgForwarded, memberHash{}), inner...),
		append([]byte{msgRefused}, make([]byte, hashSize)...), {0x60}, {0xff, 1},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		if len(plaintext) == 0 || len(plaintext) > MaxMTU {
			return
		}
		list := wire(t, 2, func(_ group.MemberID, pkts []frame.Packet) {
			for _, p := range pkts { // good IP packets, whatever came
				if _, err := frame.Cut(p); err != nil {
					t.Errorf("a packet that can't be sent on: %v", err)
				}
			}
		})
		a, b := list[0], list[1]
		p := a.peer(b.self)
		from := netip.MustParseAddrPort("203.0.113.5:99")
		buf := make([]byte, len(plaintext)+sealOverhead)
		for _, kind := range []lead{typeData, typeControl, typeData} {
			counter, _ := p.current.out.reserve(1)
			n := p.current.out.seal(buf, kind, counter, plaintext)
			b.demux.receive([]datagram{{addr: from, data: bytes.Clone(buf[:n])}}, false)
		}
		q := b.peer(a.self)
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(q.queue) > 0 || len(q.old) > 8 || q.paths.n > maxPaths {
			t.Errorf("%d wait, %d old keys, %d paths", len(q.queue), len(q.old), q.paths.n)
		}
	})
}

// FuzzOffer throws offers at HandleSignal, as a node can that isn't a member, and
// answers at the maker of an offer.
func FuzzOffer(f *testing.F) {
	m := newMemNet(f)
	a := m.node(public)
	other := newFakeMember(m.group, 50)
	b := m.nodeOn(m.host(public), other)
	private, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{3}, 32)) // the same in each fuzzing process
	if err != nil {
		f.Fatal(err)
	}
	body := b.tunnel.describe(a.member.id, private.PublicKey().Bytes(), 5, true)
	req, raw, err := b.tunnel.sign(offerDomain, body)
	if err != nil {
		f.Fatal(err)
	}
	p := a.tunnel.peer(other.id)
	offer := &pendingOffer{private: private, index: 7}
	good, _, _ := b.tunnel.sign(answerDomain, answerBody{Offer: make([]byte, 32), Cipher: AES256GCM, Sender: body})
	for _, seed := range [][]byte{req, raw, good, {}, {0xa0}, {0xa2, 1, 0x40, 2, 0x40}, []byte("not CBOR")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		var o offerBody
		env, err := a.tunnel.codec.decode(msg, &o)
		if err == nil {
			o.candidates()
		}
		if !bytes.Equal(env.Body, raw) { // else it is the good offer, in an envelope written otherwise
			if reply, err := a.tunnel.HandleSignal(t.Context(), other.id, msg); err == nil {
				t.Errorf("an answer of %d bytes", len(reply))
			}
		}
		if s, _, err := p.readAnswer(offer, raw, msg); err == nil && s != nil {
			t.Error("a session from nothing")
		}
	})
}

// FuzzCandidates checks the one list that is parsed.
func FuzzCandidates(f *testing.F) {
	f.Add(candidateList{}.bytes(0))
	f.Add(candidateList{endpoints: make([]endpointCandidate, maxOffered), relays: make([]group.MemberID, maxRelays)}.bytes(1))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, flags, err := parseCandidates(b)
		if err != nil {
			return
		}
		if len(list.endpoints) > maxOffered || len(list.relays) > maxRelays {
			t.Errorf("%d endpoints, %d relays", len(list.endpoints), len(list.relays))
		}
		again, flags2, err := parseCandidates(list.bytes(flags))
		if err != nil || flags2 != flags || len(again.endpoints) != len(list.endpoints) {
			t.Errorf("not the same again: %v", err)
		}
	})
}

// FuzzReplay compares the window with a set.
func FuzzReplay(f *testing.F) {
	f.Add([]byte{1, 2, 3, 2, 200, 1})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var w replayFilter
		seen := make(map[uint64]bool)
		at, newest := uint64(1<<20), uint64(0)
		for i := 0; i+1 < len(steps); i += 2 {
			at += uint64(steps[i]) << (steps[i+1] % 12)
			at -= min(at, uint64(steps[i+1])<<4)
			want := !seen[at] && (at > newest || newest-at <= replayWindow)
			if w.accept(at) != want {
				t.Fatalf("counter %d after %d", at, newest)
			}
			if want {
				seen[at], newest = true, max(newest, at)
			}
		}
	})
}

// segment is the body of a UDP packet, as package frame draws it.
func segment(text string) []byte {
	from, to := netip.MustParseAddrPort("10.9.0.2:7"), netip.MustParseAddrPort("10.9.0.3:8")
	cuts, err := frame.Cut(wrap(frame.AppendUDP(nil, from, to, []byte(text))))
	if err != nil {
		panic(err)
	}
	return cuts.Body(0)
}
