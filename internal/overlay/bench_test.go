package overlay

import (
	"context"
	"testing"

	"landbridge/internal/group"
)

// BenchmarkCall is one call on a connection that is there, over loopback.
func BenchmarkCall(b *testing.B) {
	open := func(n int, peers ...string) *Overlay {
		o, err := Open(b.Context(), Config{Key: keyOf(n), Socket: newWire(b, 0)})
		if err != nil {
			b.Fatal(err)
		}
		o.Add(peers)
		b.Cleanup(func() { _ = o.Close() })
		return o
	}
	server := open(0)
	server.Handle(echoProtocol, func(_ context.Context, _ group.MemberID, req []byte) ([]byte, error) { return req, nil })
	client := open(1, server.Addrs()...)
	req := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Call(b.Context(), server.Self(), echoProtocol, req); err != nil {
			b.Fatal(err)
		}
	}
}
