package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const killVariable = "LANDBRIDGE_TEST_STORE_CHILD"

// TestChildThatIsKilled is the process that TestAcknowledgedWritesSurviveKill kills:
// it writes as fast as it can and prints each write that was acknowledged.
func TestChildThatIsKilled(t *testing.T) {
	path := os.Getenv(killVariable)
	if path == "" {
		t.Skip("only runs as a child")
	}
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for writer := range 8 {
		wg.Go(func() { t.Error(writeForEver(db, byte(writer))) })
	}
	wg.Wait()
}

// writeForEver appends to its own run of numbers, each with its double in another
// bucket in the same transaction. Writer 0 uses Update.
func writeForEver(db *DB, writer byte) error {
	run := db.Batch
	if writer == 0 {
		run = db.Update
	}
	for {
		var next uint64
		err := run(func(tx *Tx) error {
			last, _, err := lastNumber().Get(tx, []byte{writer})
			if err != nil {
				return err
			}
			next = last + 1
			return errors.Join(
				numbers().Put(tx, numberKey(writer, next), next),
				doubles().Put(tx, numberKey(writer, next), 2*next),
				lastNumber().Put(tx, []byte{writer}, next))
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Printf("ack %d %d\n", writer, next); err != nil {
			return err
		}
	}
}

func numbers() Bucket[uint64]    { return NewBucket[uint64]("kill", "numbers") }
func doubles() Bucket[uint64]    { return NewBucket[uint64]("kill", "doubles") }
func lastNumber() Bucket[uint64] { return NewBucket[uint64]("kill", "last") }

func numberKey(writer byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{writer}, n)
}

func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	acked := make(map[byte]uint64) // each writer's last
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		n := runAndKill(t, path, 1+rand.IntN(300), acked)
		db, err := Open(path)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		checkKilled(t, db, acked)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("round %d, killed after %d acknowledged writes", round, n)
		}
	}
}

// runAndKill starts the child, kills it after so many acknowledgements, and notes
// all that it printed.
func runAndKill(t *testing.T, path string, after int, acked map[byte]uint64) int {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildThatIsKilled$")
	child.Env = append(os.Environ(), killVariable+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var writer byte
		var number uint64
		if got, err := fmt.Sscanf(lines.Text(), "ack %d %d", &writer, &number); got != 2 {
			t.Errorf("the child printed %q (%v)", lines.Text(), err)
			break
		}
		acked[writer] = max(acked[writer], number)
		if n++; n == after {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Log(err)
	}
	if err := child.Wait(); err == nil || n < after {
		t.Fatalf("the child ended by itself after %d writes (%v)", n, err)
	}
	return n
}

// checkKilled wants all that was acknowledged, and each transaction whole.
func checkKilled(t *testing.T, db *DB, acked map[byte]uint64) {
	t.Helper()
	view(t, db, func(tx *Tx) error {
		for writer, want := range acked {
			last, _, err := lastNumber().Get(tx, []byte{writer})
			if err != nil {
				return err
			}
			if last < want {
				t.Errorf("writer %d: %d was acknowledged, the file ends at %d", writer, want, last)
			}
			for n := uint64(1); n <= last; n++ {
				one, _, err1 := numbers().Get(tx, numberKey(writer, n))
				two, _, err2 := doubles().Get(tx, numberKey(writer, n))
				if err := errors.Join(err1, err2); err != nil {
					return err
				}
				if one != n || two != 2*n {
					t.Errorf("writer %d, number %d: found %d and %d", writer, n, one, two)
				}
			}
		}
		if a, b := numbers().Len(tx), doubles().Len(tx); a != b {
			t.Errorf("%d numbers and %d doubles", a, b)
		}
		for err := range tx.bolt.Check() {
			t.Errorf("the file's structure: %v", err)
		}
		return nil
	})
}
