package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"landbridge/internal/registry"
)

// Protocol is what members ask each other to find out what is wrong.
const Protocol = "/landbridge/diagnose/1"

const (
	askForHost = 1 // what a request begins with

	maxChecking  = 8 // hosts that members have us ask for at once
	checkTimeout = time.Second
)

var (
	errQuestion  = errors.New("this question isn't known here: update the appliance")
	errNotServed = errors.New("the address isn't served here any more")
)

// askHost has the member that serves a host ask for it.
func (g *Group) askHost(ctx context.Context, at target) (time.Duration, error) {
	addr := at.addr.As4()
	reply, err := g.Members.Ask(ctx, at.member, append([]byte{askForHost}, addr[:]...))
	switch {
	case err != nil:
		return 0, err
	case len(reply) == 1 && reply[0] == 0:
		return 0, errHostSilent
	case len(reply) != 5 || reply[0] != 1:
		return 0, errors.New("its answer makes no sense: update it")
	}
	return time.Duration(binary.BigEndian.Uint32(reply[1:])) * time.Microsecond, nil
}

// Serve answers a request of Protocol.
func (g *Group) Serve(ctx context.Context, req []byte) ([]byte, error) {
	if len(req) != 5 || req[0] != askForHost {
		return nil, errQuestion
	}
	select {
	case g.checking <- struct{}{}:
		defer func() { <-g.checking }()
	default:
		return nil, errors.New("too many ask at once: try again")
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	begun := time.Now()
	addr := netip.AddrFrom4([4]byte(req[1:]))
	ok := g.Segment.IsOwn(addr)
	if !ok {
		if at, status := g.Directory.Lookup(addr); status != registry.Known || !at.Local {
			return nil, errNotServed // and nobody's LAN is searched for others
		}
		var err error
		if ok, err = g.Segment.Present(ctx, addr); err != nil {
			return nil, err
		}
	}
	if !ok {
		return []byte{0}, nil
	}
	return binary.BigEndian.AppendUint32([]byte{1}, uint32(time.Since(begun).Microseconds())), nil
}
