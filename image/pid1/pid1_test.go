package pid1

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sparseDisk is a disk by its sectors that aren't empty.
type sparseDisk map[int64][sectorSize]byte

func (d sparseDisk) ReadAt(p []byte, off int64) (int, error) {
	for i := 0; i < len(p); i += sectorSize {
		sector := d[off/sectorSize+int64(i/sectorSize)]
		copy(p[i:], sector[:])
	}
	return len(p), nil
}

func (d sparseDisk) WriteAt(p []byte, off int64) (int, error) {
	for i := 0; i < len(p); i += sectorSize {
		d[off/sectorSize+int64(i/sectorSize)] = [sectorSize]byte(p[i:])
	}
	return len(p), nil
}

// imageDisk is the beginning of the image's disk, as sfdisk has made its table.
func imageDisk(t *testing.T) sparseDisk {
	f, err := os.Open("testdata/gpt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	table, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	d := sparseDisk{}
	_, _ = d.WriteAt(table, 0)
	return d
}

func (d sparseDisk) sectors(from uint64, n int) []byte {
	b := make([]byte, n*sectorSize)
	_, _ = d.ReadAt(b, int64(from)*sectorSize)
	return b
}

// headerAt returns a GPT header's fields, or fails where its hash is wrong.
func headerAt(t *testing.T, d sparseDisk, sector uint64) (own, other, lastUsable, table uint64) {
	t.Helper()
	h := d.sectors(sector, 1)[:92]
	sum := binary.LittleEndian.Uint32(h[16:])
	binary.LittleEndian.PutUint32(h[16:], 0)
	if string(h[:8]) != "EFI PART" || crc32.ChecksumIEEE(h) != sum {
		t.Fatalf("no good header in sector %d", sector)
	}
	table = binary.LittleEndian.Uint64(h[72:])
	if crc32.ChecksumIEEE(d.sectors(table, 32)) != binary.LittleEndian.Uint32(h[88:]) {
		t.Errorf("the table of the header in sector %d has another hash", sector)
	}
	return binary.LittleEndian.Uint64(h[24:]), binary.LittleEndian.Uint64(h[32:]), binary.LittleEndian.Uint64(h[48:]), table
}

func TestTheStatePartitionGrowsToItsDisk(t *testing.T) {
	const before, after = 238026752 / sectorSize, 600 << 20 / sectorSize
	d := imageDisk(t)
	start, length, err := growTable(d, 5, after)
	if err != nil {
		t.Fatal(err)
	}
	if start != 146<<20/sectorSize || (start+length)%2048 != 0 || start+length > after-34 || start+length < after-2048-34 {
		t.Errorf("the partition starts at %d and has %d sectors of a disk of %d", start, length, after)
	}
	for _, at := range []uint64{1, after - 1} {
		own, other, last, table := headerAt(t, d, at)
		if own != at || other != after-at || last != after-34 || at == 1 && table != 2 || at > 1 && table != after-33 {
			t.Errorf("the header in sector %d says: here %d, other %d, last usable %d, table %d", at, own, other, last, table)
		}
		if end := binary.LittleEndian.Uint64(d.sectors(table, 2)[4*128+40:]); end != start+length-1 {
			t.Errorf("the table of the header in sector %d has the partition end at %d", at, end)
		}
	}
	again := maps.Clone(d)
	if _, length, err := growTable(d, 5, after); err != nil || length != 0 || !maps.Equal(again, d) {
		t.Errorf("grown once more: %d, %v", length, err)
	}
}

func TestADiskOfTheImagesSizeStaysAsItIs(t *testing.T) {
	const sectors = 238026752 / sectorSize
	d := imageDisk(t)
	before := maps.Clone(d)
	if _, length, err := growTable(d, 5, sectors); err != nil || length != 0 || !maps.Equal(before, d) {
		t.Errorf("length %d, %v, changed: %t", length, err, !maps.Equal(before, d))
	}
}

func TestATableThatIsNotTheImagesIsLeftAlone(t *testing.T) {
	for name, spoilt := range map[string]int64{
		"no GPT": sectorSize, "a table of other bytes": 2*sectorSize + 7, "a header of other size": sectorSize + 12, "too many entries": sectorSize + 81,
	} {
		d := imageDisk(t)
		sector := d[spoilt/sectorSize]
		sector[spoilt%sectorSize] ^= 0xff
		d[spoilt/sectorSize] = sector
		before := maps.Clone(d)
		if _, _, err := growTable(d, 5, 1<<20); !errors.Is(err, errTable) || !maps.Equal(before, d) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, number := range []int{0, -1, 9, 129} {
		if _, _, err := growTable(imageDisk(t), number, 1<<20); !errors.Is(err, errTable) {
			t.Errorf("partition %d: %v", number, err)
		}
	}
}

func FuzzATableIsGrownOrRefused(f *testing.F) {
	f.Add(make([]byte, 34*sectorSize), 5, uint64(1<<16))
	f.Fuzz(func(_ *testing.T, table []byte, number int, sectors uint64) {
		d := sparseDisk{}
		_, _ = d.WriteAt(append(table, make([]byte, (sectorSize-len(table)%sectorSize)%sectorSize)...), 0)
		_, _, _ = growTable(d, number, sectors)
	})
}

func TestOnlyEndedChildrenOfTheFirstProcessAreReaped(t *testing.T) {
	proc := t.TempDir()
	for pid, stat := range map[string]string{
		"7": "7 (a ) Z 1 b) S 1 7", "8": "8 (gone) Z 1 8", "9": "9 (other's) Z 8 9", "10": "10 (odd)", "self": "11 (x) Z 1",
	} {
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "stat"), []byte(stat), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{8}, zombies(proc)); diff != "" {
		t.Error(diff)
	}
}

func TestThePowerButtonIsHeardAmongOtherKeys(t *testing.T) {
	var events bytes.Buffer
	for _, e := range [][3]uint32{{0, 0, 0}, {1, 30, 1}, {1, 116, 0}, {2, 116, 1}, {1, 116, 1}} {
		b := make([]byte, 24)
		binary.NativeEndian.PutUint16(b[16:], uint16(e[0]))
		binary.NativeEndian.PutUint16(b[18:], uint16(e[1]))
		binary.NativeEndian.PutUint32(b[20:], e[2])
		events.Write(b)
	}
	events.WriteString("cut")
	pressed := 0
	watchButton(&events, func() { pressed++ })
	if pressed != 1 {
		t.Errorf("it was pressed %d times", pressed)
	}
}

func TestTheProgramsHeapIsBoundedByTheMachinesMemory(t *testing.T) {
	for machine, want := range map[uint64]uint64{0: 24 << 20, 89 << 20: 24 << 20, 216 << 20: 54 << 20, 8 << 30: 96 << 20} {
		if got := memoryLimit(machine); got != want {
			t.Errorf("of %d MiB: %d MiB", machine>>20, got>>20)
		}
	}
	if got := machineMemory(); got < 64<<20 {
		t.Errorf("this machine has %d bytes", got)
	}
}
