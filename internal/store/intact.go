package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
)

// The layout of bbolt's file (go.etcd.io/bbolt/internal/common, version 2), in the byte order of
// the machine. A page is a header and elements; a value may be a bucket, whose page may stand in it:
//
//	page    id u64 | kind u16 | count u16 | overflow u32 | elements
//	meta    magic u32 | version u32 | page size u32 | flags u32 | root bucket | freelist u64 | pages u64 | transaction u64 | FNV-1a u64
//	bucket  root page u64, 0: a page follows | sequence u64
//	branch  position u32 | key size u32 | page u64
//	leaf    flags u32 | position u32 | key size u32 | value size u32
//
// A position counts from the element that has it.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader   = 16
	metaSize     = 64
	bucketHeader = 16
	element      = 16 // of a branch and of a leaf

	branchPage = 0x01
	leafPage   = 0x02
	bucketLeaf = 0x01

	maxRun   = 16 << 20 // bytes of a page with those that continue it
	maxDepth = 64       // of pages below each other, and buckets in each other
)

// checkIntact reads all of a state file that somebody has handed in, and refuses one that bbolt could
// stumble over: it follows whatever a page says. Each page is read once.
func checkIntact(f io.ReaderAt, size int64) error {
	m, err := readMeta(f, size)
	if err != nil {
		return err
	}
	if int64(m.pages) > size/int64(m.pageSize) {
		return fmt.Errorf("%d bytes long, %d missing: %w", size, int64(m.pages)*int64(m.pageSize)-size, ErrDamaged)
	}
	c := intactCheck{file: f, meta: m, met: make([]uint64, m.pages/64+1), todo: []pageRef{{id: m.root, depth: 1}}}
	for len(c.todo) > 0 {
		next := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		if err := c.page(next); err != nil {
			return fmt.Errorf("page %d: %w: %w", next.id, err, ErrDamaged)
		}
	}
	return nil
}

// metaPage is what a meta page says.
type metaPage struct {
	pageSize                 uint32
	root, pages, transaction uint64
}

// readMeta returns what counts of the two meta pages: as bbolt has it, the later of those whose checksum
// is right. A file whose meta pages don't agree on the size of pages, or whose second one isn't where
// that puts it, is refused: what counts of it would be another page than the one that is checked.
func readMeta(f io.ReaderAt, size int64) (metaPage, error) {
	best, ok := metaAt(f, 0)
	for pageSize := int64(1 << 10); pageSize <= 1<<16 && pageSize < size; pageSize <<= 1 {
		if ok && int64(best.pageSize) != pageSize {
			continue
		}
		second, also := metaAt(f, pageSize)
		if also && int64(second.pageSize) != pageSize {
			return metaPage{}, fmt.Errorf("its beginnings have pages of %d and of %d bytes: %w", pageSize, second.pageSize, ErrDamaged)
		}
		if also && (!ok || second.transaction > best.transaction) {
			best, ok = second, true
		}
	}
	if !ok || !best.possible() {
		return metaPage{}, fmt.Errorf("it has no beginning: %w", ErrDamaged)
	}
	return best, nil
}

// possible reports whether a file may say so.
func (m metaPage) possible() bool {
	return bits.OnesCount32(m.pageSize) == 1 && m.pageSize >= 1<<10 && m.pageSize <= 1<<16 && m.pages < 1<<40
}

// metaAt reads a meta page, and reports whether bbolt would take it.
func metaAt(f io.ReaderAt, offset int64) (metaPage, bool) {
	b := make([]byte, pageHeader+metaSize)
	if _, err := f.ReadAt(b, offset); err != nil {
		return metaPage{}, false
	}
	b = b[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8])
	o := binary.NativeEndian
	m := metaPage{pageSize: o.Uint32(b[8:]), root: o.Uint64(b[16:]), pages: o.Uint64(b[40:]), transaction: o.Uint64(b[48:])}
	ok := o.Uint32(b) == boltMagic && o.Uint32(b[4:]) == boltVersion && o.Uint64(b[56:]) == sum.Sum64()
	return m, ok
}

// pageRef is a page to look at.
type pageRef struct {
	id    uint64
	depth int
}

// intactCheck is one reading of a file.
type intactCheck struct {
	file io.ReaderAt
	meta metaPage
	met  []uint64 // a bit for each page
	todo []pageRef
	buf  []byte
}

var (
	errPageTwice  = errors.New("it is in the file's tree twice, or outside of the file")
	errPageKind   = errors.New("it is of another kind than its place wants")
	errPageBounds = errors.New("an element reaches beyond it")
	errPageOrder  = errors.New("its keys aren't in order")
	errPageDepth  = errors.New("it lies too deep")
)

// meet notes pages, and refuses those that were met or can't be.
func (c *intactCheck) meet(id, count uint64) error {
	if id < 2 || id >= c.meta.pages || count > c.meta.pages-id {
		return errPageTwice
	}
	for p := id; p < id+count; p++ {
		if c.met[p/64]&(1<<(p%64)) != 0 {
			return errPageTwice
		}
		c.met[p/64] |= 1 << (p % 64)
	}
	return nil
}

// page checks a page, and notes those below it.
func (c *intactCheck) page(ref pageRef) error {
	if ref.depth > maxDepth {
		return errPageDepth
	}
	header := make([]byte, pageHeader)
	if ref.id < 2 || ref.id >= c.meta.pages {
		return errPageTwice
	}
	offset := int64(ref.id) * int64(c.meta.pageSize)
	if _, err := c.file.ReadAt(header, offset); err != nil {
		return err
	}
	o := binary.NativeEndian
	run := uint64(o.Uint32(header[12:])) + 1
	if o.Uint64(header) != ref.id {
		return errPageKind
	}
	if err := c.meet(ref.id, run); err != nil {
		return err
	}
	length := run * uint64(c.meta.pageSize)
	if length > maxRun {
		return errPageBounds
	}
	if uint64(cap(c.buf)) < length {
		c.buf = make([]byte, length)
	}
	c.buf = c.buf[:length]
	if _, err := c.file.ReadAt(c.buf, offset); err != nil {
		return err
	}
	return c.elements(c.buf, ref.depth, false)
}

// elements checks what is on a page. One that stands in a value has no buckets in it.
func (c *intactCheck) elements(b []byte, depth int, inline bool) error {
	o := binary.NativeEndian
	kind, count := o.Uint16(b[8:]), int(o.Uint16(b[10:]))
	if kind != leafPage && (kind != branchPage || inline || count == 0) {
		return errPageKind
	}
	behind := pageHeader + count*element
	if behind > len(b) {
		return errPageBounds
	}
	var last []byte
	for i := range count {
		at := pageHeader + i*element
		e := b[at : at+element]
		key, value, err := slots(b, e, at, behind, kind)
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(last, key) >= 0 {
			return errPageOrder
		}
		last = key
		switch {
		case kind == branchPage:
			c.todo = append(c.todo, pageRef{o.Uint64(e[8:]), depth + 1})
		case o.Uint32(e) == bucketLeaf && !inline:
			err = c.bucket(value, depth)
		case o.Uint32(e) != 0:
			err = errPageKind
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// slots returns the key and the value of an element at an offset of a page, whose elements end
// at behind.
func slots(b, e []byte, at, behind int, kind uint16) (key, value []byte, err error) {
	o := binary.NativeEndian
	pos, keySize, valueSize := uint64(o.Uint32(e)), uint64(o.Uint32(e[4:])), uint64(0)
	if kind == leafPage {
		pos, keySize, valueSize = uint64(o.Uint32(e[4:])), uint64(o.Uint32(e[8:])), uint64(o.Uint32(e[12:]))
	}
	from := uint64(at) + pos
	if from < uint64(behind) || from+keySize+valueSize > uint64(len(b)) {
		return nil, nil, errPageBounds
	}
	return b[from : from+keySize], b[from+keySize : from+keySize+valueSize], nil
}

// bucket checks a value that is a bucket.
func (c *intactCheck) bucket(value []byte, depth int) error {
	if len(value) < bucketHeader {
		return errPageBounds
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		c.todo = append(c.todo, pageRef{root, depth + 1})
		return nil
	}
	if len(value) < bucketHeader+pageHeader {
		return errPageBounds
	}
	return c.elements(value[bucketHeader:], depth, true)
}
