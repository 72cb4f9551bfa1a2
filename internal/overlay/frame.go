package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// MaxMessage is the largest request or reply of a Call, in bytes.
const MaxMessage = 1 << 20

const (
	requestHeader = 8
	replyHeader   = 5

	// A message is read in pieces, so that a length alone makes us allocate little.
	readPiece = 64 << 10
)

// status is the first byte of a reply.
type status byte

const (
	statusOK      status = 0 // the body is the handler's reply
	statusError   status = 1 // the body is the text of the handler's error
	statusBusy    status = 2 // not run: too many calls at once
	statusUnknown status = 3 // not run: nobody handles the protocol here
)

var errMessageSize = fmt.Errorf("message of more than %d bytes", MaxMessage)

// appendRequest appends a request's header and body. wait is how long the caller
// stays, in whole milliseconds; 0 for as long as it takes.
func appendRequest(b []byte, wait time.Duration, body []byte) []byte {
	ms := min(max(0, wait.Milliseconds()), math.MaxUint32)
	if wait > 0 && ms == 0 {
		ms = 1
	}
	b = binary.BigEndian.AppendUint32(b, uint32(ms))
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// parseRequestHeader returns how long the caller waits, and the length of the body.
func parseRequestHeader(b [requestHeader]byte) (wait time.Duration, n int, err error) {
	wait = time.Duration(binary.BigEndian.Uint32(b[0:])) * time.Millisecond
	size := binary.BigEndian.Uint32(b[4:])
	if size > MaxMessage {
		return 0, 0, errMessageSize
	}
	return wait, int(size), nil
}

func appendReply(b []byte, s status, body []byte) []byte {
	b = append(b, byte(s))
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

func parseReplyHeader(b [replyHeader]byte) (status, int, error) {
	s := status(b[0])
	size := binary.BigEndian.Uint32(b[1:])
	switch {
	case s > statusUnknown:
		return 0, 0, fmt.Errorf("reply status %d is unknown", s)
	case size > MaxMessage:
		return 0, 0, errMessageSize
	}
	return s, int(size), nil
}

// readBody reads n bytes, allocating as they come.
func readBody(r io.Reader, n int) ([]byte, error) {
	body := make([]byte, 0, min(n, readPiece))
	for len(body) < n {
		piece := min(n-len(body), readPiece)
		at := len(body)
		if cap(body) < at+piece {
			body = append(make([]byte, 0, min(n, 2*cap(body)+piece)), body...)
		}
		body = body[:at+piece]
		if _, err := io.ReadFull(r, body[at:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return body, nil
}
