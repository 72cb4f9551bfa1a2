package overlay

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	ma "github.com/multiformats/go-multiaddr"

	"landbridge/internal/store"
)

func newTestMemory(t *testing.T, db *store.DB) *memory {
	t.Helper()
	book := pstoremem.NewAddrBook()
	t.Cleanup(func() { _ = book.Close() })
	m, err := openMemory(db, book, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPeersAreRememberedFromRunToRun(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	m := newTestMemory(t, db)
	addrs := multiaddrs("/ip4/192.0.2.7/udp/1/quic-v1", "/ip4/192.0.2.7/tcp/1")
	m.learn(idOf(1).Peer(), addrs, time.Unix(1000, 0))
	m.give(idOf(2).Peer(), ma.StringCast("/ip4/192.0.2.8/tcp/1")) // from an invitation
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	m = newTestMemory(t, db)
	if got, want := m.recent(9), []peer.ID{idOf(1).Peer(), idOf(2).Peer()}; !slices.Equal(got, want) {
		t.Fatalf("remembers %v", got)
	}
	got := m.addrs(idOf(1).Peer())
	slices.SortFunc(got, ma.Multiaddr.Compare)
	slices.SortFunc(addrs, ma.Multiaddr.Compare)
	if !slices.EqualFunc(got, addrs, ma.Multiaddr.Equal) {
		t.Fatalf("got %v", got)
	}
}

func TestEveryAddressOfAnInvitationIsRemembered(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	m := newTestMemory(t, db)
	addrs := multiaddrs("/ip4/192.0.2.7/tcp/1", "/ip4/192.0.2.7/udp/1/quic-v1")
	for _, a := range addrs { // as Add gives them
		m.give(idOf(1).Peer(), a)
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	if got := newTestMemory(t, db).addrs(idOf(1).Peer()); len(got) != len(addrs) {
		t.Fatalf("remembers %v", got)
	}
}

func TestWhatIsLearntIsSavedBeforeLong(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	m := newTestMemory(t, db)
	m.learn(idOf(1).Peer(), multiaddrs("/ip4/192.0.2.7/tcp/1"), time.Unix(1000, 0))
	// Without close: the process may be killed.
	eventually(t, "saved", func() bool { return len(newTestMemory(t, db).recent(9)) == 1 })
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
}

func TestRememberedAddressesAreReplacedNotPiledUp(t *testing.T) {
	t.Parallel()
	m := newTestMemory(t, nil)
	p := idOf(1).Peer()
	m.give(p, ma.StringCast("/dns4/gate.example/udp/1/quic-v1"))
	for i := range 100 {
		m.learn(p, multiaddrs(fmt.Sprintf("/ip4/192.0.2.7/udp/%d/quic-v1", 1+i)), time.Unix(1000, 0))
	}
	want := []string{"/dns4/gate.example/udp/1/quic-v1", "/ip4/192.0.2.7/udp/100/quic-v1"}
	if got := texts(m.addrs(p)); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestMemoryIsBoundedAndTheOldestGo(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	m := newTestMemory(t, db)
	for i := range maxRemembered + 10 {
		m.learn(idOf(i).Peer(), multiaddrs("/ip4/192.0.2.7/tcp/1"), time.Unix(int64(1000+i), 0))
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	m = newTestMemory(t, db)
	got := m.recent(2 * maxRemembered)
	if len(got) != maxRemembered || slices.Contains(got, idOf(9).Peer()) || !slices.Contains(got, idOf(10).Peer()) {
		t.Errorf("%d remembered", len(got))
	}
}

func TestWhatIsUnchangedIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	m := newTestMemory(t, openStore(t))
	p, addrs, at := idOf(1).Peer(), multiaddrs("/ip4/192.0.2.7/tcp/1"), time.Unix(1000, 0)
	dirty := func() bool { return len(m.dirty) > 0 }
	m.learn(p, addrs, at)
	if err := m.save(); err != nil || dirty() {
		t.Fatal(err)
	}
	if m.learn(p, addrs, at.Add(seenStep/2)); dirty() {
		t.Error("written again though nothing has changed")
	}
	if m.learn(p, addrs, at.Add(2*seenStep)); !dirty() {
		t.Error("not written though it was seen much later")
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
}

func TestUnreadableMemoryIsAnError(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	id := idOf(1)
	if err := db.Update(func(tx *store.Tx) error {
		return store.NewBucket[string]("overlay", "peers").Put(tx, id[:], "no peer")
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Key: keyOf(0), Store: db}); err == nil || !strings.Contains(err.Error(), "remembered peers") {
		t.Fatalf("got %v", err)
	}
}
