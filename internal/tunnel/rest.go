package tunnel

// Rest gives back the memory that datagrams have passed through; they take it again. Call it while there is little to do,
// and between two rounds of the socket's loop.
func (s *Socket) Rest() {
	s.in.rest()
	s.dmx.rest()
}

// Rest gives back the memory that packets have passed through on their way out; they take it again. Call it while there
// is little to do.
func (t *Tunnel) Rest() {
	for range len(t.batches) {
		select {
		case b := <-t.batches: // ours alone meanwhile
			b.rest()
			t.flushBatch(b)
		default:
		}
	}
}

func (d *demux) rest() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.joiner.Rest()
	d.out.rest()
}
