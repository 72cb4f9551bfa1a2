package iface

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A full buffer or an interrupted dump says nothing about the port.
func TestAPortIsGoneOnlyWhenTheKernelSaysSo(t *testing.T) {
	last := PortState{Index: 7, Running: true}
	for _, err := range []error{unix.ENOBUFS, unix.EINTR, netlink.ErrDumpInterrupted} {
		if got := portState(nil, err, last); !reflect.DeepEqual(got, last) {
			t.Errorf("%v: %+v", err, got)
		}
	}
	_, err := netlink.LinkByName("landbridge-none")
	if missing := (netlink.LinkNotFoundError{}); !errors.As(err, &missing) {
		t.Fatal(err)
	}
	if got := portState(nil, fmt.Errorf("look it up: %w", err), last); got.Index != 0 || got.Running {
		t.Errorf("a port that has gone: %+v", got)
	}
}
