package image

import (
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"landbridge/image/slots"
)

// Sizes of the partitions in MiB; see the package's comment.
const (
	espMiB   = 16
	slotMiB  = 64
	stateMiB = 80

	biosStart  = 1
	espStart   = biosStart + 1
	slotAStart = espStart + espMiB
	slotBStart = slotAStart + slotMiB
	stateStart = slotBStart + slotMiB
	diskMiB    = stateStart + stateMiB + 1 // the last for the second partition table

	mib        = 1 << 20
	sectorSize = 512
)

// Identifiers are fixed, so that two builds are the same. A disk is found by the labels.
const (
	diskID   = "6C616E64-6272-4964-8765-000000000000"
	espID    = "6c62e5b0"
	stateFS  = "6c616e64-6272-4964-8765-000000000021"
	hashSeed = "6c616e64-6272-4964-8765-000000000022"
)

//go:embed grub/early.cfg
var grubEarly []byte

//go:embed grub/grub.cfg
var grubConfig []byte

// grub makes GRUB's core images for BIOS and UEFI from the modules below root, a directory with
// the contents of GRUB's packages.
func grub(ctx context.Context, root, dir string) (bios, uefi string, err error) {
	early := filepath.Join(dir, "early.cfg")
	if err := os.WriteFile(early, grubEarly, 0o600); err != nil {
		return "", "", err
	}
	both := strings.Fields("part_gpt fat squash4 search search_label configfile normal linux loadenv regexp test serial terminal")
	bios, uefi = filepath.Join(dir, "core.img"), filepath.Join(dir, "BOOTX64.EFI")
	for _, target := range []struct {
		format, file string
		more         []string
	}{
		{"i386-pc", bios, []string{"biosdisk"}},
		{"x86_64-efi", uefi, []string{"efi_gop", "all_video"}},
	} {
		args := []string{"-O", target.format, "-d", filepath.Join(root, "usr/lib/grub", target.format), "-p", "/grub", "-c", early, "-o", target.file}
		if err := run(ctx, dir, nil, "grub-mkimage", append(append(args, both...), target.more...)...); err != nil {
			return "", "", err
		}
	}
	return bios, uefi, nil
}

// environment returns GRUB's environment block of a new disk.
func environment() []byte {
	return slots.Environment{Primary: "A"}.Block()
}

// esp makes the EFI system partition.
func esp(ctx context.Context, dir, uefi string, at time.Time) (string, error) {
	img := filepath.Join(dir, "esp.img")
	files := map[string][]byte{"grub.cfg": grubConfig, "grubenv": environment()}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return "", err
		}
	}
	for _, name := range []string{uefi, filepath.Join(dir, "grub.cfg"), filepath.Join(dir, "grubenv")} {
		if err := os.Chtimes(name, at, at); err != nil {
			return "", err
		}
	}
	if err := sized(img, espMiB); err != nil {
		return "", err
	}
	env := []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", at.Unix()), "MTOOLS_SKIP_CHECK=1"}
	for _, cmd := range [][]string{
		{"mkfs.vfat", "-F", "16", "-n", "LBESP", "-i", espID, "--invariant", img},
		{"mmd", "-i", img, "::/EFI", "::/EFI/BOOT", "::/grub"},
		{"mcopy", "-m", "-i", img, uefi, "::/EFI/BOOT/BOOTX64.EFI"},
		{"mcopy", "-m", "-i", img, "grub.cfg", "grubenv", "::/grub/"},
	} {
		if err := run(ctx, dir, env, cmd[0], cmd[1:]...); err != nil {
			return "", err
		}
	}
	return img, nil
}

// stateFileSystem makes the empty state partition.
func stateFileSystem(ctx context.Context, dir string, at time.Time) (string, error) {
	img := filepath.Join(dir, "state.img")
	if err := sized(img, stateMiB); err != nil {
		return "", err
	}
	env := []string{fmt.Sprintf("E2FSPROGS_FAKE_TIME=%d", at.Unix())}
	return img, run(ctx, dir, env, "mkfs.ext4", "-q", "-F", "-L", "lbstate", "-U", stateFS, "-m", "0",
		"-E", "hash_seed="+hashSeed+",lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0", img)
}

// slot makes the file system of a slot from the files in a directory.
func slot(ctx context.Context, dir, files string, at time.Time) (string, error) {
	img, epoch := filepath.Join(dir, "slot.squashfs"), fmt.Sprint(at.Unix())
	// GRUB, which reads the kernel from it, knows neither zstd nor lz4; by gzip it is 4 MB larger, by smaller blocks 0.3. By blocks of 1 MiB it is
	// 0.2 smaller, but a machine of 128 MB with three browsers showed no page in a minute: what was dropped is unpacked by whole blocks.
	err := run(ctx, dir, nil, "mksquashfs", files, img, "-quiet", "-no-progress", "-noappend", "-processors", "1", "-all-root", "-no-xattrs",
		"-comp", "xz", "-Xbcj", "x86", "-b", "512K", "-mkfs-time", epoch, "-all-time", epoch)
	if err != nil {
		return "", err
	}
	st, err := os.Stat(img)
	if err == nil && st.Size() > slotMiB*mib {
		err = fmt.Errorf("a slot's files take %d MiB, and it has %d", st.Size()/mib+1, slotMiB)
	}
	return img, err
}

// sized makes an empty file of so many MiB.
func sized(name string, mebibytes int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := f.Truncate(mebibytes * mib); err != nil {
		return err
	}
	return f.Close()
}

// table is the disk's partition table as sfdisk takes it.
func table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "label: gpt\nlabel-id: %s\n", diskID)
	for i, p := range []struct {
		start, size int
		kind, name  string
	}{
		{biosStart, 1, "21686148-6449-6E6F-744E-656564454649", "biosboot"},
		{espStart, espMiB, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "lb-esp"},
		{slotAStart, slotMiB, "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "lb-slot-a"},
		{slotBStart, slotMiB, "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "lb-slot-b"},
		{stateStart, stateMiB, "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "lb-state"},
	} {
		fmt.Fprintf(&b, "start=%dMiB, size=%dMiB, type=%s, name=%s, uuid=6C616E64-6272-4964-8765-0000000000%02d\n", p.start, p.size, p.kind, p.name, 11+i)
	}
	return b.String()
}

// assemble puts the parts on a disk.
func assemble(ctx context.Context, root, dir, disk string, parts map[int]string, core string) error {
	if err := sized(disk, diskMiB); err != nil {
		return err
	}
	script := filepath.Join(dir, "table")
	if err := os.WriteFile(script, []byte(table()), 0o600); err != nil {
		return err
	}
	if err := run(ctx, dir, nil, "sh", "-c", `sfdisk -q --no-reread --no-tell-kernel "$1" < "$2"`, "sh", disk, script); err != nil {
		return err
	}
	for start, part := range parts {
		if err := run(ctx, dir, nil, "dd", "if="+part, "of="+disk, "bs=1M", fmt.Sprintf("seek=%d", start), "conv=notrunc,sparse", "status=none"); err != nil {
			return err
		}
	}
	return startByBIOS(disk, filepath.Join(root, "usr/lib/grub/i386-pc/boot.img"), core)
}

// startByBIOS writes GRUB's first sector into the MBR's code area and its core into the biosboot
// partition, as grub-install does (util/setup.c): each with the sector of what follows.
func startByBIOS(disk, bootFile, coreFile string) error {
	boot, err := os.ReadFile(bootFile)
	if err != nil {
		return err
	}
	core, err := os.ReadFile(coreFile)
	if err != nil {
		return err
	}
	const (
		codeArea   = 440  // bytes of the MBR before the disk's signature
		nextSector = 0x5c // in boot.img: where the core begins
		driveCheck = 0x66 // in boot.img: a jump that a hard disk doesn't need
		coreNext   = 0x1f4
		coreLength = 0x1fc // in sectors, without the first
		sector     = biosStart * mib / sectorSize
	)
	if len(boot) != sectorSize || len(core) < sectorSize || len(core) > mib {
		return fmt.Errorf("GRUB's boot image has %d bytes and its core %d: not what was expected", len(boot), len(core))
	}
	if n := int(binary.LittleEndian.Uint16(core[coreLength:])) * sectorSize; n < len(core)-2*sectorSize+1 {
		return fmt.Errorf("GRUB's core says that it has %d bytes of %d", n, len(core))
	}
	binary.LittleEndian.PutUint64(boot[nextSector:], sector)
	copy(boot[driveCheck:], []byte{0x90, 0x90})
	binary.LittleEndian.PutUint64(core[coreNext:], sector+1)
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(boot[:codeArea], 0); err != nil {
		return err
	}
	if _, err := f.WriteAt(core, sector*sectorSize); err != nil {
		return err
	}
	return f.Close()
}
