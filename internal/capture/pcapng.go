package capture

import (
	"encoding/binary"
	"time"
)

// Block types, link types and options of pcapng.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6

	linkEthernet = 1
	linkRaw      = 101 // an IPv4 or IPv6 header first

	optEnd         = 0
	optComment     = 1
	optName        = 2 // if_name
	optFlags       = 2 // epb_flags
	optStart       = 2 // isb_starttime
	optStop        = 3 // isb_endtime
	optReceived    = 4 // isb_ifrecv
	optDropped     = 5 // isb_ifdrop
	optApplication = 4 // shb_userappl
	optResolution  = 9 // if_tsresol

	maxComment = 255
)

func padded(n int) int { return (n + 3) &^ 3 }

// blocks appends blocks of a file.
type blocks struct {
	b     []byte
	start int
}

func (w *blocks) begin(kind uint32) {
	w.start = len(w.b)
	w.u32(kind)
	w.u32(0) // the length, which end knows
}

// end closes a block: its length stands at both ends.
func (w *blocks) end() {
	n := uint32(len(w.b) - w.start + 4)
	binary.LittleEndian.PutUint32(w.b[w.start+4:], n)
	w.u32(n)
}

func (w *blocks) u16(v uint16) { w.b = binary.LittleEndian.AppendUint16(w.b, v) }
func (w *blocks) u32(v uint32) { w.b = binary.LittleEndian.AppendUint32(w.b, v) }

func (w *blocks) pad() {
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
}

func (w *blocks) option(code uint16, value string) {
	w.u16(code)
	w.u16(uint16(len(value)))
	w.b = append(w.b, value...)
	w.pad()
}

// time appends a time as two halves, the upper first.
func (w *blocks) time(t time.Time) {
	ns := uint64(t.UnixNano())
	w.u32(uint32(ns >> 32))
	w.u32(uint32(ns))
}

func (w *blocks) optionTime(code uint16, t time.Time) {
	w.u16(code)
	w.u16(8)
	w.time(t)
}

func (w *blocks) optionCount(code uint16, n uint64) {
	w.u16(code)
	w.u16(8)
	w.b = binary.LittleEndian.AppendUint64(w.b, n)
}

// header is the section and its interfaces.
func (c *Capture) header() []byte {
	w := &blocks{}
	w.begin(blockSection)
	w.u32(0x1a2b3c4d)
	w.u16(1)
	w.u16(0)
	w.u32(0xffffffff) // of unknown length
	w.u32(0xffffffff)
	w.option(optApplication, c.opt.Program)
	w.option(optEnd, "")
	w.end()
	for _, p := range c.opt.Places {
		link := uint16(linkEthernet)
		if p == Tunnel {
			link = linkRaw
		}
		w.begin(blockInterface)
		w.u16(link)
		w.u16(0)
		w.u32(uint32(c.opt.Snaplen))
		w.option(optName, c.opt.Names[p])
		w.option(optResolution, "\x09") // 10^-9 s
		w.option(optEnd, "")
		w.end()
	}
	return w.b
}

// statistics says of each interface what was seen, and what of it was left out.
func (c *Capture) statistics(begun, ended time.Time) []byte {
	w := &blocks{}
	for i, p := range c.opt.Places {
		w.begin(blockStatistics)
		w.u32(uint32(i))
		w.time(ended)
		w.optionTime(optStart, begun)
		w.optionTime(optStop, ended)
		w.optionCount(optReceived, c.seen[p].Load())
		w.optionCount(optDropped, c.lost[p].Load())
		w.option(optEnd, "")
		w.end()
	}
	return w.b
}

// packetBlockSize is the size of a packet's block.
func packetBlockSize(kept, comment int) int {
	n := 8 + 20 + padded(kept) + 8 + 4 + 4 // header, fields, data, flags, end of options, length
	if comment > 0 {
		n += 4 + padded(min(comment, maxComment))
	}
	return n
}

// appendPacket appends a packet's block: kept bytes of length.
func appendPacket(b []byte, iface int, dir Direction, now time.Time, kept []byte, length int, comment string) []byte {
	w := blocks{b: b}
	w.begin(blockPacket)
	w.u32(uint32(iface))
	w.time(now)
	w.u32(uint32(len(kept)))
	w.u32(uint32(length))
	w.b = append(w.b, kept...)
	w.pad()
	w.u16(optFlags)
	w.u16(4)
	w.u32(uint32(dir))
	if comment != "" {
		w.option(optComment, comment[:min(len(comment), maxComment)])
	}
	w.option(optEnd, "")
	w.end()
	return w.b
}
