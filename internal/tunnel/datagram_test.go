package tunnel

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"landbridge/internal/codel"
	"landbridge/internal/group"
)

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ascending(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(from + i)
	}
	return b
}

// goldenPacket is what the golden datagrams carry.
func goldenPacket() []byte { return append([]byte{0x45}, ascending(1, 39)...) }

// The golden bytes were made with Python's cryptography 48 (OpenSSL), from the
// layout as doc.go draws it.
const (
	goldenAES     = "01000000a1b2c3d400000000000000078bdf98a27cff6c4a01e4b80e0366879174ec2ccf4ee380041707c340a94e62f55f58fd3286b6151fc2828102640d481daa4128ee441613b8"
	goldenChaCha  = "01000000a1b2c3d400000000000000071dd82df83ee258fa1bc4bab180007cf27506e2bbedaae5d1b1ffd06e11eb3a13d0140d5364e614d043845b8be1975375050d3c99fe0d58f2"
	goldenSent    = "01fedcbaa1b2c3d4000000000000000821c3c5e7ac8494fb69dfca9782d91b74686df4cfb29eef2a402bc92832382f0bd7dc845a360453fc90b07fc6415fff4449f01b52b5e4b583"
	goldenRelayed = "020000000badcafe0000000000000009a75a6eff78c735a53c452510edd4732f5d0bc75b1dbb85d1e7e84fdf4f14277971ff0c72243578cd7dc69d0e779a2ec1ec84b963ab47dde73927730ee5979d6463d1a08492a6ba186b317c5aaab2369804803ca52da2244700500fae49f258817b"
	goldenKeys    = "2645b22fe256e99a93d80b2ed625cff2442e2281e40eb489310c01c8e5c2d42a619acac085448cabb692374d9fd208d5bda88ae53c2ff36cb05e180c6ff95183b71d2f06600f8a4d29540643019eab0f13cd77dc5e70e0cf4e86493e13cb6374"
	goldenRekeys  = "64d5fd13d5db6d9680b3af7cabf12d093e2c6f86acd9cd9fc0df31f1e5297769fd05fce72c9f56ea4bab3c81e5f9d449a1c4b65ae305acc9afc2f8a242b3552161c5857faf59543ad120728e30d8aff737a7ce15b290a54a24f5cef7ffeeb4dd"
)

func TestSealedDatagramsAreThoseOfAnotherImplementation(t *testing.T) {
	for c, golden := range map[Cipher]string{AES256GCM: goldenAES, ChaCha20Poly1305: goldenChaCha} {
		aead, err := newAEAD(c, ascending(0, 32))
		if err != nil {
			t.Fatal(err)
		}
		out := &outbound{index: 0xa1b2c3d4, aead: aead}
		buf := make([]byte, 200)
		n := out.seal(buf, typeData, 7, goldenPacket())
		if got := hex.EncodeToString(buf[:n]); got != golden {
			t.Errorf("%v:\n%s instead of\n%s", c, got, golden)
		}
		in := &inbound{index: 0xa1b2c3d4, aead: aead}
		sealed := unhex(t, golden)
		kind, index, counter, ok := parseHeader(sealed)
		if !ok || kind != typeData || index != in.index || counter != 7 {
			t.Fatalf("header: %x, %d, %v", index, counter, ok)
		}
		if plaintext, err := in.open(sealed[headerSize:], sealed, counter); err != nil || !bytes.Equal(plaintext, goldenPacket()) {
			t.Errorf("%v: %x, %v", c, plaintext, err)
		}
	}
}

func TestDataSaysWhenItWasSent(t *testing.T) {
	aead, err := newAEAD(AES256GCM, ascending(0, 32))
	if err != nil {
		t.Fatal(err)
	}
	now := (5<<24 | 0xfedcba) * codel.Tick // the clock has gone round five times
	out := &outbound{index: 0xa1b2c3d4, aead: aead}
	buf := make([]byte, 200)
	n := out.seal(buf, dataAt(now+codel.Tick-1), 8, goldenPacket())
	if got := hex.EncodeToString(buf[:n]); got != goldenSent {
		t.Errorf("%s instead of\n%s", got, goldenSent)
	}
	l, _, _, ok := parseHeader(buf[:n])
	if !ok || l.kind() != typeData || l.stamp() != codel.At(now) {
		t.Errorf("%x, %v", l, ok)
	}
	buf[0] = byte(typeControl >> 24)
	if _, _, _, ok := parseHeader(buf[:n]); ok {
		t.Error("a control message with a time is taken")
	}
}

func TestRelayedDatagramsAreThoseOfAnotherImplementation(t *testing.T) {
	inner, _ := newAEAD(AES256GCM, ascending(0, 32))
	outer, _ := newAEAD(AES256GCM, ascending(32, 32))
	buf := make([]byte, 300)
	to := hashOf(group.MemberID(bytes.Repeat([]byte{7}, 32)))
	n := sealRelayed(buf, &outbound{index: 0x0badcafe, aead: outer}, 9, &outbound{index: 0xa1b2c3d4, aead: inner}, typeData, 7, to, goldenPacket())
	if got := hex.EncodeToString(buf[:n]); got != goldenRelayed {
		t.Errorf("%s instead of\n%s", got, goldenRelayed)
	}
	if n != len(goldenPacket())+sealOverhead+relayOverhead {
		t.Errorf("%d bytes around %d", n, len(goldenPacket()))
	}
}

func TestDerivedKeysAreThoseOfAnotherImplementation(t *testing.T) {
	i, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{2}, 32))
	for golden, chain := range map[string][]byte{goldenKeys: nil, goldenRekeys: bytes.Repeat([]byte{9}, 32)} {
		k, err := deriveKeys(i, r.PublicKey().Bytes(), chain, transcript([]byte("offer"), []byte("answer")))
		if err != nil {
			t.Fatal(err)
		}
		got := append(append(k.fromInitiator[:], k.fromResponder[:]...), k.chain[:]...)
		if hex.EncodeToString(got) != golden {
			t.Errorf("%x instead of\n%s", got, golden)
		}
	}
	if _, err := deriveKeys(i, make([]byte, 32), nil, nil); err == nil {
		t.Error("a key of low order is taken")
	}
}

func TestEveryFlippedBitIsForged(t *testing.T) {
	a, b := sealedPair(t, AES256GCM)
	sealed := make([]byte, 100)
	n := a.out.seal(sealed, typeData, 3, goldenPacket())
	for bit := range n * 8 {
		d := bytes.Clone(sealed[:n])
		d[bit/8] ^= 1 << (bit % 8)
		if _, _, counter, ok := parseHeader(d); ok {
			if _, err := b.in.open(d[headerSize:], d, counter); err == nil {
				t.Fatalf("bit %d", bit)
			}
		}
	}
	d := bytes.Clone(sealed[:n])
	if _, err := b.in.open(d[headerSize:], d, 3); err != nil {
		t.Errorf("the true one: %v", err)
	}
	if _, err := b.in.open(d[headerSize:], d, 3); err != errReplayed {
		t.Errorf("the true one again: %v", err)
	}
}

func TestTheReplayWindowIsASet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		var f replayFilter
		seen := make(map[uint64]bool)
		newest, base := uint64(0), random.Uint64N(1<<40)
		if random.IntN(4) == 0 {
			base = 0
		}
		for range 5000 {
			var c uint64
			switch random.IntN(10) {
			case 0: // far ahead
				c = newest + random.Uint64N(3*replayWindow)
			case 1: // anywhere
				c = base + random.Uint64N(1<<20)
			default: // near the newest
				c = max(newest+random.Uint64N(200), 100) - 100
			}
			want := !seen[c] && (c > newest || newest-c <= replayWindow)
			if got := f.accept(c); got != want {
				t.Fatalf("counter %d, newest %d: %v", c, newest, got)
			}
			if want {
				seen[c], newest = true, max(newest, c)
			}
		}
	}
}

func TestCountersNearTheEndAreRefused(t *testing.T) {
	var f replayFilter
	if f.accept(^uint64(0)) || f.accept(lastCounter+1) {
		t.Error("accepted")
	}
	if !f.accept(lastCounter) {
		t.Error("the last good one is refused")
	}
	if !f.accept(lastCounter - replayWindow) {
		t.Error("the oldest in the window is refused")
	}
}

func TestAKeyThatIsWornOutSealsNoMore(t *testing.T) {
	a, _ := sealedPair(t, AES256GCM)
	a.out.counter.Store(rejectMessages - 1)
	if _, ok := a.out.reserve(1); !ok {
		t.Error("the last counter is refused")
	}
	if _, ok := a.out.reserve(1); ok {
		t.Error("a counter past the limit")
	}
}

func TestTheIndexTableForgetsAndIsBounded(t *testing.T) {
	n := uint32(0)
	table := newIndexTable(func() uint32 { n += 0x10001; return n })
	first, err := table.reserve()
	if err != nil {
		t.Fatal(err)
	}
	if table.find(first) != nil {
		t.Error("found before it was put")
	}
	table.put(&inbound{index: first})
	if table.find(first) == nil || table.find(first+tableSlots) != nil {
		t.Error("find")
	}
	table.release(first + tableSlots) // another index of the same slot
	if table.find(first) == nil {
		t.Error("released by another index")
	}
	table.release(first)
	if table.find(first) != nil {
		t.Error("found after release")
	}
	count := 0
	for ; err == nil; count++ {
		_, err = table.reserve()
	}
	if count < 2*maxPeers || count > tableSlots {
		t.Errorf("%d indexes", count)
	}
	t.Log(err)
}

func TestChooseCipherWantsAESAtBothEnds(t *testing.T) {
	for _, c := range []struct {
		ours, theirs bool
		want         Cipher
	}{{true, true, AES256GCM}, {true, false, ChaCha20Poly1305}, {false, true, ChaCha20Poly1305}, {false, false, ChaCha20Poly1305}} {
		if got := chooseCipher(c.ours, c.theirs); got != c.want {
			t.Errorf("%v, %v: %v", c.ours, c.theirs, got)
		}
	}
}
