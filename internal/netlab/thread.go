package netlab

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Which of a host's namespaces a thread enters.
const (
	enterNet = unix.CLONE_NEWNET
	enterAll = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWPID
)

var errLeft = errors.New("the function left its goroutine (t.Fatal or runtime.Goexit inside Do)")

// onThread runs fn on an OS thread of its own, which has entered the namespaces
// named by flags of the process that pidfd refers to, and which dies afterwards.
// Entering the PID namespace holds for the processes that fn starts, not for fn.
func onThread(pidfd *os.File, flags int, fn func() error) error {
	done := make(chan error, 1)
	go lockedThread(func() {
		err := errLeft
		defer func() { done <- err }()
		if err = enter(pidfd, flags); err == nil {
			err = errLeft
			err = fn()
		}
	})
	return <-done
}

// lockedThread runs fn on an OS thread that no other goroutine will use again. It
// must be the whole of a goroutine. The process's main thread is never taken: it
// cannot die, and /proc/self would show its namespaces for ever.
func lockedThread(fn func()) {
	runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
	if unix.Gettid() != os.Getpid() {
		fn()
		return
	}
	var other sync.WaitGroup
	other.Add(1)
	go func() {
		defer other.Done()
		lockedThread(fn)
	}()
	other.Wait() // holding the main thread, so that the other goroutine can't get it
	runtime.UnlockOSThread()
}

// enter moves the calling thread into namespaces of the process of pidfd.
func enter(pidfd *os.File, flags int) error {
	if flags&unix.CLONE_NEWNS != 0 {
		// A mount namespace can be entered only with a root and a working
		// directory that no other thread shares.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare the working directory: %w", err)
		}
	}
	raw, err := pidfd.SyscallConn()
	if err == nil {
		if cerr := raw.Control(func(fd uintptr) { err = unix.Setns(int(fd), flags) }); cerr != nil {
			err = cerr
		}
	}
	switch {
	case errors.Is(err, os.ErrClosed), errors.Is(err, unix.ESRCH):
		return errGone
	case err != nil:
		return fmt.Errorf("enter the host's namespaces: %w", err)
	}
	return nil
}
