package traffic

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

const (
	chunk       = 32 << 10 // bytes that are made, hashed and sent at a time
	mostBytes   = 2 << 20  // of a transfer
	mostRequest = 16 << 10 // bytes of a request
	lengthBytes = 8
)

// stalled is how long a connection may make no progress: longer than TCP takes to
// repeat what was lost a few times in a row.
const stalled = 30 * time.Second

// ErrCorrupt says that bytes arrived that nobody sent.
var ErrCorrupt = errors.New("corrupted")

// patient is a connection each of whose reads and writes must make progress in time.
type patient struct{ net.Conn }

func (c patient) Read(b []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(stalled))
	return c.Conn.Read(b)
}

func (c patient) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(stalled))
	return c.Conn.Write(b)
}

// transfer sends size pseudo-random bytes of rng, a chunk whenever wait says so, and
// compares their hash with the one that the receiver answers.
func transfer(conn io.ReadWriter, rng *rand.ChaCha8, size int, wait func(bytes int) bool) error {
	if _, err := conn.Write(binary.BigEndian.AppendUint64(nil, uint64(size))); err != nil {
		return err
	}
	sum := sha256.New()
	buf := make([]byte, min(size, chunk))
	for left := size; left > 0; {
		part := buf[:min(left, chunk)]
		_, _ = rng.Read(part) // never fails
		sum.Write(part)
		if !wait(len(part)) {
			return errStopped
		}
		if _, err := conn.Write(part); err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", size-left, size, err)
		}
		left -= len(part)
	}
	var answer [sha256.Size]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return fmt.Errorf("%d bytes sent, and no hash comes back: %w", size, err)
	}
	if !bytes.Equal(answer[:], sum.Sum(nil)) {
		return fmt.Errorf("%w: %d bytes have the SHA-256 %x where they were sent and %x where they arrived", ErrCorrupt, size, sum.Sum(nil), answer)
	}
	return nil
}

// receiveTransfers hashes transfers until the sender closes.
func receiveTransfers(conn io.ReadWriter) error {
	buf := make([]byte, chunk)
	for {
		size, err := readLength(conn, mostBytes)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		sum := sha256.New()
		if n, err := io.CopyBuffer(struct{ io.Writer }{sum}, io.LimitReader(conn, size), buf); err != nil || n < size {
			return fmt.Errorf("%d of %d bytes arrived: %w", n, size, orEOF(err))
		}
		if _, err := conn.Write(sum.Sum(nil)); err != nil {
			return err
		}
	}
}

// request sends size pseudo-random bytes and compares what comes back.
func request(conn io.ReadWriter, rng *rand.ChaCha8, size int) error {
	question := binary.BigEndian.AppendUint64(make([]byte, 0, lengthBytes+size), uint64(size))
	question = question[:lengthBytes+size]
	_, _ = rng.Read(question[lengthBytes:]) // never fails
	if _, err := conn.Write(question); err != nil {
		return err
	}
	answer := make([]byte, sha256.Size+size)
	if n, err := io.ReadFull(conn, answer); err != nil {
		return fmt.Errorf("%d bytes asked, %d of %d came back: %w", size, n, len(answer), err)
	}
	want := sha256.Sum256(question[lengthBytes:])
	if !bytes.Equal(answer[:sha256.Size], want[:]) {
		return fmt.Errorf("%w: a request of %d bytes has the SHA-256 %x where it was sent and %x where it arrived", ErrCorrupt, size, want, answer[:sha256.Size])
	}
	if back := answer[sha256.Size:]; !bytes.Equal(back, question[lengthBytes:]) {
		return fmt.Errorf("%w: the answer to a request of %d bytes differs from byte %d on", ErrCorrupt, size, differs(back, question[lengthBytes:]))
	}
	return nil
}

// answerRequests answers until the client closes.
func answerRequests(conn io.ReadWriter) error {
	for {
		size, err := readLength(conn, mostRequest)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		question := make([]byte, size)
		if n, err := io.ReadFull(conn, question); err != nil {
			return fmt.Errorf("%d of %d bytes of a request arrived: %w", n, size, orEOF(err))
		}
		sum := sha256.Sum256(question)
		if _, err := conn.Write(append(sum[:], question...)); err != nil {
			return err
		}
	}
}

// readLength reads what precedes the bytes of a transfer or a request; io.EOF where there
// is no further one.
func readLength(r io.Reader, most uint64) (int64, error) {
	var b [lengthBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	size := binary.BigEndian.Uint64(b[:])
	if size > most {
		return 0, fmt.Errorf("%w: a length of %d where at most %d is sent", ErrCorrupt, size, most)
	}
	return int64(size), nil
}

// orEOF gives an end in the middle its name.
func orEOF(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// differs returns the first index at which two slices of one length differ.
func differs(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}
