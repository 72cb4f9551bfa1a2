package tunnel

// The replay window of RFC 6479: a ring of 64-bit words in which the word of the
// newest counter is always wholly in use, so that sliding never shifts bits.
const (
	replayWords  = 128                    // 2^n
	replayWindow = (replayWords - 1) * 64 // counters that may arrive late
	replayMask   = replayWords - 1
	lastCounter  = ^uint64(0) - replayWindow // counters above this are refused
)

// replayFilter remembers which counters of one key have been seen. It has one
// owner, the reader of the socket, and no lock.
type replayFilter struct {
	newest uint64
	words  [replayWords]uint64
}

// fresh reports whether the counter may still be accepted. It changes nothing, so
// that it can stand before the costly check of the tag.
func (f *replayFilter) fresh(counter uint64) bool {
	if counter > lastCounter {
		return false
	}
	if counter > f.newest {
		return true
	}
	if f.newest-counter > replayWindow {
		return false
	}
	return f.words[counter/64&replayMask]&(1<<(counter%64)) == 0
}

// accept marks the counter as seen; it reports false where fresh would have.
func (f *replayFilter) accept(counter uint64) bool {
	if !f.fresh(counter) {
		return false
	}
	word := counter / 64
	if counter > f.newest {
		from := f.newest / 64
		for n := min(word-from, replayWords); n > 0; n-- {
			from++
			f.words[from&replayMask] = 0
		}
		f.newest = counter
	}
	f.words[word&replayMask] |= 1 << (counter % 64)
	return true
}
