package scratch

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Make returns a buffer of n elements, all zero, that takes memory where it is written and nowhere else. E has
// no pointers in it.
func Make[E any](n int) []E {
	s := make([]E, n)
	GiveBack(s)
	return s
}

// GiveBack gives the machine the pages that lie wholly in s, which is all of s from then on that isn't zero. What s held
// is lost, and nobody may read or write it meanwhile. E has no pointers in it. Small buffers it leaves as they are.
func GiveBack[E any](s []E) {
	var e E
	giveBack(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), cap(s)*int(unsafe.Sizeof(e))))
}

func giveBack(b []byte) {
	page := os.Getpagesize()
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (page - 1) // to the first page that is b's alone
	if whole := (len(b) - skip) &^ (page - 1); whole > 0 {
		_ = unix.Madvise(b[skip:skip+whole], unix.MADV_DONTNEED) // fails on locked pages, which then stay
	}
}
