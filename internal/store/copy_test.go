package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// filled makes a state file with buckets in buckets, many keys, and a value of many pages.
func filled(t testing.TB, keys int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "filled.db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *Tx) error {
		for i := range keys {
			for _, b := range []Bucket[string]{NewBucket[string]("flat"), NewBucket[string]("a", "deep", fmt.Sprint(i%7), "bucket")} {
				if err := b.Put(tx, fmt.Appendf(nil, "key %06d", i), fmt.Sprint("value ", i)); err != nil {
					return err
				}
			}
		}
		return NewBucket[[]byte]("large").Put(tx, []byte("k"), make([]byte, 20_000))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// contents returns what is in a state file, as text.
func contents(t testing.TB, path string) string {
	t.Helper()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b bytes.Buffer
	err = db.View(func(tx *Tx) error {
		var failed error
		for key, v := range NewBucket[string]("flat").Scan(tx, nil, &failed) {
			fmt.Fprintf(&b, "%s=%s\n", key, v)
		}
		for i := range 7 {
			for key, v := range NewBucket[string]("a", "deep", fmt.Sprint(i), "bucket").Scan(tx, nil, &failed) {
				fmt.Fprintf(&b, "%d %s=%s\n", i, key, v)
			}
		}
		large, _, err := NewBucket[[]byte]("large").Get(tx, []byte("k"))
		fmt.Fprintln(&b, len(large))
		return errors.Join(failed, err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAFileIsImportedWhole(t *testing.T) {
	for _, keys := range []int{0, 3, 5000} {
		from, to := filled(t, keys), filepath.Join(t.TempDir(), "to.db")
		if err := Import(from, to); err != nil {
			t.Fatal(err)
		}
		if contents(t, to) != contents(t, from) {
			t.Errorf("with %d keys: the copy has other contents", keys)
		}
	}
}

func TestADamagedFileIsRefusedAndNothingIsLeft(t *testing.T) {
	whole, err := os.ReadFile(filled(t, 3000))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	refused := func(name string, content []byte) {
		t.Helper()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to.db")
		if err := os.WriteFile(from, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Import(from, to); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
		if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something is left: %v", name, err)
		}
	}
	refused("nothing", nil)
	refused("text", bytes.Repeat([]byte("no state file\n"), 1000))
	refused("the first half", whole[:len(whole)/2])
	refused("one page", whole[:4096])

	m, err := readMeta(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	o, root := binary.NativeEndian, int(m.root)*int(m.pageSize)
	for name, harm := range map[string]func([]byte){
		"another kind":  func(b []byte) { b[root+8] = 0x10 },
		"many elements": func(b []byte) { o.PutUint16(b[root+10:], 0xffff) },
		"a long run":    func(b []byte) { o.PutUint32(b[root+12:], 1<<30) },
		"a key beyond":  func(b []byte) { o.PutUint32(b[root+pageHeader+4:], 1<<31) },
		"itself below":  func(b []byte) { at := bucketValue(b[root:]); o.PutUint64(b[root+at:], m.root) },
		"a page beyond": func(b []byte) { at := bucketValue(b[root:]); o.PutUint64(b[root+at:], 1<<50) },
		"keys out of order": func(b []byte) {
			at := root + pageHeader + int(o.Uint32(b[root+pageHeader+4:]))
			b[at] = 0xff
		},
	} {
		b := bytes.Clone(whole)
		harm(b)
		refused(name, b)
	}
}

// The page that is followed is the one that was checked: bbolt takes the later meta page, whatever size of
// pages stands in it.
func TestAFileWhoseMetaPagesDisagreeIsRefused(t *testing.T) {
	whole, err := os.ReadFile(filled(t, 30))
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMeta(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	o := binary.NativeEndian
	size := int(m.pageSize)
	latest := whole[int(m.transaction%2)*size+pageHeader:][:metaSize]
	for name, later := range map[string]struct {
		page, pageSize uint32
		transactions   uint64
		want           error
	}{
		"the second, of larger pages":         {1, 2 * m.pageSize, 2, ErrDamaged},
		"the second, of no size":              {1, 0, 2, ErrDamaged},
		"the second, older, of smaller pages": {1, m.pageSize / 2, 0, ErrDamaged},
		"the first, of a size of no page":     {0, m.pageSize + 1, 2, ErrDamaged},
		"the second, as bbolt has it":         {1, m.pageSize, 2, nil},
	} {
		b := bytes.Clone(whole)
		for page := range uint32(2) {
			meta := b[int(page)*size+pageHeader:][:metaSize]
			copy(meta, latest)
			if page == later.page {
				o.PutUint32(meta[8:], later.pageSize)
				o.PutUint64(meta[48:], m.transaction+later.transactions)
			}
			sum := fnv.New64a()
			_, _ = sum.Write(meta[:metaSize-8])
			o.PutUint64(meta[56:], sum.Sum64())
		}
		if err := checkIntact(bytes.NewReader(b), int64(len(b))); !errors.Is(err, later.want) {
			t.Errorf("%s: %v, want %v", name, err, later.want)
		}
	}
}

// bucketValue returns where on a page the first bucket with a page of its own says which that is.
func bucketValue(page []byte) int {
	o := binary.NativeEndian
	for i := range int(o.Uint16(page[10:])) {
		at := pageHeader + i*element
		value := at + int(o.Uint32(page[at+4:])+o.Uint32(page[at+8:]))
		if o.Uint64(page[value:]) != 0 {
			return value
		}
	}
	panic("no bucket has pages of its own: the test is of no use")
}

// Whatever bytes are changed, importing ends: with an error, or with a file that can be read.
func TestNoByteOfAFileBreaksTheImport(t *testing.T) {
	whole, err := os.ReadFile(filled(t, 300))
	if err != nil {
		t.Fatal(err)
	}
	r, dir := rand.New(rand.NewPCG(1, 2)), t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to.db")
	taken := 0
	for range 300 {
		b := bytes.Clone(whole)
		for range 1 + r.IntN(4) {
			b[8192+r.IntN(len(b)-8192)] = byte(r.Uint32()) // behind the checksums
		}
		if err := os.WriteFile(from, b, 0o600); err != nil {
			t.Fatal(err)
		}
		err := Import(from, to)
		if err == nil {
			taken++
			continue
		}
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrSchema) {
			t.Errorf("%v", err)
		}
	}
	t.Logf("%d of 300 were taken: what was changed is in values, or free", taken)
}

func FuzzCheckIntact(f *testing.F) {
	for _, keys := range []int{0, 40} {
		b, err := os.ReadFile(filled(f, keys))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := checkIntact(bytes.NewReader(b), int64(len(b))); err != nil {
			return
		}
		dir := t.TempDir()
		from := filepath.Join(dir, "from")
		if err := os.WriteFile(from, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = Import(from, filepath.Join(dir, "to")) // it may not panic, nor last
	})
}

func TestACopyOfWhatWasBeforeThatCannotBeMadeLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path, from, former := filepath.Join(dir, "db"), filepath.Join(dir, "from"), filepath.Join(dir, "former")
	if err := errors.Join(os.Mkdir(path, 0o700), os.WriteFile(from, []byte("new"), 0o600)); err != nil { // it can't be read
		t.Fatal(err)
	}
	if err := replace(path, from, former, os.Link); err == nil {
		t.Fatal("replaced")
	}
	if _, err := os.Stat(former); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a copy takes room: %v", err)
	}
	if _, err := os.Stat(from); err != nil {
		t.Error(err)
	}
}

func TestReplacingLeavesOneOfBothAtAnyMoment(t *testing.T) {
	noLinks := func(path, further string) error {
		return &os.LinkError{Op: "link", Old: path, New: further, Err: syscall.EPERM} // as of vfat
	}
	for name, link := range map[string]func(string, string) error{"": os.Link, "where there are no links: ": noLinks} {
		dir := t.TempDir()
		path, from, former := filepath.Join(dir, "db"), filepath.Join(dir, "from"), filepath.Join(dir, "former")
		write := func(name, text string) {
			t.Helper()
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		is := func(file, want string) {
			t.Helper()
			if b, _ := os.ReadFile(file); string(b) != want {
				t.Errorf("%s%s has %q, want %q", name, file, b, want)
			}
		}
		write(from, "new")
		if err := replace(path, from, former, link); err != nil { // there is none yet
			t.Errorf("%s%v", name, err)
		}
		is(path, "new")
		write(from, "newer")
		write(former, "of a replacement that was killed before its end")
		if err := replace(path, from, former, link); err != nil {
			t.Errorf("%s%v", name, err)
			continue
		}
		is(path, "newer")
		is(former, "new")
		if info, err := os.Stat(former); err != nil || info.Mode().Perm() != fileMode {
			t.Errorf("%swhat was before can be read by others: %v, %v", name, info.Mode(), err)
		}
	}
}
