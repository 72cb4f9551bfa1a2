package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Package is a Debian package that goes into the image.
type Package struct {
	Name    string
	Version string
	SHA256  string // of the .deb
	Licence string // SPDX expression
}

// kernelRelease is what the kernel calls itself (uname -r).
const kernelRelease = "6.12.117+deb12-cloud-amd64"

// packages lists what the image takes from Debian 12. A newer kernel is taken by changing this
// list; the cache keeps what the mirror has dropped.
func packages() []Package {
	return []Package{
		{
			Name: "linux-image-" + kernelRelease, Version: "6.12.117-1~deb12u1",
			SHA256: "5195b288dec79e2981d6b84457f38b7ce7310a2d702930ec7d07209c7f78ce37", Licence: "GPL-2.0-only WITH Linux-syscall-note",
		},
		{Name: "grub-pc-bin", Version: "2.06-13+deb12u2", SHA256: "db6aced5a89f02e10e150140b4df9621196f311c26203baf8558b4c6808e1298", Licence: "GPL-3.0-or-later"},
		{Name: "grub-efi-amd64-bin", Version: "2.06-13+deb12u2", SHA256: "c04786d9f64fbf7cd181013266a8af52b463599cc54189915d03f1459e743135", Licence: "GPL-3.0-or-later"},
		{Name: "e2fsck-static", Version: "1.47.0-2+b2", SHA256: "2a4944f323de78fcb8bc77151d9ec3282525e6e205a7bec30912eef91aa13a4c", Licence: "GPL-2.0-only"},
	}
}

// fetch returns the package's .deb in the cache, where apt puts it if it isn't there.
func (p Package) fetch(ctx context.Context, cache string) (deb string, err error) {
	deb = filepath.Join(cache, p.SHA256+".deb")
	if err := p.verify(deb); !errors.Is(err, fs.ErrNotExist) {
		return deb, err
	}
	dir, err := os.MkdirTemp(cache, "fetch")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := run(ctx, dir, nil, "apt-get", "download", "-q", p.Name+"="+p.Version); err != nil {
		return "", fmt.Errorf("%w: apt-get update may help; where the mirror has dropped this version, pin a newer one in image/packages.go", err)
	}
	got, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(got) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d packages", p.Name, len(got))
	}
	if err := p.verify(got[0]); err != nil {
		return "", err
	}
	return deb, os.Rename(got[0], deb)
}

func (p Package) verify(deb string) error {
	f, err := os.Open(deb)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != p.SHA256 {
		return fmt.Errorf("%s %s has the hash %s, and %s is pinned: it isn't the package that was chosen", p.Name, p.Version, got, p.SHA256)
	}
	return nil
}

// run runs a tool of the build in a directory, with these variables and nothing else that could
// make two builds differ.
func run(ctx context.Context, dir string, env []string, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TZ=UTC", "LC_ALL=C"}, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %.2000s", program, err, out)
	}
	return nil
}
