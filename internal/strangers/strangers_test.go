package strangers

import (
	"net/netip"
	"testing"

	"landbridge/internal/frame"
	"landbridge/internal/registry"
)

// lookupFake is a registry that says one thing of every address.
type lookupFake struct {
	Registry
	at     registry.Location
	status registry.Status
}

func (l lookupFake) Lookup(netip.Addr) (registry.Location, registry.Status) { return l.at, l.status }

func TestWhatAStrangerMayBeIsReadFromMemory(t *testing.T) {
	for name, c := range map[string]struct {
		addr          netip.Addr
		registry      lookupFake
		moved, static bool
	}{
		"a MAC alone":      {moved: true},
		"leased elsewhere": {addr: staticAddr, registry: lookupFake{status: registry.Known}, moved: true},
		"leased here":      {addr: staticAddr, registry: lookupFake{status: registry.Known, at: registry.Location{Local: true}}, static: true},
		"leased to nobody": {addr: staticAddr, registry: lookupFake{status: registry.Absent}, static: true},
		"not known":        {addr: staticAddr, registry: lookupFake{status: registry.Unknown}, moved: true, static: true},
	} {
		s := New(Config{Registry: c.registry})
		if moved, static := s.kinds(sighting{c.addr, frame.MAC{2}}); moved != c.moved || static != c.static {
			t.Errorf("%s: moved %t, static %t", name, moved, static)
		}
	}
}
