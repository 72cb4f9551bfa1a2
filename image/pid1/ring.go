package pid1

import (
	"bytes"
	"sync"
)

// Ring keeps the last bytes that were written to it. It is safe for concurrent use.
type Ring struct {
	size int

	mu   sync.Mutex
	kept []byte
}

func newRing(size int) *Ring { return &Ring{size: size} }

// Write keeps p, and forgets what is older than the ring's size.
func (r *Ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, p...)
	if over := len(r.kept) - r.size; over > r.size/2 { // now and then, not for each line
		r.kept = append([]byte(nil), r.kept[over:]...)
	}
	return len(p), nil
}

// Last returns up to so many whole lines, the newest last.
func (r *Ring) Last(lines int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	end := len(r.kept)
	at := end
	for range lines + 1 {
		next := bytes.LastIndexByte(r.kept[:at], '\n')
		if next < 0 {
			return bytes.Clone(r.kept)
		}
		at = next
	}
	return bytes.Clone(r.kept[at+1 : end])
}
