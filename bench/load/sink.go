package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	largestDatagram = 2048     // bytes
	sinkBuffer      = 16 << 20 // bytes of the socket's queue: what is lost is lost on the way
	askBytes        = 8
	countBytes      = 24
)

// count is what a sink knows of a trial.
type count struct {
	datagrams   int64
	first, last int64 // Unix nanoseconds
}

// Tally counts the datagrams of the newest trial. One goroutine writes it, and any may read
// it. The zero value has counted none.
type Tally struct{ trial, datagrams, first, last atomic.Int64 }

// Sink counts datagrams that come to a local address.
type Sink struct {
	Tally
	fd   int
	over atomic.Bool
}

// OpenSink opens a sink; what comes waits for Count.
func OpenSink(addr netip.AddrPort) (*Sink, error) {
	fd, err := bound(unix.SOCK_DGRAM, addr)
	if err != nil {
		return nil, err
	}
	err = os.NewSyscallError("setsockopt SO_RCVBUFFORCE", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, sinkBuffer))
	if err = errors.Join(err, setReadTimeout(fd, 100*time.Millisecond)); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &Sink{fd: fd}, nil
}

// Count counts what comes to all of these sinks, and answers questions about the newest
// trial on control, until that ends. It closes the sinks.
func Count(control io.ReadWriter, sinks ...*Sink) error {
	ended := make(chan error, len(sinks))
	for _, s := range sinks {
		go func() {
			runtime.LockOSThread()
			defer unix.Close(s.fd)
			ended <- s.receive()
		}()
	}
	var tallies []*Tally
	for _, s := range sinks {
		tallies = append(tallies, &s.Tally)
	}
	err := Answer(control, tallies...)
	for _, s := range sinks {
		s.over.Store(true)
	}
	for range sinks {
		err = errors.Join(err, <-ended)
	}
	return err
}

func (s *Sink) receive() error {
	b := newBatch(batchSize, largestDatagram)
	for !s.over.Load() {
		n, err := b.receive(s.fd)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		}
		now := time.Now().UnixNano()
		for _, d := range b.data[:n] {
			s.Note(d, now)
		}
	}
	return nil
}

// Note counts one datagram, by its payload, at a time in Unix nanoseconds. What is too short
// to tell its trial isn't counted.
func (t *Tally) Note(payload []byte, now int64) {
	if len(payload) < askBytes {
		return
	}
	switch trial, current := int64(binary.LittleEndian.Uint64(payload)), t.trial.Load(); {
	case trial < current:
		return
	case trial > current:
		t.datagrams.Store(0)
		t.first.Store(now)
		t.trial.Store(trial)
	}
	t.datagrams.Add(1)
	t.last.Store(now)
}

// told returns what is known of a trial.
func (t *Tally) told(trial int64) count {
	if trial != t.trial.Load() {
		return count{}
	}
	return count{t.datagrams.Load(), t.first.Load(), t.last.Load()}
}

// add joins what two tallies know of a trial.
func (c count) add(d count) count {
	switch {
	case c.datagrams == 0:
		return d
	case d.datagrams == 0:
		return c
	}
	return count{c.datagrams + d.datagrams, min(c.first, d.first), max(c.last, d.last)}
}

// Answer tells on control what the tallies have counted, until the sender has gone.
func Answer(control io.ReadWriter, tallies ...*Tally) error {
	var ask [askBytes]byte
	for {
		if _, err := io.ReadFull(control, ask[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the sender's question: %w", err)
		}
		var sum count
		for _, t := range tallies {
			sum = sum.add(t.told(int64(binary.LittleEndian.Uint64(ask[:]))))
		}
		var told [countBytes]byte
		binary.LittleEndian.PutUint64(told[0:], uint64(sum.datagrams))
		binary.LittleEndian.PutUint64(told[8:], uint64(sum.first))
		binary.LittleEndian.PutUint64(told[16:], uint64(sum.last))
		if _, err := control.Write(told[:]); err != nil {
			return fmt.Errorf("tell the sender: %w", err)
		}
	}
}

// ask asks a sink for what it knows of a trial.
func ask(control io.ReadWriter, trial int64) (count, error) {
	var question [askBytes]byte
	binary.LittleEndian.PutUint64(question[:], uint64(trial))
	var told [countBytes]byte
	if _, err := control.Write(question[:]); err != nil {
		return count{}, fmt.Errorf("ask the sink: %w", err)
	}
	if _, err := io.ReadFull(control, told[:]); err != nil {
		return count{}, fmt.Errorf("hear the sink: %w", err)
	}
	return count{
		datagrams: int64(binary.LittleEndian.Uint64(told[0:])),
		first:     int64(binary.LittleEndian.Uint64(told[8:])),
		last:      int64(binary.LittleEndian.Uint64(told[16:])),
	}, nil
}
