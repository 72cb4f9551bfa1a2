package appliance

import (
	"net/netip"
	"testing"
	"time"

	"landbridge/internal/frame"
	"landbridge/router"
)

func TestOtherGatewaysAreForgottenAndBounded(t *testing.T) {
	var w gatewayWatch
	now := time.Now()
	addr := netip.MustParseAddr("10.77.0.1")
	for i := range 3 * maxGateways {
		w.note(addr, frame.MAC{2, 0, 0, 0, 0, byte(i)}, router.SignService, now.Add(time.Duration(i)*time.Second))
	}
	if n := len(w.list(now.Add(time.Minute))); n != maxGateways {
		t.Errorf("%d gateways are remembered, want %d", n, maxGateways)
	}
	w.note(addr, frame.MAC{2}, router.SignProxy, now.Add(gatewayMemory))
	if !w.has(frame.MAC{2}) {
		t.Error("a gateway isn't remembered where another was forgotten")
	}
	if n := len(w.list(now.Add(3 * gatewayMemory))); n != 0 {
		t.Errorf("%d gateways are remembered long after", n)
	}
}

func TestTheServiceAddressIsThePlainestSignOfAGateway(t *testing.T) {
	var w gatewayWatch
	now, mac := time.Now(), frame.MAC{2, 1}
	addr := netip.MustParseAddr("10.77.0.1")
	w.note(netip.MustParseAddr("10.77.0.0"), mac, router.SignProxy, now)
	w.note(addr, mac, router.SignService, now.Add(time.Second))
	w.note(netip.MustParseAddr("10.77.3.3"), mac, router.SignRedirect, now.Add(2*time.Second))
	got := w.list(now.Add(time.Minute))
	if len(got) != 1 || got[0].addr != addr || got[0].sign != router.SignService || got[0].first != now || got[0].last != now.Add(2*time.Second) {
		t.Errorf("%+v", got)
	}
}
