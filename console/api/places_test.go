package api

import (
	"slices"
	"testing"
)

func TestPlacesAreWhatPeopleWouldType(t *testing.T) {
	got := Places([]string{
		"/ip4/203.0.113.9/udp/4860/quic-v1/p2p/12D3KooWrelayrel/p2p-circuit/p2p/12D3KooWselfself",
		"/ip4/127.0.0.1/tcp/4860/p2p/12D3KooWselfself",
		"/ip4/203.0.113.9/tcp/4860/p2p/12D3KooWrelayrel/p2p-circuit/p2p/12D3KooWselfself",
		"/ip4/192.0.2.7/tcp/4860/p2p/12D3KooWselfself",
		"/ip6/2001:db8::7/udp/4860/quic-v1",
		"/ip4/192.0.2.7/udp/4860/quic-v1/p2p/12D3KooWselfself",
		"/dns/site-a.example.com/udp/4860/quic-v1",
		"/unix/x",
	})
	want := []string{"192.0.2.7:4860 (tcp, udp)", "[2001:db8::7]:4860 (udp)", "site-a.example.com:4860 (udp)", "/unix/x", "through relayrel"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
