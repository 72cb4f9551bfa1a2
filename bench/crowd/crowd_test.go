package crowd

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"landbridge/bench/load"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/store"
)

// authority makes a group, and returns the file of its authority's state.
func authority(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "authority.db")
	db, err := store.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	params := group.Params{Name: "bench", Prefix: netip.MustParsePrefix("10.79.0.0/16")}.WithDefaults()
	if _, _, err := group.CreateGroup(db, key, "hub", params, time.Now()); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestEachAdmittedMemberKnowsAllAndIsBelieved(t *testing.T) {
	dir := t.TempDir()
	if err := Admit(authority(t), dir, 3); err != nil {
		t.Fatal(err)
	}
	c := &Crowd{dir: dir}
	var all []*member
	for n := range 3 {
		m := &member{crowd: c}
		t.Cleanup(func() {
			if err := m.close(); err != nil {
				t.Error(err)
			}
		})
		if err := m.load(n + 1); err != nil {
			t.Fatal(err)
		}
		if got := len(m.membership.Descriptor().Current()); got != 4 {
			t.Errorf("member %d knows %d members, want 4", n+1, got)
		}
		all = append(all, m)
	}
	first := all[0].membership
	if err := all[1].meet(first.Self(), all[0].hello()); err != nil {
		t.Error(err)
	}
	if err := all[1].membership.Authorized(first.Self(), time.Now()); err != nil {
		t.Error(err)
	}
}

func TestAMemberThatIsToCallAnotherBeforeAllStandIsToldSo(t *testing.T) {
	dir := t.TempDir()
	if err := Admit(authority(t), dir, 1); err != nil {
		t.Fatal(err)
	}
	m := &member{crowd: &Crowd{dir: dir}}
	if err := m.load(1); err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if _, err := (line{member: m}).Call(context.Background(), group.MemberID{1}, nil); err == nil {
		t.Error("nobody answers")
	}
}

// packet is a datagram to a port, as a tunnel delivers it.
func packet(port uint16, payload []byte) frame.Packet {
	from, to := netip.MustParseAddr("10.79.0.5"), netip.MustParseAddr("10.79.0.6")
	return frame.Packet{Buf: frame.AppendUDP(make([]byte, frame.Headroom), netip.AddrPortFrom(from, 9), netip.AddrPortFrom(to, port), payload)}
}

func TestDatagramsAreCountedJoinedOrNot(t *testing.T) {
	m := &member{crowd: &Crowd{port: 6001}}
	const trial = 7
	mark := make([]byte, 64)
	binary.LittleEndian.PutUint64(mark, trial)
	joined := packet(6001, append(append(append([]byte(nil), mark...), mark...), mark[:10]...))
	joined.GSO, joined.Size = frame.GSOUDP, 64
	m.deliver(group.MemberID{}, []frame.Packet{packet(6001, mark), joined, packet(53, mark), packet(6001, mark[:3])})
	if got := asked(t, &m.tally, trial); got != 4 {
		t.Errorf("%d are counted, want 4", got)
	}
}

// conversation is one question and the room for its answer.
type conversation struct{ question, reply []byte }

func (c *conversation) Read(b []byte) (int, error) {
	n := copy(b, c.question)
	c.question = c.question[n:]
	if n == 0 {
		return 0, context.Canceled
	}
	return n, nil
}

func (c *conversation) Write(b []byte) (int, error) {
	c.reply = append(c.reply, b...)
	return len(b), nil
}

func asked(t *testing.T, tally *load.Tally, trial uint64) uint64 {
	t.Helper()
	c := &conversation{question: binary.LittleEndian.AppendUint64(nil, trial)}
	_ = load.Answer(c, tally) // it ends as nobody asks on
	if len(c.reply) < 8 {
		t.Fatal("no answer")
	}
	return binary.LittleEndian.Uint64(c.reply)
}
