package scratch

import (
	"os"
	"runtime"
	"testing"
	"unsafe"
)

// resident returns how many pages of b take memory: those that aren't all the kernel's one page of zeros. b begins at a page.
func resident(t *testing.T, b []byte) (n int) {
	t.Helper()
	page := os.Getpagesize()
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Skip("this kernel tells nothing of pages:", err)
	}
	defer f.Close()
	entries := make([]byte, 8*len(b)/page)
	if _, err := f.ReadAt(entries, int64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))/int64(page)*8); err != nil {
		t.Fatal(err)
	}
	for i := 7; i < len(entries); i += 8 {
		n += int(entries[i] >> 7) // present
	}
	return n
}

func fill(b []byte) {
	for i := range b {
		b[i] = 1
	}
}

const size = 1 << 20

func TestABufferTakesMemoryWhereItIsWritten(t *testing.T) {
	page := os.Getpagesize()
	for range 20 { // soon of memory that was used before
		b := Make[byte](size)
		if n := resident(t, b); n != 0 {
			t.Fatalf("%d pages are resident before it is written", n)
		}
		fill(b[:3*page])
		if n := resident(t, b); n != 3 {
			t.Fatalf("%d pages are resident of 3 that were written", n)
		}
		fill(b)
		runtime.GC()
	}
}

func TestMemoryIsGivenBackAndTheBufferStays(t *testing.T) {
	b := make([]byte, size)
	fill(b)
	part := b[100 : size-100 : size-100]
	GiveBack(part)
	page := os.Getpagesize()
	if n := resident(t, b); n != 2 {
		t.Errorf("%d pages are resident, want the first and the last, which aren't the part's alone", n)
	}
	for i, want := range map[int]byte{99: 1, size - 100: 1, page: 0, size / 2: 0, size - page - 1: 0} {
		if b[i] != want {
			t.Errorf("byte %d is %d, want %d", i, b[i], want)
		}
	}
	fill(part)
	if b[size/2] != 1 {
		t.Error("can't be written any more")
	}
}

func TestSmallBuffersAreLeftAlone(t *testing.T) {
	for _, n := range []int{0, 1, 100} {
		b := make([]byte, n)
		fill(b)
		if GiveBack(b); n > 0 && b[0] != 1 {
			t.Errorf("one of %d bytes has lost its content", n)
		}
	}
	GiveBack[byte](nil)
	if words := Make[uint64](size / 8); len(words) != size/8 || words[7] != 0 {
		t.Error("a buffer of words is none")
	}
}
