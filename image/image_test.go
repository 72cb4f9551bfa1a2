package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func commitTime() time.Time { return time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC) }

func TestAnInitramfsHasDirectoriesBeforeWhatIsInThem(t *testing.T) {
	files := tree{}
	files.dir("dev")
	files.add("init", fs.ModeSymlink|0o777, []byte("/bin/landbridge"))
	files.add("lib/modules/tun.ko", 0o644, []byte("module"))
	files.add("bin/landbridge", 0o755, []byte("program"))
	archive, err := files.archive(commitTime())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(archive, []byte("070701")) {
		t.Errorf("it begins with %q, and the kernel wants newc", archive[:6])
	}
	var got []string
	r := cpio.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(commitTime()) || h.Uid != 0 || h.Guid != 0 {
			t.Errorf("%s is of %v and of user %d", h.Name, h.ModTime, h.Uid)
		}
		got = append(got, fmt.Sprintf("%o %s %s%s", h.Mode, h.Name, data, h.Linkname))
	}
	want := []string{
		"40755 bin ", "100755 bin/landbridge program", "40755 dev ", "120777 init /bin/landbridge",
		"40755 lib ", "40755 lib/modules ", "100644 lib/modules/tun.ko module",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheFilesOfASlotHaveTheirModesWhateverTheUmask(t *testing.T) {
	dir := t.TempDir()
	files := tree{}
	files.dir(".", "state")
	files.add("bin/landbridge", 0o755, []byte("program"))
	files.add("init", fs.ModeSymlink|0o777, []byte("/bin/landbridge"))
	defer unix.Umask(unix.Umask(0o077))
	for range 2 { // over what is there, too
		if err := files.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err == nil {
			got = append(got, fmt.Sprintf("%v %s", st.Mode(), strings.TrimPrefix(name, dir)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"drwxr-xr-x ", "drwxr-xr-x /bin", "-rwxr-xr-x /bin/landbridge", "Lrwxrwxrwx /init", "drwxr-xr-x /state"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnInitramfsIsTheSameEachTime(t *testing.T) {
	var first []byte
	for range 20 {
		files := tree{}
		for i := range 50 {
			files.add(fmt.Sprintf("d%d/f%d", i%7, i), 0o644, []byte{byte(i)})
		}
		archive, err := files.archive(commitTime())
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = archive
		}
		if !bytes.Equal(first, archive) {
			t.Fatal("two archives of the same files differ")
		}
	}
}

// someModules is what depmod says, made up.
func someModules(t *testing.T) *modules {
	dir := t.TempDir()
	alias := "# Aliases\nalias pci:v00001AF4d* virtio_pci\nalias pci:v*usb* other\nalias virtio:d00000001v* virtio_net\n"
	if err := os.WriteFile(filepath.Join(dir, "modules.alias"), []byte(alias), 0o600); err != nil {
		t.Fatal(err)
	}
	return &modules{
		dir: dir,
		deps: map[string][]string{
			"k/virtio-net.ko.xz": {"k/net_failover.ko.xz", "k/failover.ko.xz"}, "k/net_failover.ko.xz": {"k/failover.ko.xz"},
			"k/failover.ko.xz": nil, "k/virtio_pci.ko.xz": nil,
		},
		named: map[string]string{
			"virtio_net": "k/virtio-net.ko.xz", "net_failover": "k/net_failover.ko.xz", "failover": "k/failover.ko.xz", "virtio_pci": "k/virtio_pci.ko.xz",
		},
		built: map[string]bool{"tcp_bbr": true},
	}
}

func TestAModuleComesWithWhatItNeeds(t *testing.T) {
	m := someModules(t)
	files, err := m.closure([]string{"virtio_net", "tcp_bbr", "virtio_pci"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"k/failover.ko.xz", "k/net_failover.ko.xz", "k/virtio-net.ko.xz", "k/virtio_pci.ko.xz"}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Error(diff)
	}
	dep, alias, err := m.tables(files)
	if err != nil {
		t.Fatal(err)
	}
	if want := "failover:\nnet_failover: failover\nvirtio_net: net_failover failover\nvirtio_pci:\n"; string(dep) != want {
		t.Errorf("modules.dep is\n%s", dep)
	}
	if want := "pci:v00001AF4d* virtio_pci\nvirtio:d00000001v* virtio_net\n"; string(alias) != want {
		t.Errorf("modules.alias has what isn't in the image:\n%s", alias)
	}
}

func TestAModuleIsWithoutTypesForBPF(t *testing.T) {
	if _, err := exec.LookPath("objcopy"); err != nil {
		t.Skip("it takes objcopy, as making the image does")
	}
	dir := t.TempDir()
	types, with := write(t, "types", strings.Repeat("types", 1000)), filepath.Join(dir, "with.ko")
	if err := run(t.Context(), dir, nil, "objcopy", "--add-section", ".BTF="+types, "/proc/self/exe", with); err != nil {
		t.Fatal(err)
	}
	got, err := module(t.Context(), with, dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	if f.Section(".BTF") != nil || f.Section(".text") == nil {
		t.Errorf("its sections are %+v", f.Sections)
	}
}

func TestAModuleThatTheKernelLacksIsNamed(t *testing.T) {
	if _, err := someModules(t).closure([]string{"vmxnet3"}); err == nil || !strings.Contains(err.Error(), "no module vmxnet3") {
		t.Errorf("got %v", err)
	}
}

func TestPartitionsFollowEachOther(t *testing.T) {
	next := biosStart
	for i, line := range slices.Collect(strings.Lines(table()))[2:] {
		var start, size int
		if _, err := fmt.Sscanf(line, "start=%dMiB, size=%dMiB,", &start, &size); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if start != next || size < 1 {
			t.Errorf("partition %d starts at %d MiB, and the one before ends at %d", i+1, start, next)
		}
		next = start + size
	}
	if next+1 != diskMiB {
		t.Errorf("the partitions end at %d MiB of %d", next, diskMiB)
	}
	if diskMiB > 256 {
		t.Errorf("the disk has %d MiB", diskMiB)
	}
}

// bootFiles makes what GRUB's files look like.
func bootFiles(t *testing.T, core []byte) (disk, boot, coreFile string) {
	dir := t.TempDir()
	disk, boot, coreFile = filepath.Join(dir, "disk"), filepath.Join(dir, "boot.img"), filepath.Join(dir, "core.img")
	mbr := bytes.Repeat([]byte{0xee}, sectorSize)
	for name, data := range map[string][]byte{disk: bytes.Repeat([]byte{0xff}, 2*mib), boot: mbr, coreFile: core} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return disk, boot, coreFile
}

func TestTheBIOSFindsGRUBAndThePartitionTableStays(t *testing.T) {
	core := bytes.Repeat([]byte{0xcc}, 5*sectorSize)
	binary.LittleEndian.PutUint16(core[0x1fc:], 4)
	disk, boot, coreFile := bootFiles(t, core)
	if err := startByBIOS(disk, boot, coreFile); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	if sector := binary.LittleEndian.Uint64(got[0x5c:]); sector != 2048 {
		t.Errorf("the MBR leads to sector %d", sector)
	}
	if !bytes.Equal(got[0x66:0x68], []byte{0x90, 0x90}) {
		t.Errorf("the check of the drive is % x", got[0x66:0x68])
	}
	if !bytes.Equal(got[440:mib], bytes.Repeat([]byte{0xff}, mib-440)) {
		t.Error("something behind the MBR's code was written to")
	}
	if sector := binary.LittleEndian.Uint64(got[mib+0x1f4:]); sector != 2049 {
		t.Errorf("the core goes on at sector %d", sector)
	}
	if got[mib] != 0xcc || got[mib+5*sectorSize-1] != 0xcc || got[mib+5*sectorSize] != 0xff {
		t.Error("the core isn't where the MBR leads to")
	}
}

func TestACoreThatIsCutShortIsRefused(t *testing.T) {
	core := make([]byte, 9*sectorSize)
	binary.LittleEndian.PutUint16(core[0x1fc:], 4) // and 8 follow
	if err := startByBIOS(bootFiles(t, core)); err == nil {
		t.Error("GRUB's core is longer than it says, and was taken")
	}
}

func TestAnOVADescribesItsDisk(t *testing.T) {
	disk := []byte("a disk")
	var b bytes.Buffer
	if err := writeOVA(&b, disk, "v1 <beta>", commitTime()); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	var order []string
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, h.Name)
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"landbridge.ovf", "landbridge.mf", "landbridge.vmdk"}, order); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"landbridge.ovf", "landbridge.vmdk"} {
		if line := fmt.Sprintf("SHA256(%s)= %x\n", name, sha256.Sum256(files[name])); !strings.Contains(string(files["landbridge.mf"]), line) {
			t.Errorf("the manifest has no %q", line)
		}
	}
	var ovf struct {
		File struct {
			Size int `xml:"size,attr"`
		} `xml:"References>File"`
		Disk struct {
			Capacity int `xml:"capacity,attr"`
		} `xml:"DiskSection>Disk"`
		Version string `xml:"VirtualSystem>ProductSection>Version"`
	}
	if err := xml.Unmarshal(files["landbridge.ovf"], &ovf); err != nil {
		t.Fatal(err)
	}
	if ovf.File.Size != len(disk) || ovf.Disk.Capacity != diskMiB<<20 || ovf.Version != "v1 <beta>" {
		t.Errorf("got %+v", ovf)
	}
}

func TestAVMDKHasTheSameIdentifierEachTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.vmdk")
	descriptor := func(id string) []byte {
		text := fmt.Sprintf("KDMV\x00\x00# Disk DescriptorFile\nversion=1\nCID=%s\nparentCID=ffffffff\n", id)
		return append([]byte(text), make([]byte, 1024-len(text))...)
	}
	for _, id := range []string{"01234567", "1234567", "0"} {
		if err := os.WriteFile(file, append(descriptor(id), "the disk"...), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := steadyVMDK(file); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := append(descriptor("6c616e64"), "the disk"...); !bytes.Equal(got, want) {
			t.Errorf("of %s: %q", id, got)
		}
	}
	if err := os.WriteFile(file, []byte("no descriptor"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := steadyVMDK(file); err == nil {
		t.Error("a file without a descriptor was taken")
	}
}

func TestAPackageThatIsAnotherIsRefused(t *testing.T) {
	deb := filepath.Join(t.TempDir(), "x.deb")
	if err := os.WriteFile(deb, []byte("package"), 0o600); err != nil {
		t.Fatal(err)
	}
	right := Package{Name: "x", Version: "1", SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("package")))}
	if err := right.verify(deb); err != nil {
		t.Error(err)
	}
	wrong := Package{Name: "x", Version: "1", SHA256: strings.Repeat("0", 64)}
	if err := wrong.verify(deb); err == nil || !strings.Contains(err.Error(), "isn't the package that was chosen") {
		t.Errorf("got %v", err)
	}
}

func TestTheSBOMNamesPackagesAndModules(t *testing.T) {
	o := Options{Version: "v1", Time: commitTime()}
	text, err := o.sbom([]goModule{{"golang.org/x/sys", "v0.1.0"}, {"stdlib", "1.26.0"}})
	if err != nil {
		t.Fatal(err)
	}
	var doc spdx
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	contained := 0
	for _, p := range doc.Packages {
		if seen[p.ID] {
			t.Errorf("two packages have the identifier %s", p.ID)
		}
		seen[p.ID] = true
		seen[p.Name] = true
	}
	for _, r := range doc.Relationships {
		if !seen[r.To] {
			t.Errorf("%s is related to nothing", r.To)
		}
		if r.Kind == "CONTAINS" {
			contained++
		}
	}
	if want := len(packages()) + 2; contained != want || !seen["golang.org/x/sys"] || !seen["grub-pc-bin"] {
		t.Errorf("%d of %d are in the image: %v", contained, want, seen)
	}
}

func TestLicencesComeWithTheImage(t *testing.T) {
	root, module := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(module, "LICENSE.md"), []byte("take it"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := licences(root, []goModule{{"example.com/a", "v1"}}, map[string]string{"example.com/a": module})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"take it", "GPL-2.0-only WITH Linux-syscall-note", "https://snapshot.debian.org/binary/grub-pc-bin/"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("it doesn't say %q", want)
		}
	}
	if _, err := licences(root, []goModule{{"example.com/a", "v1"}}, nil); err == nil {
		t.Error("a module whose licence isn't to be had was passed over")
	}
}
