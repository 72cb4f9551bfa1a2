package traffic

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func TestADatagramSaysWhatItIsAndEveryChangedByteIsFound(t *testing.T) {
	b := make([]byte, 200)
	putDatagram(b, 7, 1<<40, rand.NewChaCha8([32]byte{}))
	if stream, number, err := parseDatagram(b); err != nil || stream != 7 || number != 1<<40 {
		t.Fatalf("stream %d, number %d, %v", stream, number, err)
	}
	for i := range b {
		changed := bytes.Clone(b)
		changed[i] ^= 1
		if _, _, err := parseDatagram(changed); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for n := range b {
		if _, _, err := parseDatagram(b[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, _, err := parseDatagram(append(bytes.Clone(b), 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestADatagramFromElsewhereOrNeverSentIsCorrupt(t *testing.T) {
	r := open(t, machine{}, machine{})
	p := r.pairs[0]
	p.counts.classes[Medium].sent.Store(5)
	b := make([]byte, 1200)
	for name, c := range map[string]struct {
		stream uint32
		number uint64
		to     *station
	}{
		"number 0":                  {uint32(Medium), 0, p.to},
		"a number that isn't sent":  {uint32(Medium), 6, p.to},
		"a stream that isn't there": {99, 1, p.to},
		"another's stream":          {uint32(Medium), 1, p.from},
	} {
		putDatagram(b, c.stream, c.number, rand.NewChaCha8([32]byte{}))
		if err := r.note(c.to, b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i, wrong := range []bool{false, true} {
		putDatagram(b, uint32(Medium), 5, rand.NewChaCha8([32]byte{}))
		if err := r.note(p.to, b); (err != nil) != wrong {
			t.Errorf("the same for the %d. time: %v", i+1, err)
		}
	}
}

func TestSizesAreThoseOfTheirClass(t *testing.T) {
	const mtu = 1376
	rng := rand.New(rand.NewPCG(1, 2))
	full := false
	for range 10_000 {
		small, medium, fullSize, over := Small.size(rng, mtu), Medium.size(rng, mtu), Full.size(rng, mtu), Oversized.size(rng, mtu)
		if small < leastDatagram || small > 128 || medium != 1200 || fullSize > mtu-28 || fullSize < mtu-40 || over <= mtu-28 || over > mostDatagram {
			t.Fatalf("sizes %d, %d, %d, %d", small, medium, fullSize, over)
		}
		full = full || fullSize == mtu-28
	}
	if !full {
		t.Error("none fills the MTU to the byte")
	}
	// 8008 bytes of UDP in fragments of 1352, the largest multiple of 8 that fits.
	if n := Oversized.Fragments(mtu); n != 6 || Full.Fragments(mtu) != 1 {
		t.Errorf("%d fragments", n)
	}
}

func TestLateAndRepeatedNumbersAreTold(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var o order
	seen, newest := make(map[uint64]bool), uint64(0)
	for i := range 300_000 {
		number := newest + 1 + uint64(rng.IntN(3))
		switch {
		case rng.IntN(10) == 0 && newest > 0:
			number = newest - uint64(rng.IntN(int(min(newest, 1000))))
		case rng.IntN(10_000) == 0:
			number = newest + uint64(rng.IntN(3*remembered))
		}
		if number == 0 {
			continue
		}
		late, twice := o.note(number)
		if wantLate := number <= newest; late && !twice != (wantLate && !seen[number]) || twice != seen[number] {
			t.Fatalf("step %d: number %d after %d is late %t, twice %t", i, number, newest, late, twice)
		}
		seen[number], newest = true, max(newest, number)
	}
}

func FuzzParseDatagram(f *testing.F) {
	b := make([]byte, 100)
	putDatagram(b, 1, 2, rand.NewChaCha8([32]byte{}))
	f.Add(b)
	f.Add(b[:leastDatagram])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		stream, number, err := parseDatagram(b)
		if err != nil && !errors.Is(err, ErrCorrupt) || err == nil && len(b) < leastDatagram {
			t.Errorf("stream %d, number %d of %d bytes: %v", stream, number, len(b), err)
		}
	})
}
