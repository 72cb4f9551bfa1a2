package aesgcm

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// fence returns memory of some pages between two that nobody may touch: a byte read
// or written before its beginning or behind its end kills the process.
func fence(t *testing.T, pages int) []byte {
	t.Helper()
	page := os.Getpagesize()
	all, err := unix.Mmap(-1, 0, (pages+2)*page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(all) })
	inside := all[page : len(all)-page : len(all)-page]
	if err := unix.Mprotect(inside, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	return inside
}

// cut returns n bytes of memory: its last where atEnd, else its first.
func cut(memory []byte, n int, atEnd bool) []byte {
	if atEnd {
		return memory[len(memory)-n:]
	}
	return memory[:n:n]
}

func TestNoByteIsTouchedBeyondWhatWasGiven(t *testing.T) {
	random := newSource()
	keys, nonces, in, out, datas := fence(t, 1), fence(t, 1), fence(t, 1), fence(t, 1), fence(t, 1)
	for n := range 1100 {
		for _, atEnd := range []bool{false, true} {
			for _, dataLen := range []int{0, 1, 15, 16, 17, 32, 40} {
				key := cut(keys, keySize, atEnd)
				nonce, data := cut(nonces, nonceSize, atEnd), cut(datas, dataLen, atEnd)
				plaintext, sealed := cut(in, n, atEnd), cut(out, n+tagSize, atEnd)
				random.Read(key)
				random.Read(nonce)
				random.Read(plaintext)
				random.Read(data)
				standard, ours := both(t, key)
				want := string(standard.Seal(nil, nonce, plaintext, data))
				if got := ours.Seal(sealed[:0], nonce, plaintext, data); string(got) != want {
					t.Fatalf("%d bytes with %d: %x, want %x", n, dataLen, got, want)
				}
				copy(cut(in, n+tagSize, atEnd), want)
				copy(sealed, make([]byte, n+tagSize))
				got, err := ours.Open(cut(out, n, atEnd)[:0], nonce, cut(in, n+tagSize, atEnd), data)
				if err != nil || string(standard.Seal(nil, nonce, got, data)) != want {
					t.Fatalf("%d bytes with %d: %v", n, dataLen, err)
				}
			}
		}
	}
}
