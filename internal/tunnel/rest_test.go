package tunnel

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// empty reports whether what takes no memory is all there is: zeros.
func empty(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

func TestPacketsCrossAfterARestThatTookTheirMemory(t *testing.T) {
	got := make(chan string, 1000)
	nothing := func(group.MemberID, []frame.Packet) {}
	a, b := loopbackPair(t, "127.0.0.1:0", netip.MustParseAddr("127.0.0.1"), nothing, func(_ group.MemberID, pkts []frame.Packet) {
		for _, p := range pkts {
			got <- string(p.IP()[20:])
		}
	})
	cross := func(from, to int) {
		t.Helper()
		for _, want := range texts(from, to) {
			a.Send(b.id, []frame.Packet{packet(want)})
			select {
			case text := <-got:
				if text != want {
					t.Fatalf("%q instead of %q", text, want)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%q didn't come; %v %v", want, b.socket.Counters(), a.Peers())
			}
		}
	}
	cross(0, 40)
	a.Rest()
	idle := a.borrowBatch()
	if !empty(idle.arena) {
		t.Error("what was sent is still in the memory of an idle batch")
	}
	a.flushBatch(idle)
	cross(40, 80)
}

func TestARestKeepsWhatIsStillToBeSent(t *testing.T) {
	b := newBatch()
	copy(b.slot(1<<16), bytes.Repeat([]byte{1}, 1<<16))
	b.add(netip.MustParseAddrPort("127.0.0.1:1"), 1<<15)
	b.rest()
	if !bytes.Equal(b.datagram(&b.runs[0], 0), bytes.Repeat([]byte{1}, 1<<15)) {
		t.Error("a datagram is lost")
	}
	b.reset()
	if b.rest(); !empty(b.arena) {
		t.Error("an empty batch keeps its memory")
	}
}

func TestARestOfTheSocketTakesWhatDatagramsHavePassedThrough(t *testing.T) {
	s := openSocket(t, "127.0.0.1:0")
	s.source.Remove() // nothing arrives any more
	fill := bytes.Repeat([]byte{1}, 256<<10)
	copy(s.in.arena, fill)
	copy(s.dmx.out.arena, fill)
	s.Rest()
	if !empty(s.in.arena) || !empty(s.dmx.out.arena) {
		t.Error("their memory is kept")
	}
}
