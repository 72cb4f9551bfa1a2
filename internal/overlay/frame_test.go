package overlay

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// The bytes are those of the package comment, written by hand.
func TestCallFramesAreAsDocumented(t *testing.T) {
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{appendRequest(nil, 300*time.Millisecond, []byte("abc")), "0000012c 00000003 616263"},
		{appendRequest(nil, 0, nil), "00000000 00000000"},
		{appendRequest(nil, time.Microsecond, nil), "00000001 00000000"},
		{appendReply(nil, statusOK, []byte("abc")), "00 00000003 616263"},
		{appendReply(nil, statusError, []byte("no")), "01 00000002 6e6f"},
		{appendReply(nil, statusBusy, nil), "02 00000000"},
		{appendReply(nil, statusUnknown, nil), "03 00000000"},
	} {
		if got, want := hex.EncodeToString(c.got), strings.ReplaceAll(c.want, " ", ""); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWhereReplyIsAsDocumented(t *testing.T) {
	// RFC 8949 by hand: map of 2; 1: true; 2: array of 1, byte string of 11.
	want, err := hex.DecodeString("a2" + "01f5" + "0281" + "4b" + "04c0000207" + "9102" + "1092" + "cd03")
	if err != nil {
		t.Fatal(err)
	}
	addr := ma.StringCast("/ip4/192.0.2.7/udp/4242/quic-v1")
	got, err := encodeWhere(whereReply{Relays: true, Addrs: [][]byte{addr.Bytes()}})
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %x, %v; want %x", got, err, want)
	}
	relays, addrs, err := decodeWhere(want)
	if err != nil || !relays || len(addrs) != 1 || !addrs[0].Equal(addr) {
		t.Fatalf("got %v %v %v", relays, addrs, err)
	}
}

func TestWhereReplyBeyondTheLimitsIsRefused(t *testing.T) {
	many := whereReply{Addrs: make([][]byte, maxLearnt+1)}
	b, err := encodeWhere(many)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := decodeWhere(b); err == nil {
		t.Error("too many addresses accepted")
	}
}

func FuzzRequestHeader(f *testing.F) {
	f.Add(appendRequest(nil, time.Second, nil), []byte("body"))
	f.Add(appendRequest(nil, 0, nil), []byte{})
	f.Add([]byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}, []byte("huge"))
	f.Fuzz(func(t *testing.T, b, body []byte) {
		if len(b) < requestHeader {
			return
		}
		wait, n, err := parseRequestHeader([requestHeader]byte(b[:requestHeader]))
		if err != nil {
			return
		}
		if n < 0 || n > MaxMessage || wait < 0 {
			t.Fatalf("length %d, wait %v", n, wait)
		}
		got, err := readBody(bytes.NewReader(body), n)
		if short := len(body) < n; short != errors.Is(err, io.ErrUnexpectedEOF) || !short && !bytes.Equal(got, body[:n]) {
			t.Fatalf("%d of %d bytes: %d, %v", len(body), n, len(got), err)
		}
	})
}

func FuzzReplyHeader(f *testing.F) {
	f.Add(appendReply(nil, statusOK, []byte("x")))
	f.Add(appendReply(nil, statusUnknown, nil))
	f.Add([]byte{9, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < replyHeader {
			return
		}
		code, n, err := parseReplyHeader([replyHeader]byte(b[:replyHeader]))
		if err == nil && (code > statusUnknown || n < 0 || n > MaxMessage) {
			t.Fatalf("status %d, length %d", code, n)
		}
	})
}

func FuzzWhereReply(f *testing.F) {
	for _, r := range []whereReply{{}, {Relays: true}, {Addrs: [][]byte{ma.StringCast("/ip4/192.0.2.7/tcp/1").Bytes()}}} {
		b, err := encodeWhere(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xbf, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, addrs, err := decodeWhere(b)
		if err == nil && len(addrs) > maxLearnt {
			t.Fatalf("%d addresses", len(addrs))
		}
		for _, a := range addrs {
			gate{}.usable(a) // must not panic on any address
			addrClass(a)
		}
	})
}

func TestMessagesAreReadWithoutTrustingTheirLength(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 100
	for range times {
		_, _ = readBody(strings.NewReader("short"), MaxMessage)
	}
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) / times
	if allocated > 2*readPiece {
		t.Errorf("5 bytes that claim to be %d cost %d bytes", MaxMessage, allocated)
	}
}
