package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAFileIsOpenedOnce(t *testing.T) {
	db := openTest(t)
	start := time.Now()
	second, err := Open(db.Path())
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v, %v; want ErrInUse", second, err)
	}
	if took := time.Since(start); took > lockWait+300*time.Millisecond {
		t.Errorf("took %v to say so", took)
	}
	if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, db.Path()) || !strings.Contains(text, "--state") {
		t.Errorf("want one sentence with the file and what to do, got %q", text)
	}
	update(t, db, func(tx *Tx) error { return NewBucket[int]("x").Put(tx, []byte("k"), 1) })
}

func TestOpenWaitsForOneThatIsClosing(t *testing.T) {
	db, err := Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	time.AfterFunc(lockWait/4, func() { closed <- db.Close() })
	second, err := Open(db.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-closed, second.Close()); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheOwnerReadsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	for _, before := range []os.FileMode{0, 0o666, 0o640, 0o400 | 0o200} {
		if before != 0 {
			if err := os.Chmod(path, before); err != nil {
				t.Fatal(err)
			}
		}
		db, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != fileMode {
			t.Errorf("mode %v after opening one of mode %v", got, before)
		}
	}
}

func TestANewerSchemaIsRefusedAndLeftAlone(t *testing.T) {
	db := openTest(t)
	update(t, db, func(tx *Tx) error { return NewBucket[uint64]("store").Put(tx, []byte("schema"), Schema+1) })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, db.Path(), ErrSchema)
}

// refused opens the file, wants the error, and the file as it was.
func refused(t *testing.T, path string, want error) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds no lock left by the first
		db, err := Open(path)
		if err == nil {
			err = db.Close()
			t.Fatalf("opened (%v), want %v", err, want)
		}
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		if !strings.Contains(err.Error(), path) {
			t.Errorf("%q doesn't name the file", err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed (%v)", err)
	}
}

func TestAFileThatIsNoneOfOursIsRefused(t *testing.T) {
	whole := openTest(t)
	update(t, whole, func(tx *Tx) error {
		return NewBucket[[]byte]("x").Put(tx, []byte("k"), bytes.Repeat([]byte("v"), 40000))
	})
	var copied bytes.Buffer
	if err := whole.Backup(&copied); err != nil {
		t.Fatal(err)
	}
	foreign := openTest(t)
	update(t, foreign, NewBucket[int]("store").Clear)
	update(t, foreign, func(tx *Tx) error { return NewBucket[int]("theirs").Put(tx, []byte("k"), 1) })
	var theirs bytes.Buffer
	if err := foreign.Backup(&theirs); err != nil {
		t.Fatal(err)
	}
	scribbled := bytes.Clone(copied.Bytes())
	for i := range scribbled[:8192] {
		scribbled[i] ^= 0x55
	}
	for name, content := range map[string][]byte{
		"a text":             []byte("hello\n"),
		"zeros":              make([]byte, 65536),
		"cut to one page":    copied.Bytes()[:4096],
		"cut to three pages": copied.Bytes()[:3*4096],
		"cut at the end":     copied.Bytes()[:copied.Len()-4096],
		"scribbled over":     scribbled,
		"another program's":  theirs.Bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, path, ErrDamaged)
		})
	}
}

func TestOpenNeedsARegularFileInADirectory(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing", "state.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("opened a directory")
	}
}

func TestABackupIsTheStateOfItsMoment(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	update(t, db, func(tx *Tx) error { return b.Put(tx, []byte("k"), 1) })
	var copied bytes.Buffer
	if err := db.Backup(&copied); err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *Tx) error { return b.Put(tx, []byte("k"), 2) })
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, copied.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	restored, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	if got := all(t, restored, b, ""); got["k"] != 1 {
		t.Errorf("restored %v", got)
	}
	if err := db.Backup(failingWriter{}); !errors.Is(err, errFull) {
		t.Errorf("a backup to a full disk: %v", err)
	}
}

var errFull = errors.New("disk full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

func TestAnUpdateThatFailsLeavesNothing(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	mine := errors.New("mine")
	err := db.Update(func(tx *Tx) error { return errors.Join(b.Put(tx, []byte("k"), 1), mine) })
	if !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = db.Update(func(tx *Tx) error {
			_ = b.Put(tx, []byte("k"), 1)
			panic("mine")
		})
	}()
	if got := all(t, db, b, ""); len(got) != 0 {
		t.Errorf("left %v", got)
	}
}

func TestATransactionWithoutWritesCostsNoCommit(t *testing.T) {
	db := openTest(t)
	b := NewBucket[int]("x")
	before := db.Stats().Commits
	update(t, db, func(tx *Tx) error { return b.Delete(tx, []byte("nobody")) })
	if err := db.Batch(func(tx *Tx) error { _, _, err := b.Get(tx, []byte("k")); return err }); err != nil {
		t.Fatal(err)
	}
	if got := db.Stats().Commits - before; got != 0 {
		t.Errorf("%d commits", got)
	}
	update(t, db, func(tx *Tx) error { return b.Put(tx, []byte("k"), 1) })
	if got := db.Stats().Commits - before; got != 1 {
		t.Errorf("%d commits after one write", got)
	}
}

func TestAClosedFileSaysSo(t *testing.T) {
	db, err := Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	nothing := func(*Tx) error { return nil }
	for what, err := range map[string]error{
		"View": db.View(nothing), "Update": db.Update(nothing), "Batch": db.Batch(nothing), "Backup": db.Backup(&bytes.Buffer{}),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", what, err)
		}
	}
}
