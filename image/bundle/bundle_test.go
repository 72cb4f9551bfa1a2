package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func manifest() Manifest {
	return Manifest{Version: "v1.2.3", Built: time.Unix(1_800_000_000, 0).UTC(), Arch: "amd64", Schemas: Schemas{1, 2}, Changes: "Names are quicker."}
}

const slotText = "hsqs: kernel and initramfs"

func written(t testing.TB, by ed25519.PrivateKey) []byte {
	t.Helper()
	var b bytes.Buffer
	err := Write(&b, by, manifest(), Content{"notes", strings.NewReader("for later")}, Content{SlotFile, strings.NewReader(slotText)})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read reads a bundle whole, and returns what goes into a slot.
func read(r io.Reader, keys ...Key) (Manifest, string, error) {
	b, err := Open(r, keys)
	if err != nil {
		return Manifest{}, "", err
	}
	var slot bytes.Buffer
	err = b.Copy(func(f File) io.Writer {
		if f.Name == SlotFile {
			return &slot
		}
		return nil
	})
	return b.Manifest(), slot.String(), err
}

func TestWhatWasWrittenIsReadByAnyOfTheKeys(t *testing.T) {
	whole := written(t, key(1))
	m, slot, err := read(iotest.HalfReader(bytes.NewReader(whole)), KeyOf(key(2)), KeyOf(key(1)))
	if err != nil || slot != slotText {
		t.Fatalf("slot %q, %v", slot, err)
	}
	if m.Version != "v1.2.3" || !m.Built.Equal(manifest().Built) || m.Slot().Size != int64(len(slotText)) || m.Size() != int64(len(slotText)+9) {
		t.Errorf("the manifest says %+v", m)
	}
	if !bytes.Equal(whole, written(t, key(1))) {
		t.Error("two bundles of the same are not the same")
	}
}

func TestABundleThatIsCutAnywhereIsRefused(t *testing.T) {
	whole := written(t, key(1))
	for n := range whole {
		_, _, err := read(bytes.NewReader(whole[:n]), KeyOf(key(1)))
		if !errors.Is(err, ErrCut) && !errors.Is(err, ErrNoBundle) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		if n >= headSize && !errors.Is(err, ErrCut) {
			t.Fatalf("cut after %d bytes: %v, want that it is cut", n, err)
		}
	}
}

func TestABundleWithAnyByteChangedIsRefused(t *testing.T) {
	whole := written(t, key(1))
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		if _, _, err := read(bytes.NewReader(changed), KeyOf(key(1))); err == nil {
			t.Fatalf("byte %d was changed, and the bundle is taken", i)
		}
	}
	if _, _, err := read(bytes.NewReader(append(whole, 0)), KeyOf(key(1))); !errors.Is(err, ErrAltered) {
		t.Errorf("with a byte behind it: %v", err)
	}
}

func TestAForeignSignatureIsRefusedBeforeAnyFileIsRead(t *testing.T) {
	r := bytes.NewReader(written(t, key(2)))
	if _, err := Open(r, []Key{KeyOf(key(1))}); !errors.Is(err, ErrForeign) {
		t.Fatal(err)
	}
	if r.Len() != len(slotText)+9 {
		t.Errorf("%d bytes of the files are left", r.Len())
	}
	if _, err := Open(bytes.NewReader(written(t, key(1))), nil); !errors.Is(err, ErrForeign) {
		t.Errorf("without keys: %v", err)
	}
}

func TestALaterFormatIsSaidToBeOne(t *testing.T) {
	whole := written(t, key(1))
	whole[len(magic)] = 2
	if _, _, err := read(bytes.NewReader(whole), KeyOf(key(1))); !errors.Is(err, ErrNewFormat) {
		t.Error(err)
	}
}

func TestASignedManifestThatCannotBeIsRefused(t *testing.T) {
	slot := File{Name: SlotFile, Size: 5}
	for name, change := range map[string]func(*Manifest){
		"no version":       func(m *Manifest) { m.Version = "" },
		"a cursor moves":   func(m *Manifest) { m.Version = "1\x1b[2J" },
		"no time":          func(m *Manifest) { m.Built = time.Time{} },
		"no architecture":  func(m *Manifest) { m.Arch = "" },
		"no schemas":       func(m *Manifest) { m.Schemas = Schemas{} },
		"schemas reversed": func(m *Manifest) { m.Schemas = Schemas{3, 2} },
		"nothing":          func(m *Manifest) { m.Files = nil },
		"a slot twice":     func(m *Manifest) { m.Files = []File{slot, slot} },
		"an empty slot":    func(m *Manifest) { m.Files = []File{{Name: SlotFile}} },
		"a huge slot":      func(m *Manifest) { m.Files = []File{{Name: SlotFile, Size: maxFile + 1}} },
	} {
		m := manifest()
		m.Files = []File{slot}
		change(&m)
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		head := append(binary.BigEndian.AppendUint32([]byte(magic), version<<24|uint32(len(text))), text...)
		if _, _, err := read(bytes.NewReader(append(head, ed25519.Sign(key(1), head)...)), KeyOf(key(1))); err == nil || errors.Is(err, ErrCut) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatDoesNotFitIsRefusedWithItsReason(t *testing.T) {
	now := Running{Version: "v1.2.2", Arch: "amd64", Schema: 2}
	for want, change := range map[string]func(*Manifest){
		"":                    func(*Manifest) {},
		"for arm64":           func(m *Manifest) { m.Arch = "arm64" },
		"too old":             func(m *Manifest) { m.Schemas = Schemas{3, 4} },
		"reads 1 and earlier": func(m *Manifest) { m.Schemas = Schemas{1, 1} },
	} {
		m := manifest()
		change(&m)
		err := m.Fits(now)
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), want)) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestTheLaterOfTwoVersionsIsNewer(t *testing.T) {
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	for _, c := range []struct {
		theirs, ours   string
		built, running time.Time
		newer          bool
	}{
		{"v1.2.10", "v1.2.9", early, late, true},
		{"v1.2.3", "v1.3.0", late, early, false},
		{"v1.2.3", "v1.2.3", late, late, false},
		{"v1.2.3-4-gabcdef", "v1.2.3", late, early, true},
		{"abcdef0", "v1.2.3", late, early, true},
		{"abcdef0", "fedcba9", early, late, false},
		{"abcdef0", "fedcba9", late, late, false},
	} {
		m := manifest()
		m.Version, m.Built = c.theirs, c.built
		if got := m.Newer(Running{Version: c.ours, Built: c.running}); got != c.newer {
			t.Errorf("%s of %d after %s of %d: newer %t", c.theirs, c.built.Unix(), c.ours, c.running.Unix(), got)
		}
	}
}

func TestKeysComeBackAsTheyWereWrittenAndTheOneForDevelopmentIsKnown(t *testing.T) {
	keys, err := ParseKeys(FormatKeys(KeyOf(key(1)), KeyOf(DevelopmentKey())))
	if err != nil || len(keys) != 2 || !keys[0].Public.Equal(KeyOf(key(1)).Public) || keys[0].Development || !keys[1].Development {
		t.Errorf("%v, %v", keys, err)
	}
	for _, wrong := range []string{"", "ed25519 AAAA\n", "rsa AAAA\n", "ed25519\n"} {
		if keys, err := ParseKeys([]byte(wrong)); err == nil {
			t.Errorf("%q is taken: %v", wrong, keys)
		}
	}
}

func TestALargeBundleIsReadInLittleMemory(t *testing.T) {
	const size = 64 << 20
	var b bytes.Buffer
	if err := Write(&b, key(1), manifest(), Content{SlotFile, io.NewSectionReader(zeros{}, 0, size)}); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := Open(bytes.NewReader(b.Bytes()), []Key{KeyOf(key(1))})
	if err == nil {
		err = r.Copy(func(File) io.Writer { return nil })
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; err != nil || grown > 4<<20 {
		t.Errorf("it took %d bytes, %v", grown, err)
	}
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

func FuzzABundleIsTakenOnlyAsItWasSigned(f *testing.F) {
	whole := written(f, key(1))
	f.Add(whole)
	f.Add(whole[:40])
	f.Add(append(bytes.Clone(whole), 1))
	f.Add(written(f, key(2)))
	f.Add([]byte(magic + "\x01\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := read(bytes.NewReader(b), KeyOf(key(1))); err == nil && !bytes.Equal(b, whole) {
			t.Errorf("%d bytes are taken that nobody has signed", len(b))
		}
	})
}

func FuzzAManifestIsReadOrRefused(f *testing.F) {
	f.Add([]byte(`{"version":"v1","built":"2026-01-02T03:04:05Z","arch":"amd64","schemas":{"min":1,"max":1},"files":[{"name":"slot","size":1,"sha256":"` + strings.Repeat("00", 32) + `"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parse(text)
		if err != nil {
			return
		}
		if m.Slot().Size < 1 || m.Size() > maxFiles*maxFile || m.Version == "" {
			t.Errorf("taken: %+v", m)
		}
	})
}
