package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	unpaced    = 0.0     // the rate of a flood
	sendBuffer = 4 << 20 // bytes of the socket's queue
	// settled is how long nothing may arrive before a trial counts as over.
	settled = 60 * time.Millisecond
	// pause is what a paced sender sleeps while nothing is due.
	pause = 50 * time.Microsecond
)

// Search finds the rate at which datagrams get from here to sinks' addresses, to each in
// turn, and asks on the sinks' control stream what has arrived. It takes the calling thread.
// To a single address it sends by a connected socket, which costs the kernel less, unless the
// plan is to be comparable with many.
func Search(control io.ReadWriter, plan Plan, to ...netip.AddrPort) (Rates, error) {
	if plan.Size < askBytes || plan.Size > largestDatagram {
		return Rates{}, fmt.Errorf("datagrams of %d bytes: want %d to %d", plan.Size, askBytes, largestDatagram)
	}
	fd, err := socket(unix.SOCK_DGRAM)
	if err != nil {
		return Rates{}, err
	}
	defer unix.Close(fd)
	err = os.NewSyscallError("setsockopt SO_SNDBUFFORCE", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer))
	if err != nil {
		return Rates{}, err
	}
	s := &socketSender{fd: fd}
	if len(to) == 1 && !plan.Unconnected {
		s.batch = newBatch(batchSize, plan.Size)
		err = os.NewSyscallError("connect", unix.Connect(fd, inet4(to[0])))
	} else {
		// Whole rounds, so that each gets as much.
		s.batch = newBatch(len(to)*((batchSize+len(to)-1)/len(to)), plan.Size)
		s.batch.address(to)
	}
	if err != nil {
		return Rates{}, err
	}
	return SearchBy(s, control, plan)
}

// A Sender makes the datagrams of a search; one goroutine uses it.
type Sender interface {
	// Mark has the payloads of all that is sent from now on begin with these bytes.
	Mark(trial [8]byte)
	// Send sends n datagrams or, where that is easier, fewer, and returns how many it tried.
	// That some don't get away is no error.
	Send(n int) (int, error)
}

// SearchBy finds the rate at which what a sender makes arrives. It takes the calling thread.
func SearchBy(sender Sender, control io.ReadWriter, plan Plan) (Rates, error) {
	runtime.LockOSThread()
	// Else a sleep of 50 µs takes 100.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return Rates{}, os.NewSyscallError("prctl PR_SET_TIMERSLACK", err)
	}
	t := trials{sender, control}
	// Neighbours are resolved, sessions and caches warm.
	if _, err := t.try(20_000, 100*time.Millisecond); err != nil {
		return Rates{}, err
	}
	return search(plan.Trials, func(rate float64) (Trial, error) {
		if rate == unpaced {
			return t.try(rate, plan.Flood)
		}
		return t.try(rate, plan.Trial)
	})
}

// socketSender sends by a socket, to each of its batch's destinations in turn.
type socketSender struct {
	fd    int
	batch *batch
	next  int // datagram of the batch
}

// Mark is Sender's.
func (s *socketSender) Mark(trial [8]byte) {
	for _, d := range s.batch.data {
		copy(d, trial[:])
	}
}

// Send is Sender's. What the kernel refuses for want of room is lost, as what is dropped later.
func (s *socketSender) Send(n int) (int, error) {
	n = min(n, len(s.batch.data)-s.next)
	_, err := s.batch.send(s.fd, s.next, n)
	s.next = (s.next + n) % len(s.batch.data)
	for _, passing := range []error{unix.ENOBUFS, unix.EAGAIN, unix.ECONNREFUSED, unix.EINTR} {
		if errors.Is(err, passing) {
			return n, nil
		}
	}
	return n, err
}

// trials are what a search makes; the control stream leads to the sinks.
type trials struct {
	sender  Sender
	control io.ReadWriter
}

// try sends at a rate for a time and asks what has arrived.
func (t trials) try(rate float64, length time.Duration) (Trial, error) {
	trial := time.Now().UnixNano()
	var mark [askBytes]byte
	binary.LittleEndian.PutUint64(mark[:], uint64(trial))
	t.sender.Mark(mark)
	offered, took, err := t.offer(rate, length)
	if err != nil {
		return Trial{}, err
	}
	got, err := t.arrived(trial)
	if err != nil {
		return Trial{}, err
	}
	return judge(offered, took, got), nil
}

// offer sends, and returns how many datagrams it tried to send in what time.
func (t trials) offer(rate float64, length time.Duration) (offered int64, took time.Duration, err error) {
	began := time.Now()
	for took < length {
		due := int64(batchSize)
		if rate != unpaced {
			due = int64(rate*took.Seconds()) - offered
		}
		if due <= 0 {
			ts := unix.NsecToTimespec(int64(pause))
			_ = unix.Nanosleep(&ts, nil)
		} else {
			n, err := t.sender.Send(min(int(due), batchSize))
			if err != nil {
				return 0, 0, err
			}
			offered += int64(n)
		}
		took = time.Since(began)
	}
	return offered, took, nil
}

// arrived asks until no more datagrams arrive, for a second at most.
func (t trials) arrived(trial int64) (got count, err error) {
	tick := time.NewTicker(settled)
	defer tick.Stop()
	before := int64(-1)
	for range 20 {
		<-tick.C
		if got, err = ask(t.control, trial); err != nil || got.datagrams == before {
			break
		}
		before = got.datagrams
	}
	return got, err
}

// judge makes a trial's rates of counts. The received rate is that over the receiver's
// own window, which queues on the way may make longer than the sender's, never shorter.
func judge(offered int64, took time.Duration, got count) Trial {
	t := Trial{Sent: float64(offered), Offered: float64(offered) / took.Seconds()}
	if offered > 0 {
		t.Loss = 1 - float64(got.datagrams)/float64(offered)
	}
	window := max(time.Duration(got.last-got.first), took)
	if got.datagrams > 0 {
		t.Received = float64(got.datagrams) / window.Seconds()
	}
	return t
}
