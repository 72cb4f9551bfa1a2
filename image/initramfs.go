package image

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/cavaliergopher/cpio"
)

// tree is the files of an initramfs by their paths, which have no leading slash. What a file has
// in common with a directory of it needn't be added: directories are made.
type tree map[string]entry

type entry struct {
	data []byte
	mode fs.FileMode // fs.ModeSymlink: data is where it leads
}

func (t tree) add(name string, mode fs.FileMode, data []byte) {
	t[name] = entry{data: data, mode: mode}
}

func (t tree) dir(names ...string) {
	for _, n := range names {
		t[n] = entry{mode: fs.ModeDir | 0o755}
	}
}

// archive returns the tree as the kernel takes it: a cpio archive (newc).
func (t tree) archive(at time.Time) ([]byte, error) {
	whole := tree{}
	for name, e := range t {
		whole[name] = e
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if _, there := t[d]; !there {
				whole.dir(d)
			}
		}
	}
	names := make([]string, 0, len(whole))
	for name := range whole {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string]) // directories come before what is in them
	var raw bytes.Buffer
	w := cpio.NewWriter(&raw)
	for i, name := range names {
		e := whole[name]
		h := &cpio.Header{Name: name, Mode: cpioMode(e.mode), ModTime: at, Size: int64(len(e.data)), Inode: int64(i + 1), Links: 1}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("archive %s: %w", name, err)
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, fmt.Errorf("archive %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return raw.Bytes(), nil
}

func cpioMode(m fs.FileMode) cpio.FileMode {
	mode := cpio.FileMode(m.Perm())
	switch {
	case m.IsDir():
		return mode | cpio.TypeDir
	case m&fs.ModeSymlink != 0:
		return mode | cpio.TypeSymlink
	}
	return mode | cpio.TypeReg
}
