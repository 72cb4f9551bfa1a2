package tunnel

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

func TestControlMessagesAreTheBytesOfTheDrawing(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.1:7000"), netip.MustParseAddrPort("[2001:db8::1]:7001")
	var e1, e2 [32]byte
	e1[0], e2[31] = 1, 2
	list := candidateList{
		endpoints: []endpointCandidate{{addr: v4, host: true}, {addr: v6}},
		relays:    []group.MemberID{{0xee}},
	}
	zeros := func(n int) string { return hex.EncodeToString(make([]byte, n)) }
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"probe":      {newProbe(0x0102030405060708, 0), "01" + "0102030405060708" + zeros(18)},
		"full probe": {newProbe(1, 40), "01" + "0000000000000001" + zeros(31)},
		"pong":       {newPong(2, v4), "02" + "0000000000000002" + "00000000000000000000ffffc0000201" + "1b58"},
		"relayed":    {newPong(2, netip.AddrPort{}), "02" + "0000000000000002" + zeros(18)},
		"rekey":      {rekeyOffer{ephemeral: e1, index: 0xa1b2c3d4}.bytes(), "05" + "01" + zeros(31) + "a1b2c3d4"},
		"answer":     {rekeyAnswer{offered: e1, ephemeral: e2, index: 5}.bytes(), "06" + "01" + zeros(31) + zeros(31) + "02" + "00000005"},
		"candidates": {list.bytes(flagReply), "07" + "01" + "02" + "01" +
			"01" + "00000000000000000000ffffc0000201" + "1b58" + "00" + "20010db8000000000000000000000001" + "1b59" + "ee" + zeros(31)},
		"forward": {appendEnvelope(nil, msgForward, memberHash{1, 2, 3, 4, 5, 6, 7, 8}), "10" + "0102030405060708"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: %s instead of\n%s", name, got, c.want)
		}
	}
	if len(newPong(2, v4)) > len(newProbe(1, 0)) {
		t.Error("a pong is larger than its probe")
	}
	back, flags, err := parseCandidates(list.bytes(flagReply))
	if err != nil || flags != flagReply || !reflect.DeepEqual(back, list) {
		t.Errorf("%+v, %v, %v", back, flags, err)
	}
}

func TestControlMessagesOfWrongSizeAreMalformed(t *testing.T) {
	list := candidateList{endpoints: make([]endpointCandidate, maxOffered), relays: make([]group.MemberID, maxRelays)}
	good := map[string][]byte{
		"pong":         newPong(1, netip.AddrPort{}),
		"rekey":        rekeyOffer{}.bytes(),
		"rekey answer": rekeyAnswer{}.bytes(),
		"candidates":   list.bytes(0),
		"refused":      make([]byte, refusedSize),
	}
	parse := func(name string, b []byte) (err error) {
		switch name {
		case "pong":
			_, _, err = parsePong(b)
		case "rekey":
			_, err = parseRekey(b)
		case "rekey answer":
			_, err = parseRekeyAnswer(b)
		case "candidates":
			_, _, err = parseCandidates(b)
		case "refused":
			_, err = parseRefused(b)
		}
		return err
	}
	for name, b := range good {
		if err := parse(name, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := 1; n < len(b); n++ {
			if parse(name, b[:n]) == nil {
				t.Errorf("%s cut to %d bytes is taken", name, n)
			}
		}
		if parse(name, append(bytes.Clone(b), 0)) == nil {
			t.Errorf("%s with a byte more is taken", name)
		}
	}
	tooMany := candidateList{endpoints: make([]endpointCandidate, maxOffered+1)}
	if parse("candidates", tooMany.bytes(0)) == nil {
		t.Error("too many candidates are taken")
	}
}

// A batch is used again by whoever sends next, whose data must not go as urgent.
func TestAControlMessageThatCannotBeSealedLeavesNothingUrgentBehind(t *testing.T) {
	list := wire(t, 3, func(group.MemberID, []frame.Packet) {})
	detour(list[0], list[1], list[2])
	a := list[0]
	p := a.peer(list[1].self)
	a.peer(list[2].self).route.Load().out.counter.Store(rejectMessages)
	p.mu.Lock()
	p.sendControl(pathID{via: list[2].self}, []byte{msgKeepalive})
	p.mu.Unlock()
	for range len(a.batches) + 1 {
		if b := a.borrowBatch(); b.class != classData {
			t.Error("the next batch is urgent before anything is in it")
		}
	}
}

// Answers are urgent, so a member could hold all others up by asking.
func TestAMemberThatProbesWithoutEndIsNotAnsweredWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := wire(t, 2, func(group.MemberID, []frame.Packet) {})
		p := list[0].peer(list[1].self)
		far, buf := list[1].under.(*pipe), make([]byte, 200)
		probe := func(n int) (pongs int) {
			before := far.writes
			for range n {
				counter, _ := p.current.out.reserve(1)
				size := p.current.out.seal(buf, typeControl, counter, newProbe(7, probeSize))
				list[1].demux.receive([]datagram{{addr: list[0].under.(*pipe).addr, data: buf[:size]}}, false)
			}
			return far.writes - before
		}
		if n := probe(24 * len(probeGaps)); n != 24*len(probeGaps) {
			t.Errorf("%d answers to all that a peer probes at first", n)
		}
		if n := probe(10_000); n > 500 {
			t.Errorf("%d answers at once", n)
		}
		time.Sleep(time.Second)
		if n := probe(10_000); n < 90 || n > 110 {
			t.Errorf("%d answers a second later", n)
		}
	})
}
