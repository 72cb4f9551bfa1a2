package netlab

import (
	"context"
	"testing"
	"time"
)

func TestHostsBehindTwoNATsReachAPublicOne(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	d := wan.Host("d")
	a := wan.Site("a").Host("a")
	b := wan.Site("b", Behind(Symmetric), Link{Delay: 5 * time.Millisecond}).Host("b")
	for _, h := range []*Host{a, b} {
		out, err := h.Run(ctx, "ping", "-c1", "-W2", d.Port("eth0").Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Log(out)
	}
}
