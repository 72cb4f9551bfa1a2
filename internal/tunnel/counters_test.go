package tunnel

import (
	"maps"
	"testing"
)

// moved returns the counters that aren't zero.
func moved(all map[string]uint64) map[string]uint64 {
	maps.DeleteFunc(all, func(_ string, value uint64) bool { return value == 0 })
	return all
}

// What is listed of a tunnel is what a tunnel counts, zeros too; likewise of a socket.
func TestACounterIsTheSocketsOrTheTunnels(t *testing.T) {
	var c counters
	c.add(LacksIPv6, 1)
	c.add(Forged, 2)
	socket, tunnel := c.list(0, firstOfTunnel), c.list(firstOfTunnel, numCounters)
	if socket["lacks_ipv6"] != 1 || tunnel["forged"] != 2 || len(socket)+len(tunnel) != int(numCounters) {
		t.Errorf("socket %v, tunnel %v", socket, tunnel)
	}
}
