package slots

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"landbridge/image/bundle"
)

// blockSize is how much is written, or read back, at a time. The slot's first sector comes last.
const blockSize = 64 << 10 // bytes

// ErrReadBack is wrapped where the disk doesn't give back what was written to it.
var ErrReadBack = errors.New("the disk doesn't give back what was written to it: it is failing, and nothing but the other slot was changed")

// Target is what Install writes to.
type Target struct {
	Environment Storage
	Slot        Storage // that doesn't run
	Size        int64   // of the slot, in bytes
	Running     string  // the slot that does
	// Written is told how many bytes are written, of how many.
	Written func(done, all int64)
}

// Install writes a bundle's slot file into the slot that doesn't run, and reads it back. The bundle is
// good, and its signature checked; it is checked once more as it is written. After an error, as after
// a kill, the slot has nothing that would start, and the one that runs is started next.
func Install(ctx context.Context, b *bundle.Reader, to Target) error {
	f := b.Manifest().Slot()
	if f.Size > to.Size {
		return fmt.Errorf("it needs %d MiB, and a slot of this appliance's disk has %d: install the new image anew, and restore a backup", f.Size>>20, to.Size>>20)
	}
	if err := Try(to.Environment, to.Running, ""); err != nil {
		return err
	}
	w := &slotWriter{ctx: ctx, to: to, all: f.Size}
	if err := w.spoil(); err != nil {
		return fmt.Errorf("write the slot: %w", err)
	}
	err := b.Copy(func(f bundle.File) io.Writer {
		if f.Name != bundle.SlotFile {
			return nil
		}
		return w
	})
	if err != nil {
		return fmt.Errorf("write the slot: %w", err)
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("write the slot: %w", err)
	}
	return w.finish(f)
}

// slotWriter writes a slot but for its first sector, which it keeps: a disk writes one whole or not.
type slotWriter struct {
	ctx     context.Context
	to      Target
	all     int64
	first   []byte
	block   []byte // not written yet
	written int64
}

// Write takes some of the slot's contents.
func (w *slotWriter) Write(p []byte) (n int, err error) {
	n = len(p)
	for len(p) > 0 {
		take := min(len(p), blockSize-len(w.block))
		w.block, p = append(w.block, p[:take]...), p[take:]
		if len(w.block) == blockSize {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush writes the block.
func (w *slotWriter) flush() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	block, at := w.block, w.written
	if w.first == nil {
		n := min(len(block), sectorSize)
		w.first, block, at = bytes.Clone(block[:n]), block[n:], int64(n)
	}
	if len(block) > 0 {
		if _, err := w.to.Slot.WriteAt(block, at); err != nil {
			return err
		}
	}
	w.written += int64(len(w.block))
	w.block = w.block[:0]
	if w.to.Written != nil {
		w.to.Written(w.written, w.all)
	}
	return nil
}

// finish reads back what is written, and writes the first sector, by which the slot is one.
func (w *slotWriter) finish(f bundle.File) error {
	if err := w.to.Slot.Sync(); err != nil {
		return fmt.Errorf("write the slot: %w", err)
	}
	sum := sha256.New()
	sum.Write(w.first)
	rest := io.NewSectionReader(w.to.Slot, int64(len(w.first)), f.Size-int64(len(w.first)))
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{rest}, make([]byte, blockSize)); err != nil {
		return fmt.Errorf("%w (%w)", ErrReadBack, err)
	}
	if bundle.Sum(sum.Sum(nil)) != f.SHA256 {
		return ErrReadBack
	}
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if _, err := w.to.Slot.WriteAt(w.first, 0); err != nil {
		return fmt.Errorf("write the slot: %w", err)
	}
	if err := w.to.Slot.Sync(); err != nil {
		return fmt.Errorf("write the slot: %w", err)
	}
	got := make([]byte, len(w.first))
	if _, err := w.to.Slot.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, w.first) {
		return fmt.Errorf("%w (%w)", ErrReadBack, errors.Join(err, w.spoil()))
	}
	return nil
}

// spoil has nobody take the slot for a file system.
func (w *slotWriter) spoil() error {
	if _, err := w.to.Slot.WriteAt(make([]byte, sectorSize), 0); err != nil {
		return err
	}
	return w.to.Slot.Sync()
}

// HasSystem reports whether there is a whole system in a slot: a squashfs, by its magic number.
func HasSystem(slot io.ReaderAt) bool {
	magic := make([]byte, 4)
	_, err := slot.ReadAt(magic, 0)
	return err == nil && bytes.Equal(magic, []byte("hsqs"))
}
