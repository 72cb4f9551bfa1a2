package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

//go:embed landbridge.ovf
var ovfTemplate string

// export makes of the disk what hypervisors take.
func (o Options) export(ctx context.Context, dir string) error {
	raw := filepath.Join(o.Out, DiskName)
	o.step("qcow2")
	if err := run(ctx, dir, nil, "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=16k", raw, filepath.Join(o.Out, QCOW2Name)); err != nil {
		return err
	}
	o.step("OVA")
	vmdk := filepath.Join(dir, "landbridge.vmdk")
	if err := run(ctx, dir, nil, "qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, vmdk); err != nil {
		return err
	}
	if err := steadyVMDK(vmdk); err != nil {
		return err
	}
	disk, err := os.ReadFile(vmdk)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(o.Out, OVAName))
	if err != nil {
		return err
	}
	if err := writeOVA(f, disk, o.Version, o.Time); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// steadyVMDK gives a VMDK the same content identifier each time, where qemu-img chose one by
// chance. The descriptor is text in the first 64 KiB (VMware Virtual Disk Format 1.1).
func steadyVMDK(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	start := bytes.Index(head, []byte("# Disk DescriptorFile\n"))
	length := bytes.IndexByte(head[max(start, 0):], 0) // zeros fill the rest of its sectors
	id := regexp.MustCompile(`\nCID=[0-9a-f]{1,8}\n`)  // qemu-img writes no leading zeros
	if start < 0 || length < 0 || !id.Match(head[start:start+length]) {
		return errors.New("qemu-img made a VMDK without a descriptor, which was not expected: is it of another version?")
	}
	if _, err := f.WriteAt(id.ReplaceAll(head[start:start+length], []byte("\nCID=6c616e64\n")), int64(start)); err != nil {
		return err
	}
	return f.Close()
}

// writeOVA writes an OVA (DMTF DSP0243, 5.2): a tar archive of a description, the hashes, and the
// disk, in this order.
func writeOVA(w io.Writer, disk []byte, version string, at time.Time) error {
	const name = "landbridge"
	ovf := strings.NewReplacer("@VERSION@", escapeXML(version), "@SIZE@", fmt.Sprint(len(disk)), "@CAPACITY@", fmt.Sprint(diskMiB*mib)).Replace(ovfTemplate)
	hashes := fmt.Sprintf("SHA256(%s.ovf)= %x\nSHA256(%s.vmdk)= %x\n", name, sha256.Sum256([]byte(ovf)), name, sha256.Sum256(disk))
	t := tar.NewWriter(w)
	for _, file := range []struct {
		ext  string
		data []byte
	}{{".ovf", []byte(ovf)}, {".mf", []byte(hashes)}, {".vmdk", disk}} {
		h := &tar.Header{Name: name + file.ext, Mode: 0o644, Size: int64(len(file.data)), ModTime: at, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(t, bytes.NewReader(file.data)); err != nil {
			return err
		}
	}
	return t.Close()
}

// escapeXML makes a text that can stand in XML.
func escapeXML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
