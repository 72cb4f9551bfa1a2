package aesgcm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// both returns the standard library's AES-256-GCM and ours under one key.
func both(t testing.TB, key []byte) (standard, ours cipher.AEAD) {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	if standard, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	if ours, err = New(key); err != nil {
		t.Fatal(err)
	}
	return standard, ours
}

// source makes random bytes that are the same in each run.
type source struct{ *rand.ChaCha8 }

func newSource() source { return source{rand.NewChaCha8([32]byte{1})} }

func (s source) bytes(n int) []byte {
	b := make([]byte, n)
	s.Read(b)
	return b
}

// sameAs seals and opens one message by both, somewhere else and in place, at odd
// addresses and behind a prefix, and finds no byte changed that isn't the output.
func sameAs(standard, ours cipher.AEAD, nonce, plaintext, data []byte, offset int) error {
	const margin, mark = 70, 0xa5
	n := len(plaintext)
	want := standard.Seal(nil, nonce, plaintext, data)
	field := bytes.Repeat([]byte{mark}, 2*margin+offset+n+tagSize)
	at := field[margin+offset:]
	untouched := func(written int) bool {
		around := slices.Concat(field[:margin+offset], at[written:])
		return bytes.Count(around, []byte{mark}) == len(around)
	}
	if got := ours.Seal(at[:0], nonce, plaintext, data); !bytes.Equal(got, want) {
		return fmt.Errorf("sealed: %x, want %x", got, want)
	}
	if !untouched(n + tagSize) {
		return fmt.Errorf("sealing wrote beyond its output")
	}
	if got, err := ours.Open(at[:0], nonce, at[:n+tagSize], data); err != nil || !bytes.Equal(got, plaintext) {
		return fmt.Errorf("opened in place: %x, %w, want %x", got, err, plaintext)
	}
	if !bytes.Equal(at[n:n+tagSize], want[n:]) || !untouched(n+tagSize) {
		return fmt.Errorf("opening in place wrote beyond its output")
	}
	if got := ours.Seal(at[:0], nonce, at[:n], data); !bytes.Equal(got, want) || !untouched(n+tagSize) {
		return fmt.Errorf("sealed in place: %x, want %x", got, want)
	}
	for i := range at[:n+tagSize] {
		at[i] = mark
	}
	if got, err := ours.Open(at[:0], nonce, want, data); err != nil || !bytes.Equal(got, plaintext) || !untouched(n) {
		return fmt.Errorf("opened: %x, %w, want %x", got, err, plaintext)
	}
	return nil
}

func TestOursSealsAndOpensAsTheStandardLibrary(t *testing.T) {
	random := newSource()
	for n := range 3001 {
		standard, ours := both(t, random.bytes(keySize))
		for dataLen := range 65 {
			if testing.Short() && (n+dataLen)%13 != 0 {
				continue
			}
			nonce, plaintext, data := random.bytes(nonceSize), random.bytes(n), random.bytes(dataLen)
			if err := sameAs(standard, ours, nonce, plaintext, data, (n+dataLen)%65); err != nil {
				t.Fatalf("%d bytes with %d of additional data: %v", n, dataLen, err)
			}
		}
	}
	for _, size := range []struct{ n, dataLen int }{{65535, 16}, {65536, 0}, {1 << 20, 4097}, {3, 100000}} {
		standard, ours := both(t, random.bytes(keySize))
		if err := sameAs(standard, ours, random.bytes(nonceSize), random.bytes(size.n), random.bytes(size.dataLen), 1); err != nil {
			t.Fatalf("%d bytes with %d of additional data: differ", size.n, size.dataLen)
		}
	}
}

func FuzzOursIsTheStandardLibrarys(f *testing.F) {
	f.Add(make([]byte, keySize), make([]byte, nonceSize), []byte("a message"), []byte("a header"), byte(0), 0)
	f.Add(bytes.Repeat([]byte{0xff}, keySize), bytes.Repeat([]byte{0xff}, nonceSize), make([]byte, 1377), make([]byte, 16), byte(1), 700)
	f.Fuzz(func(t *testing.T, key, nonce, plaintext, data []byte, flip byte, where int) {
		key, nonce = append(key, make([]byte, keySize)...)[:keySize], append(nonce, make([]byte, nonceSize)...)[:nonceSize]
		standard, ours := both(t, key)
		if err := sameAs(standard, ours, nonce, plaintext, data, int(flip)%64); err != nil {
			t.Fatal(err)
		}
		forged := standard.Seal(nil, nonce, plaintext, data)
		forged[uint(where)%uint(len(forged))] ^= flip
		if _, err := ours.Open(nil, nonce, forged, data); (err == nil) != (flip == 0) {
			t.Fatalf("byte %d changed by %#x: %v", where, flip, err)
		}
	})
}

func TestEachFlippedBitIsRefusedAndNothingIsGivenOut(t *testing.T) {
	random := newSource()
	for _, n := range []int{0, 1, 16, 63, 64, 65, 255, 256, 257, 300, 1377} {
		_, ours := both(t, random.bytes(keySize))
		nonce, data := random.bytes(nonceSize), random.bytes(33)
		sealed := ours.Seal(nil, nonce, random.bytes(n), data)
		out := make([]byte, n)
		for _, part := range [][]byte{sealed, data, nonce} {
			for bit := range 8 * len(part) {
				part[bit/8] ^= 1 << (bit % 8)
				copy(out, random.bytes(n))
				got, err := ours.Open(out[:0], nonce, sealed, data)
				if err == nil || got != nil {
					t.Fatalf("%d bytes: bit %d of %d bytes flipped, and opened", n, bit, len(part))
				}
				if bytes.Count(out, []byte{0}) != n {
					t.Fatalf("%d bytes: a forgery left something in the output", n)
				}
				part[bit/8] ^= 1 << (bit % 8)
			}
		}
		for short := range min(len(sealed), 40) {
			if _, err := ours.Open(nil, nonce, sealed[:short], data); err == nil {
				t.Fatalf("%d bytes: opened the first %d of its ciphertext", n, short)
			}
		}
		if _, err := ours.Open(nil, nonce, sealed, data); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

func TestOutputGrowsAsTheStandardLibrarysDoes(t *testing.T) {
	standard, ours := both(t, make([]byte, keySize))
	nonce, prefix := make([]byte, nonceSize), []byte("prefix")
	want := standard.Seal(slices.Clip(prefix), nonce, []byte("message"), nil)
	got := ours.Seal(slices.Clip(prefix), nonce, []byte("message"), nil)
	if !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	opened, err := ours.Open(slices.Clip(prefix), nonce, got[len(prefix):], nil)
	if err != nil || string(opened) != "prefixmessage" {
		t.Errorf("%q, %v", opened, err)
	}
}

func TestMisusePanicsAsWithTheStandardLibrary(t *testing.T) {
	standard, ours := both(t, make([]byte, keySize))
	nonce, b := make([]byte, nonceSize), make([]byte, 400)
	valid := standard.Seal(nil, nonce, b[:100], nil)
	cases := map[string]func(cipher.AEAD){
		"Seal with a short nonce":           func(a cipher.AEAD) { a.Seal(nil, nonce[:11], b, nil) },
		"Open with a long nonce":            func(a cipher.AEAD) { a.Open(nil, make([]byte, 13), b, nil) },
		"Seal forward by one byte":          func(a cipher.AEAD) { a.Seal(b[1:1], nonce, b[:100], nil) },
		"Seal backward by one byte":         func(a cipher.AEAD) { a.Seal(b[:0], nonce, b[1:100], nil) },
		"Seal the tag onto the input":       func(a cipher.AEAD) { a.Seal(b[:0], nonce, b[105:120], b[:0]) },
		"Seal over the additional data":     func(a cipher.AEAD) { a.Seal(b[:0], nonce, b[:100], b[115:120]) },
		"Open forward by one byte":          func(a cipher.AEAD) { a.Open(b[1:1], nonce, b[:100], nil) },
		"Open backward by one byte":         func(a cipher.AEAD) { a.Open(b[:0], nonce, b[1:100], nil) },
		"Open over the additional data":     func(a cipher.AEAD) { a.Open(b[:0], nonce, b[:100], b[83:90]) },
		"Seal just before additional data":  func(a cipher.AEAD) { a.Seal(b[:0], nonce, b[:100], b[116:120]) },
		"Seal just behind the input":        func(a cipher.AEAD) { a.Seal(b[100:100], nonce, b[:100], nil) },
		"Open just before the data":         func(a cipher.AEAD) { a.Open(b[:0], nonce, valid, b[100:]) },
		"Open less than a tag":              func(a cipher.AEAD) { a.Open(nil, nonce, b[:15], nil) },
		"Open nothing over additional data": func(a cipher.AEAD) { a.Open(b[:0], nonce, b[:16], b[:16]) },
	}
	for name, misuse := range cases {
		panics := func(a cipher.AEAD) (panicked bool) {
			defer func() { panicked = recover() != nil }()
			misuse(a)
			return false
		}
		if want, got := panics(standard), panics(ours); got != want {
			t.Errorf("%s: panics: %t, the standard library: %t", name, got, want)
		}
	}
	if _, err := New(make([]byte, 16)); err == nil {
		t.Error("a key of 16 bytes is taken")
	}
}

func TestNothingIsAllocated(t *testing.T) {
	_, ours := both(t, make([]byte, keySize))
	nonce, data, b := make([]byte, nonceSize), make([]byte, 16), make([]byte, 1377+tagSize)
	allocated := testing.AllocsPerRun(100, func() {
		sealed := ours.Seal(b[:0], nonce, b[:1377], data)
		if _, err := ours.Open(b[:0], nonce, sealed, data); err != nil {
			t.Fatal(err)
		}
		sealed[0] ^= 1
		if _, err := ours.Open(b[:0], nonce, sealed, data); err == nil {
			t.Fatal("opened a forgery")
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

// TestItCanBeTurnedOff runs the vectors again, in a process of its own, without VAES.
func TestItCanBeTurnedOff(t *testing.T) {
	if os.Getenv("GODEBUG") == "cpu.avx512f=off" {
		if supported() {
			t.Fatal("used in spite of GODEBUG")
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", "Vectors|TurnedOff")
	cmd.Env = append(os.Environ(), "GODEBUG=cpu.avx512f=off")
	output, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(output), "--- PASS") != 3 {
		t.Errorf("%v:\n%s", err, output)
	}
}
