package frame

// Finish does in software what is left to be done on p, for a device that takes no
// offload: a GSO packet is cut into ordinary ones, and checksums are completed. Each
// packet is handed to emit, in order, with what p has in its Headroom (an Ethernet
// header) and with nothing left to be done; it is good until emit returns. p stays
// as it is. A packet on which nothing is left is emitted itself.
//
// All are built in scratch, which must hold Headroom, Tailroom and the longest of
// them (len(p.Buf)+Tailroom is always enough) or is replaced. Errors are those of
// [Cut]; then nothing has been emitted.
func Finish(p Packet, scratch []byte, emit func(Packet)) error {
	if p.GSO == GSONone && !p.Partial {
		emit(p)
		return nil
	}
	if len(p.Buf) < Headroom {
		return ErrRoom
	}
	ip, s, ok := plain(p.IP())
	if !ok {
		return ErrOffload
	}
	n, err := p.pieces(s, len(ip))
	if err != nil {
		return err
	}
	if n > 1 && !s.v6 && !IPv4(ip).ChecksumOK() { // it must not come right
		return ErrOffload
	}
	size := len(ip) - s.headers
	if n > 1 {
		size = int(p.Size)
	}
	if cap(scratch) < Headroom+s.headers+size+Tailroom {
		scratch = make([]byte, Headroom+s.headers+size+Tailroom)
	}
	for i := range n {
		payload := ip[s.headers+i*size:]
		payload = payload[:min(size, len(payload))]
		out := append(append(scratch[:0], p.Buf[:Headroom+s.headers]...), payload...)
		piece := out[Headroom:]
		if n > 1 {
			s.advance(piece, i, i*size, i == n-1)
			s.setLengths(piece, len(piece))
		}
		s.setChecksum(piece)
		emit(Packet{Buf: out, Offload: Offload{Trusted: p.Trusted}})
	}
	return nil
}
