package frame

import (
	"testing"
)

const super = 65_160 // 45 segments of 1,448 bytes

func TestOffloadAllocatesNothing(t *testing.T) {
	j := NewJoiner(1 << 17)
	scratch := make([]byte, 1<<17)
	for name, f := range flows() {
		p := f.super(pattern(10_000), 1448)
		whole := clone(p)
		lone := f.super(pattern(1000), 1448)
		total := 0
		if n := testing.AllocsPerRun(100, func() {
			p.PutVirtio()
			if _, err := ParseVirtio(p.Buf); err != nil {
				t.Fatal(err)
			}
			c, err := Cut(p)
			if err != nil {
				t.Fatal(err)
			}
			for i := c.Len() - 1; i >= 0; i-- {
				if err := take(j, c.Body(i)); err != nil {
					t.Fatal(err)
				}
			}
			total += len(j.Packets())
			j.Reset()
			if err := Finish(whole, scratch, func(q Packet) { total += len(q.Buf) }); err != nil {
				t.Fatal(err)
			}
			lone.Partial = true
			if !lone.Complete() {
				t.Fatal("not completed")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// opened are the bodies of packets, end to end, as they come out of a socket.
func opened(b *testing.B, packets ...Packet) [][]byte {
	var all [][]byte
	for _, p := range packets {
		all = append(all, bodies(b, p)...)
	}
	return all
}

func BenchmarkCut(b *testing.B) {
	bulk := flows()["TCPv4"]
	b.Run("TCP64KiB", func(b *testing.B) { benchmarkCut(b, bulk.super(pattern(super), 1448)) })
	b.Run("UDP64B", func(b *testing.B) { benchmarkCut(b, flows()["UDPv4"].trusted(pattern(64))) })
}

func benchmarkCut(b *testing.B, p Packet) {
	b.SetBytes(int64(len(p.IP())))
	b.ReportAllocs()
	for b.Loop() {
		c, err := Cut(p)
		if err != nil {
			b.Fatal(err)
		}
		for i := c.Len() - 1; i >= 0; i-- {
			_ = c.Body(i)
		}
	}
}

// Copying each body into the room stands for opening it, and is part of the time.
func BenchmarkJoin(b *testing.B) {
	bulk, small := flows()["TCPv4"], flows()["UDPv4"]
	bulk.flags = TCPAck
	b.Run("TCP64KiB", func(b *testing.B) { benchmarkJoin(b, 1, opened(b, bulk.super(pattern(super), 1448))) })
	b.Run("UDP64B", func(b *testing.B) { benchmarkJoin(b, 1, opened(b, small.super(pattern(64*64), 64))) })
	var mixed []Packet
	for i := range 64 {
		f := small
		f.port = uint16(i)
		mixed = append(mixed, f.trusted(pattern(64)))
	}
	b.Run("UDP64B64Flows", func(b *testing.B) { benchmarkJoin(b, 64, opened(b, mixed...)) })
	mixed = mixed[:0]
	for i := range 64 {
		f := bulk
		f.port = uint16(i)
		mixed = append(mixed, f.trusted(pattern(1448)))
	}
	b.Run("TCP1448B64Flows", func(b *testing.B) { benchmarkJoin(b, 64, opened(b, mixed...)) })
}

func benchmarkJoin(b *testing.B, want int, bodies [][]byte) {
	j := NewJoiner(1 << 18)
	n := 0
	for _, body := range bodies {
		n += len(body)
	}
	b.SetBytes(int64(n))
	b.ReportAllocs()
	for b.Loop() {
		for _, body := range bodies {
			if err := take(j, body); err != nil {
				b.Fatal(err)
			}
		}
		if got := len(j.Packets()); got != want {
			b.Fatalf("%d packets", got)
		}
		j.Reset()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(bodies)), "ns/body")
}

func BenchmarkFinish(b *testing.B) {
	p := flows()["TCPv4"].super(pattern(super), 1448)
	scratch := make([]byte, 4096)
	b.SetBytes(int64(len(p.IP())))
	b.ReportAllocs()
	for b.Loop() {
		if err := Finish(p, scratch, func(Packet) {}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVirtio(b *testing.B) {
	p := flows()["TCPv4"].super(pattern(super), 1448)
	b.ReportAllocs()
	for b.Loop() {
		p.PutVirtio()
		if _, err := ParseVirtio(p.Buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChecksum(b *testing.B) {
	payload := pattern(1448)
	b.SetBytes(1448)
	for b.Loop() {
		_ = Checksum(payload, 0)
	}
}
