package image

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// sector is what a disk writes whole or not at all.
const sector = 512 // bytes

// drive is a disk with a cache that a power cut empties: what the machine hasn't flushed may be on the
// disk after it or not, each sector for itself and in any order. QEMU has it by NBD (the protocol's
// doc/proto.md: fixed newstyle, simple replies), one machine after the other.
type drive struct {
	socket string
	door   net.Listener
	size   int64

	mu     sync.Mutex
	disk   *os.File // what survives
	cache  map[int64][]byte
	rng    *rand.Rand
	power  bool
	writes int // since the power came
	cutAt  int // the write after which the power goes; 0: none
	gone   chan struct{}
}

// newDrive makes a disk of 1 GiB that begins as a file does.
func newDrive(t *testing.T, file string, rng *rand.Rand) *drive {
	t.Helper()
	dir := t.TempDir()
	d := &drive{socket: filepath.Join(dir, "nbd"), size: 1 << 30, rng: rng}
	if err := run(t.Context(), dir, nil, "cp", "--sparse=always", file, "disk"); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.disk, err = os.OpenFile(filepath.Join(dir, "disk"), os.O_RDWR, 0); err == nil {
		err = d.disk.Truncate(d.size)
	}
	if err == nil {
		d.door, err = net.Listen("unix", d.socket)
	}
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := d.door.Accept()
			if err != nil {
				return
			}
			d.serve(c)
			c.Close()
		}
	})
	t.Cleanup(func() {
		d.door.Close()
		serving.Wait()
		d.disk.Close()
	})
	return d
}

// args has QEMU use it.
func (d *drive) args() string {
	return "file=nbd+unix:///?socket=" + d.socket + ",format=raw,if=virtio"
}

// on gives it power; gone is closed when that goes.
func (d *drive) on() (gone <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.power, d.cache, d.writes, d.cutAt, d.gone = true, map[int64][]byte{}, 0, 0, make(chan struct{})
	return d.gone
}

// cutAfter has the power go with the n-th write from now.
func (d *drive) cutAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt = d.writes + n
}

// cut is a power cut, unless there was one.
func (d *drive) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutNow()
}

// cutNow keeps nothing, half or all of what wasn't flushed. Called with mu held.
func (d *drive) cutNow() {
	if !d.power {
		return
	}
	d.power = false
	kept := d.rng.IntN(3)
	for at, data := range d.cache {
		if kept == 2 || kept == 1 && d.rng.IntN(2) == 0 {
			d.settle(at, data)
		}
	}
	d.cache = nil
	close(d.gone)
}

// written returns how many writes there were since the power came.
func (d *drive) written() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes
}

func (d *drive) settle(at int64, data []byte) {
	if _, err := d.disk.WriteAt(data, at); err != nil {
		panic(err) // a temporary file
	}
}

// errNoPower is what the machine would get if it could still take anything.
var errNoPower = errors.New("the drive has no power")

// do does what a request asks for; data is what is written, or read.
func (d *drive) do(kind uint16, at int64, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.power:
		return errNoPower
	case kind == nbdRead:
		if _, err := d.disk.ReadAt(data, at); err != nil {
			return err
		}
		for i := 0; i < len(data); i += sector {
			copy(data[i:], d.cache[at+int64(i)])
		}
	case kind == nbdWrite:
		for i := 0; i < len(data); i += sector {
			now := at + int64(i)
			if before := d.cache[now]; before != nil && d.rng.IntN(2) == 0 {
				d.settle(now, before) // it has had the time
			}
			d.cache[now] = append([]byte(nil), data[i:i+sector]...)
		}
		if d.writes++; d.writes == d.cutAt {
			d.cutNow()
			return errNoPower
		}
	case kind == nbdFlush:
		for now, data := range d.cache {
			d.settle(now, data)
		}
		clear(d.cache)
	}
	return nil
}

// The protocol's numbers.
const (
	nbdRead, nbdWrite, nbdDisconnect, nbdFlush = uint16(0), uint16(1), uint16(2), uint16(3)

	nbdExportName, nbdAbort, nbdGo = uint32(1), uint32(2), uint32(7)
	nbdAck, nbdInfo, nbdUnknown    = uint32(1), uint32(3), uint32(1<<31 + 1)
	nbdFlags                       = uint16(1 | 1<<2) // there are flags; it takes flushes

	nbdMagic, nbdOption, nbdOptionReply = uint64(0x4e42444d41474943), uint64(0x49484156454f5054), uint64(0x3e889045565a9)
	nbdRequest, nbdReply                = uint32(0x25609513), uint32(0x67446698)
)

// serve serves one machine until it goes, or the power does.
func (d *drive) serve(c net.Conn) {
	r, w := bufio.NewReaderSize(c, 1<<16), bufio.NewWriterSize(c, 1<<16)
	if d.agree(r, w) != nil {
		return
	}
	for w.Flush() == nil {
		var q struct {
			Magic       uint32
			Flags, Kind uint16
			Handle, At  uint64
			Length      uint32
		}
		if binary.Read(r, binary.BigEndian, &q) != nil || q.Magic != nbdRequest || q.Kind == nbdDisconnect {
			return
		}
		var data []byte
		if q.Kind == nbdRead || q.Kind == nbdWrite {
			data = make([]byte, q.Length)
		}
		if q.Kind == nbdWrite {
			if _, err := io.ReadFull(r, data); err != nil {
				return
			}
		}
		if d.do(q.Kind, int64(q.At), data) != nil {
			return
		}
		answer := binary.BigEndian.AppendUint32(nil, nbdReply)
		answer = binary.BigEndian.AppendUint64(append(answer, 0, 0, 0, 0), q.Handle)
		if q.Kind == nbdRead {
			answer = append(answer, data...)
		}
		_, _ = w.Write(answer)
	}
}

// agree goes through the options that the machine has.
func (d *drive) agree(r io.Reader, w *bufio.Writer) error {
	send := func(fields ...any) {
		for _, f := range fields {
			_ = binary.Write(w, binary.BigEndian, f)
		}
	}
	const fixed, noZeroes = 1, 2
	send(nbdMagic, nbdOption, uint16(fixed|noZeroes))
	var flags uint32
	if err := errors.Join(w.Flush(), binary.Read(r, binary.BigEndian, &flags)); err != nil {
		return err
	}
	for {
		var o struct {
			Magic          uint64
			Option, Length uint32
		}
		if err := errors.Join(w.Flush(), binary.Read(r, binary.BigEndian, &o)); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, int64(o.Length)); err != nil {
			return err
		}
		switch o.Option {
		case nbdExportName:
			send(uint64(d.size), nbdFlags)
			return w.Flush()
		case nbdGo:
			send(nbdOptionReply, o.Option, nbdInfo, uint32(12), uint16(0), uint64(d.size), nbdFlags)
			send(nbdOptionReply, o.Option, nbdAck, uint32(0))
			return w.Flush()
		case nbdAbort:
			send(nbdOptionReply, o.Option, nbdAck, uint32(0))
			return errors.Join(w.Flush(), errNoPower)
		}
		send(nbdOptionReply, o.Option, nbdUnknown, uint32(0))
	}
}
