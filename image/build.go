package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"landbridge/image/bundle"
	"landbridge/image/updating"
)

// Options says what an image is built of.
type Options struct {
	Program string    // Landbridge built for the image (with the tag image), a file
	Init    string    // the first process of the initramfs (cmd/initramfs), a file
	Version string    // its version, for what a person reads
	Time    time.Time // of the commit: what every time stamp says
	Cache   string    // directory of packages, which is kept
	Out     string    // directory of what is made
	// UpdateKey is the file of the key that signs updates (Ed25519, PKCS #8 in PEM), made where there
	// is none; empty: the development key.
	UpdateKey string
	Changes   string    // for who updates, or nothing
	Progress  io.Writer // a line for each step
}

// Names of what Build makes in the directory Out.
const (
	DiskName     = "landbridge.raw"       // as dd writes it to a disk
	QCOW2Name    = "landbridge.qcow2"     // for QEMU, Proxmox, OpenStack; compressed
	OVAName      = "landbridge.ova"       // for VMware: a description, and the disk as VMDK
	UpdateName   = "landbridge.update"    // for appliances that run already: slot A, signed
	SBOMName     = "landbridge.spdx.json" // what is in it
	LicencesName = "LICENCES.txt"         // under which licences, and where its sources are
)

// Build makes all of these. The same options make the same bytes.
func Build(ctx context.Context, o Options) (err error) {
	for _, d := range []*string{&o.Cache, &o.Out, &o.Program, &o.Init} {
		if *d, err = filepath.Abs(*d); err != nil { // the tools work in directories of their own
			return err
		}
	}
	for _, d := range []string{o.Cache, o.Out} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(o.Out, "build")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	key, err := o.signer()
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "packages")
	for _, p := range packages() {
		o.step("%s %s", p.Name, p.Version)
		deb, err := p.fetch(ctx, o.Cache)
		if err != nil {
			return fmt.Errorf("package %s: %w", p.Name, err)
		}
		if err := run(ctx, dir, nil, "dpkg-deb", "-x", deb, root); err != nil {
			return err
		}
	}
	o.step("empty state partition")
	state, err := stateFileSystem(ctx, dir, o.Time)
	if err != nil {
		return err
	}
	o.step("slot: kernel, initramfs, Landbridge")
	files, err := o.slotFiles(ctx, root, state, bundle.KeyOf(key))
	if err != nil {
		return err
	}
	unpacked := filepath.Join(dir, "slot")
	if err := files.write(unpacked); err != nil {
		return err
	}
	squash, err := slot(ctx, dir, unpacked, o.Time)
	if err != nil {
		return err
	}
	o.step("disk: boot loaders, slot A, state")
	if err := o.disk(ctx, root, dir, squash, state); err != nil {
		return err
	}
	if err := o.update(squash, key); err != nil {
		return err
	}
	if err := o.export(ctx, dir); err != nil {
		return err
	}
	o.step("SBOM and licences")
	return o.account(ctx, root)
}

func (o Options) step(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, "  "+format+"\n", args...)
	}
}

// slotFiles returns what is in a slot: the kernel and the initramfs that GRUB starts, and the root file system.
func (o Options) slotFiles(ctx context.Context, root, state string, updates bundle.Key) (tree, error) {
	m, err := readModules(ctx, root)
	if err != nil {
		return nil, err
	}
	t := tree{}
	t.dir(".", "dev", "proc", "sys", "run", "tmp", "var", "boot", "state")
	for name, file := range map[string]string{
		"vmlinuz": filepath.Join(root, "boot", "vmlinuz-"+kernelRelease), "bin/landbridge": o.Program, "bin/e2fsck": filepath.Join(root, "sbin/e2fsck.static"),
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		t.add(name, 0o755, data)
	}
	initrd, err := o.initramfs(ctx, m, filepath.Dir(state))
	if err != nil {
		return nil, err
	}
	empty, err := os.ReadFile(state)
	if err != nil {
		return nil, err
	}
	t.add("initrd", 0o644, initrd)
	t.add("lib/state.img", 0o644, empty)
	t.add("init", os.ModeSymlink|0o777, []byte("/bin/landbridge"))
	t.add("sbin/modprobe", os.ModeSymlink|0o777, []byte("/bin/landbridge"))
	t.add("etc/resolv.conf", os.ModeSymlink|0o777, []byte("/run/resolv.conf"))
	t.add("etc/landbridge-release", 0o644, []byte(o.Version+"\n"))
	t.add(strings.TrimPrefix(updating.KeysFile, "/"), 0o644, bundle.FormatKeys(updates))
	return t, m.add(ctx, t, filepath.Dir(state), wanted())
}

// initramfs makes what the kernel starts: a process that mounts the slot, and the drivers for that.
func (o Options) initramfs(ctx context.Context, m *modules, dir string) ([]byte, error) {
	t := tree{}
	t.dir("dev", "proc", "sys", "slot")
	data, err := os.ReadFile(o.Init)
	if err != nil {
		return nil, err
	}
	t.add("init", 0o755, data)
	if err := m.add(ctx, t, dir, wantedFirst()); err != nil {
		return nil, err
	}
	archive, err := t.archive(o.Time)
	if err != nil {
		return nil, err
	}
	// The kernel, which has as much memory as the machine, takes a dictionary whole; it knows this check alone.
	return filter(ctx, bytes.NewReader(archive), "xz", "-q", "-T1", "--lzma2=preset=9e,dict=1MiB", "--check=crc32", "-c")
}

// add adds modules, with what they need, and the tables of these; dir is for what is unpacked.
func (m *modules) add(ctx context.Context, t tree, dir string, names []string) error {
	files, err := m.closure(names)
	if err != nil {
		return err
	}
	for _, f := range files {
		data, err := module(ctx, filepath.Join(m.dir, f), dir)
		if err != nil {
			return err
		}
		t.add("lib/modules/"+moduleName(f)+".ko", 0o644, data)
	}
	dep, alias, err := m.tables(files)
	if err != nil {
		return err
	}
	t.add("lib/modules/modules.dep", 0o644, dep)
	t.add("lib/modules/modules.alias", 0o644, alias)
	return nil
}

// module returns a module as the kernel takes it: Debian's are packed by xz, and have types for BPF
// programs (BTF), of which there are none here, and symbols that nothing refers to. Without these the signature
// doesn't fit, and goes, too: this kernel asks for none.
func module(ctx context.Context, file, dir string) (data []byte, err error) {
	plain := filepath.Join(dir, "module.ko")
	if filepath.Ext(file) == ".xz" {
		data, err = filter(ctx, nil, "xz", "-dc", file)
	} else {
		data, err = os.ReadFile(file)
	}
	if err == nil {
		err = os.WriteFile(plain, data, 0o600)
	}
	if err == nil {
		err = run(ctx, dir, nil, "objcopy", "--remove-section=.BTF", "--strip-unneeded", plain)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(plain)
}

// filter returns what a program makes of its input.
func filter(ctx context.Context, in io.Reader, program string, args ...string) ([]byte, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %.500s", program, err, &said)
	}
	return out.Bytes(), nil
}

// disk makes the disk from a slot and the empty state.
func (o Options) disk(ctx context.Context, root, dir, squash, state string) error {
	bios, uefi, err := grub(ctx, root, dir)
	if err != nil {
		return err
	}
	system, err := esp(ctx, dir, uefi, o.Time)
	if err != nil {
		return err
	}
	parts := map[int]string{espStart: system, slotAStart: squash, stateStart: state}
	return assemble(ctx, root, dir, filepath.Join(o.Out, DiskName), parts, bios)
}
