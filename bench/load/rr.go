package load

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// The first byte of a connection says what it is for.
const (
	roundTrips = 'p' // each byte is answered with one, until the client closes
	oneAnswer  = 'c' // is answered with one byte, and the server closes: TIME_WAIT is the server's
)

// Listener takes the connections of RoundTrips and Connects.
type Listener struct{ fd int }

// Listen opens a listener; connections wait for Serve.
func Listen(addr netip.AddrPort) (Listener, error) {
	fd, err := bound(unix.SOCK_STREAM, addr)
	if err != nil {
		return Listener{}, err
	}
	if err := unix.Listen(fd, 1024); err != nil {
		_ = unix.Close(fd)
		return Listener{}, os.NewSyscallError("listen", err)
	}
	return Listener{fd}, nil
}

// Close ends Serve.
func (l Listener) Close() error {
	return errors.Join(unix.Shutdown(l.fd, unix.SHUT_RDWR), unix.Close(l.fd))
}

// Serve answers, one connection after the other, until the listener is closed. It takes
// the calling thread.
func (l Listener) Serve() error {
	runtime.LockOSThread()
	for {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EBADF):
			return nil // closed
		case err != nil:
			return os.NewSyscallError("accept", err)
		}
		serve(fd)
		_ = unix.Close(fd)
	}
}

// serve answers on one connection until it ends; how it ends is the client's to judge.
func serve(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	var b [1]byte
	for {
		if ok, err := readByte(fd, b[:]); !ok || err != nil {
			return
		}
		if err := writeByte(fd, b[:]); err != nil || b[0] == oneAnswer {
			return
		}
	}
}

// warmUp is the time of round trips that aren't counted.
const warmUp = 200 * time.Millisecond

// RoundTrips sends one byte and waits for its answer, again and again on one
// connection. It takes the calling thread.
func RoundTrips(dst netip.AddrPort, length time.Duration) ([]time.Duration, error) {
	runtime.LockOSThread()
	fd, err := dialTCP(dst)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := [1]byte{roundTrips}
	times := make([]time.Duration, 0, 1<<20)
	began := time.Now()
	for last := began; ; {
		if err := writeByte(fd, b[:]); err != nil {
			return nil, fmt.Errorf("send a request to %v: %w", dst, err)
		}
		if ok, err := readByte(fd, b[:]); !ok || err != nil {
			return nil, fmt.Errorf("%v ended the connection before its answer (%w)", dst, err)
		}
		now := time.Now()
		if last.Sub(began) > warmUp {
			times = append(times, now.Sub(last))
		}
		if now.Sub(began) > warmUp+length {
			return times, nil
		}
		last = now
	}
}

// Connects connects, sends one byte, hears one and closes, again and again. It fails
// when connections do. It takes the calling thread.
func Connects(dst netip.AddrPort, length time.Duration) ([]time.Duration, error) {
	runtime.LockOSThread()
	times := make([]time.Duration, 0, 1<<18)
	var failed int
	began := time.Now()
	for last := began; last.Sub(began) < length; {
		err := connect(dst)
		now := time.Now()
		if err == nil {
			times = append(times, now.Sub(last))
		} else if failed++; failed > 100 {
			return nil, fmt.Errorf("more than 100 connections failed: %w", err)
		}
		last = now
	}
	return times, nil
}

func connect(dst netip.AddrPort) error {
	fd, err := dialTCP(dst)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b := [1]byte{oneAnswer}
	if err := writeByte(fd, b[:]); err != nil {
		return err
	}
	if ok, err := readByte(fd, b[:]); !ok || err != nil {
		return fmt.Errorf("no answer (%w)", err)
	}
	_, err = readByte(fd, b[:]) // the end
	return err
}
