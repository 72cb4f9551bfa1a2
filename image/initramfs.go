package image

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/cavaliergopher/cpio"
)

// tree is the files of an initramfs or a slot by their paths, which have no leading slash. The directories
// that a file is in needn't be added.
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

// whole returns the tree with all directories, and its names: directories come before what is in them.
func (t tree) whole() (whole tree, names []string) {
	whole = tree{}
	for name, e := range t {
		whole[name] = e
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if _, there := t[d]; !there {
				whole.dir(d)
			}
		}
	}
	for name := range whole {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	return whole, names
}

// write writes the tree to a directory, over what is there, with its modes whatever the umask.
func (t tree) write(dir string) error {
	whole, names := t.whole()
	for _, name := range names {
		e, file := whole[name], filepath.Join(dir, name)
		var err error
		switch {
		case e.mode.IsDir():
			err = os.MkdirAll(file, 0o755)
		case e.mode&fs.ModeSymlink != 0:
			err = errors.Join(os.RemoveAll(file), os.Symlink(string(e.data), file))
		default:
			err = errors.Join(os.RemoveAll(file), os.WriteFile(file, e.data, 0o600))
		}
		if err == nil && e.mode&fs.ModeSymlink == 0 {
			err = os.Chmod(file, e.mode.Perm())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// archive returns the tree as the kernel takes it: a cpio archive (newc).
func (t tree) archive(at time.Time) ([]byte, error) {
	whole, names := t.whole()
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
