package tunnel

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// How long keys live. The message limits keep AES-GCM's confidentiality bound at
// 2^-60 (2^34.5 blocks under one key, NIST SP 800-38D and RFC 9001 appendix B).
const (
	rekeyAfter         = 2 * time.Minute
	rekeyAfterPeer     = rekeyAfter + 10*time.Second // the responder steps in
	rekeyAfterMessages = 1 << 27
	rejectAfter        = 10 * time.Minute // no rekey for so long: a new offer
	rejectMessages     = 1 << 32          // then the key refuses to seal
	keepOldKeys        = 10 * time.Second // datagrams under the former key may still be on their way
	confirmWithin      = 10 * time.Second // the initiator's first datagram under a new key
	anewWithin         = 30 * time.Second // between a restart and the overlay's word of it
	assureGap          = 300 * time.Millisecond
	assureTimes        = 10
	crossWithin        = 5 * time.Second // between keys that may have crossed
	yieldAfter         = 5               // times assureGap that the peer has gone on with keys retired here
)

// An outbound half seals datagrams to one peer. It is immutable but for its
// counter, and safe for concurrent use.
type outbound struct {
	index   uint32 // of the peer
	aead    cipher.AEAD
	counter atomic.Uint64
}

// reserve takes n consecutive counters and returns the first.
func (o *outbound) reserve(n int) (uint64, bool) {
	first := o.counter.Add(uint64(n)) - uint64(n)
	return first, first < rejectMessages
}

// seal writes the sealed datagram for plaintext to dst, which must have room for
// len(plaintext)+sealOverhead bytes, and returns its length. The plaintext may
// lie anywhere else, or exactly at dst[headerSize:] to be sealed in place.
func (o *outbound) seal(dst []byte, l lead, counter uint64, plaintext []byte) int {
	header := dst[:headerSize]
	putHeader(header, l, o.index, counter)
	sealed := o.aead.Seal(dst[headerSize:headerSize], headerNonce(header), plaintext, header)
	return headerSize + len(sealed)
}

// An inbound half opens the datagrams that bear its index. Its window belongs to
// the reader of the socket.
type inbound struct {
	index     uint32
	aead      cipher.AEAD
	window    replayFilter
	peer      *peer
	session   *session
	inflow    *inflow
	confirmed atomic.Bool // an authentic datagram has come: the peer has the keys
}

var (
	errReplayed = errors.New("replayed")
	errForged   = errors.New("forged or damaged")
)

// open decrypts a datagram to dst, which has room for what is in it, and returns the
// plaintext. It may lie exactly at b[headerSize:], to be opened in place, or elsewhere.
func (in *inbound) open(dst, b []byte, counter uint64) ([]byte, error) {
	if !in.window.fresh(counter) {
		return nil, errReplayed
	}
	header := b[:headerSize]
	plaintext, err := in.aead.Open(dst[:0], headerNonce(header), b[headerSize:], header)
	if err != nil {
		return nil, errForged
	}
	in.window.accept(counter)
	return plaintext, nil
}

// A session is one set of keys shared with a peer.
type session struct {
	in        *inbound
	out       *outbound
	chain     [keySize]byte
	cipher    Cipher
	initiator bool // we made the offer (or the rekey) that led to it
	rekey     bool // it follows another
	fresh     bool // the peer held no keys of the past when it was made
	created   time.Duration
	retired   time.Duration // since when it only receives
	used      int           // times that the peer was found to use it since
}

// newSession makes both halves. The index has been reserved in the table; the
// caller puts the inbound half there.
func newSession(p *peer, c Cipher, k keySet, initiator bool, ours, theirs uint32, now time.Duration) (*session, error) {
	send, receive := k.fromResponder, k.fromInitiator
	if initiator {
		send, receive = receive, send
	}
	sealer, err := newAEAD(c, send[:])
	if err != nil {
		return nil, err
	}
	opener, err := newAEAD(c, receive[:])
	if err != nil {
		return nil, err
	}
	s := &session{chain: k.chain, cipher: c, initiator: initiator, created: now}
	s.out = &outbound{index: theirs, aead: sealer}
	s.in = &inbound{index: ours, aead: opener, peer: p, session: s, inflow: new(inflow)}
	return s, nil
}

// tableSlots bounds the keys that may receive at once: a peer has up to three.
const tableSlots = 1 << 14

// indexTable finds the inbound half for a receiver index: the low bits are the
// slot, the others are random, so that an old or guessed index finds nothing.
// Reading takes one atomic load and no lock.
type indexTable struct {
	slots [tableSlots]atomic.Pointer[inbound]

	mu       sync.Mutex
	reserved map[uint32]uint32 // slots in use, and the index that each has
	random   func() uint32
}

func newIndexTable(random func() uint32) *indexTable {
	return &indexTable{reserved: make(map[uint32]uint32), random: random}
}

func (t *indexTable) find(index uint32) *inbound {
	in := t.slots[index%tableSlots].Load()
	if in == nil || in.index != index {
		return nil
	}
	return in
}

// reserve returns an unused index, for which find knows nothing until put.
func (t *indexTable) reserve() (uint32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.reserved) >= tableSlots*3/4 { // beyond, guessing a free slot takes long
		return 0, fmt.Errorf("%d sessions stand, which is all that one socket can hold: try again when some have ended", len(t.reserved))
	}
	for {
		index := t.random()
		if _, used := t.reserved[index%tableSlots]; !used && index != 0 {
			t.reserved[index%tableSlots] = index
			return index, nil
		}
	}
}

// put makes a reserved index receive.
func (t *indexTable) put(in *inbound) { t.slots[in.index%tableSlots].Store(in) }

// release gives a reserved index back.
func (t *indexTable) release(index uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reserved[index%tableSlots] == index {
		t.slots[index%tableSlots].Store(nil)
		delete(t.reserved, index%tableSlots)
	}
}
