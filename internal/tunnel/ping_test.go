package tunnel

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPingMakesASessionAndMeasuresTheRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := m.node(public), m.node(public)
		for range 3 {
			pong, err := a.tunnel.Ping(t.Context(), b.member.id)
			if err != nil || pong.Path != PathDirect || pong.Addr != b.addr || pong.RTT.Round(time.Millisecond) != 20*time.Millisecond {
				t.Errorf("%+v, %v; want 20ms to %v", pong, err, b.addr)
			}
		}
	})
}

func TestAPingByARelayNamesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, d := site(t, m, symmetric, symmetric)
		pong, err := a.tunnel.Ping(t.Context(), b.member.id)
		if err != nil || pong.Path != PathRelay || pong.Via != d.member.id || pong.Addr != d.addr || pong.RTT.Round(time.Millisecond) != 40*time.Millisecond {
			t.Errorf("%+v, %v; want 40ms by way of %v", pong, err, d.addr)
		}
	})
}

func TestAPingThatNobodyAnswersEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := m.node(public), m.node(public)
		if _, err := a.tunnel.Ping(t.Context(), b.member.id); err != nil {
			t.Fatal(err)
		}
		b.crash()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		pong, err := a.tunnel.Ping(ctx, b.member.id)
		if !errors.Is(err, context.DeadlineExceeded) || pong.Path != PathDirect {
			t.Errorf("%+v, %v; want the path that it took, and that nobody answered", pong, err)
		}
		if n := len(a.tunnel.peers.Load().byID[b.member.id].echoes.open); n != 0 {
			t.Errorf("%d answers are still awaited", n)
		}
		if _, err := a.tunnel.Ping(t.Context(), a.member.id); !errors.Is(err, ErrNoPeer) {
			t.Errorf("to itself: %v", err)
		}
	})
}
