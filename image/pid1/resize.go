package pid1

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resizeExt4 has the kernel grow a mounted ext4 to so many blocks (EXT4_IOC_RESIZE_FS,
// fs/ext4/ioctl.c).
func resizeExt4(dir *os.File, blocks *[8]byte) error {
	const resizeFS = 0x40086610 // _IOW('f', 16, __u64)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), resizeFS, uintptr(unsafe.Pointer(blocks)))
	if errno != 0 {
		return fmt.Errorf("grow the file system: %w", errno)
	}
	return nil
}

// growPartition has a disk's last partition end where the disk does, in its partition tables
// (UEFI specification, 5.3) and in the kernel. name is that of the partition, such as vda5.
func growPartition(name string) error {
	link, err := filepath.EvalSymlinks(filepath.Join("/sys/class/block", name))
	if err != nil {
		return err
	}
	disk := filepath.Base(filepath.Dir(link))
	var number, sectors uint64
	if err := readNumber(filepath.Join(link, "partition"), &number); err != nil {
		return err
	}
	if err := readNumber(filepath.Join("/sys/class/block", disk, "size"), &sectors); err != nil {
		return err
	}
	f, err := os.OpenFile("/dev/"+disk, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	start, length, err := growTable(f, int(number), sectors)
	if err != nil || length == 0 {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return tellKernel(f, int32(number), int64(start)*sectorSize, int64(length)*sectorSize)
}

const sectorSize = 512

// errTable is returned for a disk whose partition table isn't the image's.
var errTable = errors.New("not a GPT as this appliance's disk has it")

// device is what growTable works on.
type device interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
}

// growTable has partition number end 33 sectors before the end of a disk of so many sectors, and
// returns its start and length; length 0: there was nothing to do. The second table is written
// before the first: killed in between, the first is as it was.
func growTable(d device, number int, sectors uint64) (start, length uint64, err error) {
	header := make([]byte, sectorSize)
	if _, err := d.ReadAt(header, sectorSize); err != nil {
		return 0, 0, err
	}
	const entries, entrySize = 128, 128
	headerSize := binary.LittleEndian.Uint32(header[12:])
	if string(header[:8]) != "EFI PART" || headerSize != 92 || binary.LittleEndian.Uint32(header[80:]) != entries ||
		binary.LittleEndian.Uint32(header[84:]) != entrySize || number < 1 || number > entries || sectors < 2048 {
		return 0, 0, errTable
	}
	table := make([]byte, entries*entrySize)
	if _, err := d.ReadAt(table, 2*sectorSize); err != nil {
		return 0, 0, err
	}
	if crc32.ChecksumIEEE(table) != binary.LittleEndian.Uint32(header[88:]) {
		return 0, 0, errTable
	}
	entry := table[(number-1)*entrySize:]
	start = binary.LittleEndian.Uint64(entry[32:])
	end := binary.LittleEndian.Uint64(entry[40:])
	const tableSectors = entries * entrySize / sectorSize
	last := sectors - tableSectors - 2 // the last usable sector
	last -= (last + 1) % 2048          // whole mebibytes
	if start == 0 || start > end {
		return 0, 0, errTable
	}
	if end >= last {
		return start, 0, nil
	}
	binary.LittleEndian.PutUint64(entry[40:], last)
	write := func(own, other, tableAt uint64) error {
		h := append([]byte(nil), header...)
		binary.LittleEndian.PutUint64(h[24:], own)
		binary.LittleEndian.PutUint64(h[32:], other)
		binary.LittleEndian.PutUint64(h[48:], sectors-tableSectors-2)
		binary.LittleEndian.PutUint64(h[72:], tableAt)
		binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(table))
		binary.LittleEndian.PutUint32(h[16:], 0)
		binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:headerSize]))
		if _, err := d.WriteAt(table, int64(tableAt)*sectorSize); err != nil {
			return err
		}
		_, err := d.WriteAt(h, int64(own)*sectorSize)
		return err
	}
	if err := write(sectors-1, 1, sectors-1-tableSectors); err != nil {
		return 0, 0, err
	}
	if err := write(1, sectors-1, 2); err != nil {
		return 0, 0, err
	}
	return start, last - start + 1, nil
}

// tellKernel tells the kernel a partition's new length (BLKPG_RESIZE_PARTITION, linux/blkpg.h).
func tellKernel(disk *os.File, number int32, start, length int64) error {
	const blkpg, resize = 0x1269, 3
	p := struct {
		start, length int64
		number        int32
		names         [2][64]byte
	}{start: start, length: length, number: number}
	arg := struct {
		op, flags, size int32
		data            unsafe.Pointer
	}{op: resize, size: int32(unsafe.Sizeof(p)), data: unsafe.Pointer(&p)}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, disk.Fd(), blkpg, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 {
		return fmt.Errorf("tell the kernel of the partition's new length: %w", errno)
	}
	return nil
}

func readNumber(file string, into *uint64) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = fmt.Sscan(strings.TrimSpace(string(text)), into)
	return err
}
