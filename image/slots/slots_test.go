package slots

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"landbridge/image/bundle"
)

var errCut = errors.New("the power is off")

// power is what the parts of a machine share: it is off after so many writes and syncs.
type power struct {
	left   int // -1: for ever
	random *rand.Rand
}

func (p *power) use() bool {
	if p.left > 0 {
		p.left--
	}
	return p.left != 0
}

// disk is one whose writes are durable once it is synced; before that each sector may be or not.
type disk struct {
	*power
	durable, seen []byte
	flips         int64 // this byte isn't kept; -1: all are
}

func newDisk(p *power, contents []byte, size int) *disk {
	d := &disk{power: p, durable: make([]byte, size), flips: -1}
	copy(d.durable, contents)
	d.seen = bytes.Clone(d.durable)
	return d
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(d.seen).ReadAt(p, off)
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	on := d.use()
	copy(d.seen[off:], p)
	if on {
		return len(p), nil
	}
	d.settle()
	return 0, errCut
}

// settle has each sector that isn't durable yet become so, or not.
func (d *disk) settle() {
	for at := 0; at < len(d.durable); at += sectorSize {
		if d.random.IntN(2) == 0 {
			copy(d.durable[at:at+sectorSize], d.seen[at:at+sectorSize])
		}
	}
	d.seen = bytes.Clone(d.durable)
}

func (d *disk) Sync() error {
	if !d.use() {
		d.settle()
		return errCut
	}
	if d.flips >= 0 {
		d.seen[d.flips] ^= 1
	}
	copy(d.durable, d.seen)
	return nil
}

const slotSize = 5 * blockSize

// system is contents of a slot, of a length that is no whole number of blocks.
func system(seed byte) []byte {
	return append([]byte("hsqs"), bytes.Repeat([]byte{seed, 1, 2, 3, 4}, (slotSize-blockSize-100)/5)...)
}

func update(t testing.TB, contents []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	m := bundle.Manifest{Version: "new", Built: time.Unix(1, 0), Arch: "amd64", Schemas: bundle.Schemas{Min: 1, Max: 1}}
	other := bundle.Content{Name: "notes", Data: strings.NewReader("what is to come")}
	if err := bundle.Write(&b, testKey(), m, other, bundle.Content{Name: bundle.SlotFile, Data: bytes.NewReader(contents)}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func testKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

func opened(t testing.TB, update []byte) *bundle.Reader {
	t.Helper()
	b, err := bundle.Open(bytes.NewReader(update), []bundle.Key{bundle.KeyOf(testKey())})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// machine is a disk with two slots, and what GRUB does with it.
type machine struct {
	power
	env  *disk
	slot map[string]*disk
}

func newMachine(seed uint64, left int, primary string) *machine {
	m := &machine{power: power{left: left, random: rand.New(rand.NewPCG(seed, 0))}} //nolint:gosec // it is a test's
	m.env = newDisk(&m.power, Environment{Primary: primary}.Block(), EnvironmentSize)
	m.slot = map[string]*disk{"A": newDisk(&m.power, nil, slotSize), "B": newDisk(&m.power, nil, slotSize)}
	copy(m.slot[primary].durable, system(1))
	copy(m.slot[primary].seen, system(1))
	copy(m.slot[Other(primary)].durable, system(0)) // the version before
	copy(m.slot[Other(primary)].seen, system(0))
	return m
}

// boot is what grub.cfg does.
func (m *machine) boot(t *testing.T) (slot string) {
	t.Helper()
	m.left = -1
	e, err := Read(m.env)
	if err != nil {
		t.Fatalf("GRUB can't read its environment: %v", err)
	}
	slot, after := e.Trial, Environment{Primary: e.Primary}
	if slot == "" && e.Starts == "111" {
		slot = Other(e.Primary)
	}
	if slot == "" {
		slot, after.Starts = e.Primary, "1"+e.Starts
	}
	copy(m.env.durable, after.Block())
	copy(m.env.seen, m.env.durable)
	return slot
}

func (m *machine) holds(slot string, contents []byte) bool {
	return bytes.HasPrefix(m.slot[slot].durable, contents)
}

func (m *machine) update(b *bundle.Reader, running string) error {
	err := Install(context.Background(), b, Target{Environment: m.env, Slot: m.slot[Other(running)], Size: slotSize, Running: running})
	if err != nil {
		return err
	}
	return Try(m.env, running, Other(running))
}

func TestAnUpdateThatIsCutAtAnyWriteStartsTheOldVersionOrTheNewOne(t *testing.T) {
	whole := update(t, system(2))
	for _, running := range []string{"A", "B"} {
		done := false
		for cut := 1; !done; cut++ {
			for seed := range uint64(20) {
				m := newMachine(seed, cut, running)
				err := m.update(opened(t, whole), running)
				if done = err == nil; done {
					break
				}
				if !errors.Is(err, errCut) {
					t.Fatal(err)
				}
				slot := m.boot(t)
				if !m.holds(slot, map[string][]byte{running: system(1), Other(running): system(2)}[slot]) {
					t.Fatalf("%s ran, cut at write %d (seed %d): slot %s is started, which isn't whole", running, cut, seed, slot)
				}
				if other := m.slot[Other(running)]; HasSystem(other) && !m.holds(Other(running), system(2)) && !m.holds(Other(running), system(0)) {
					t.Fatalf("%s ran, cut at write %d (seed %d): the other slot looks whole, and isn't", running, cut, seed)
				}
				if again := m.boot(t); again != running {
					t.Fatalf("%s ran, cut at write %d (seed %d): the start after the next is of %s", running, cut, seed, again)
				}
				if err := m.update(opened(t, whole), running); err != nil || m.boot(t) != Other(running) {
					t.Fatalf("%s ran, cut at write %d (seed %d): no update after that: %v", running, cut, seed, err)
				}
			}
			if cut > 1000 {
				t.Fatal("it doesn't end")
			}
		}
	}
}

func TestATrialIsOfOneStartUnlessItIsKept(t *testing.T) {
	m := newMachine(1, -1, "A")
	if err := m.update(opened(t, update(t, system(2))), "A"); err != nil {
		t.Fatal(err)
	}
	if first, second := m.boot(t), m.boot(t); first != "B" || second != "A" {
		t.Errorf("the starts are of %s and %s", first, second)
	}
	if err := m.update(opened(t, update(t, system(2))), "A"); err != nil {
		t.Fatal(err)
	}
	slot := m.boot(t)
	if changed, err := Keep(m.env, slot); !changed || err != nil {
		t.Fatalf("kept: %t, %v", changed, err)
	}
	if changed, err := Keep(m.env, slot); changed || err != nil {
		t.Errorf("kept once more: %t, %v", changed, err)
	}
	if again := m.boot(t); again != "B" {
		t.Errorf("it was kept, and the start is of %s", again)
	}
}

func TestASlotThatDoesNotComeUpThreeTimesGivesWayToTheOther(t *testing.T) {
	m := newMachine(1, -1, "A")
	starts := func(want ...string) {
		t.Helper()
		for i, slot := range want {
			if got := m.boot(t); got != slot {
				t.Fatalf("start %d is of %s, not %s", i+1, got, slot)
			}
		}
	}
	starts("A", "A", "A", "B", "A", "A", "A", "B") // nor does the other
	if changed, err := Keep(m.env, "B"); !changed || err != nil {
		t.Fatalf("kept: %t, %v", changed, err)
	}
	starts("B", "B")
	if changed, err := Keep(m.env, "B"); changed || err != nil {
		t.Errorf("kept once more: %t, %v", changed, err)
	}
	starts("B", "B", "B")
	if err := CameUp(m.env, "A"); err != nil { // which isn't the primary one
		t.Error(err)
	}
	starts("A", "B")
	if err := CameUp(m.env, "B"); err != nil {
		t.Error(err)
	}
	starts("B", "B", "B", "A")
	if err := Try(m.env, "B", "A"); err != nil {
		t.Error(err)
	}
	starts("A", "B", "B", "B", "A") // a trial counts for nothing
}

func TestThatTheSlotThatRunsCameUpLeavesTheTrialOfTheOther(t *testing.T) {
	m := newMachine(1, -1, "A")
	if err := set(m.env, Environment{Primary: "A", Trial: "B", Starts: "11"}); err != nil {
		t.Fatal(err)
	}
	if changed, err := Keep(m.env, "A"); changed || err != nil {
		t.Errorf("%t, %v", changed, err)
	}
	if e, err := Read(m.env); err != nil || e != (Environment{Primary: "A", Trial: "B"}) {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestKeepingThatIsCutKeepsOrDoesNot(t *testing.T) {
	for cut := 1; cut <= 2; cut++ {
		for seed := range uint64(20) {
			m := newMachine(seed, cut, "A")
			if _, err := Keep(m.env, "B"); !errors.Is(err, errCut) {
				t.Fatal(err)
			}
			m.boot(t)
		}
	}
}

func TestADiskThatDoesNotGiveBackWhatWasWrittenIsNotTried(t *testing.T) {
	for _, at := range []int64{0, 100, blockSize + 3, slotSize - blockSize - 200} {
		m := newMachine(1, -1, "A")
		m.slot["B"].flips = at
		if err := m.update(opened(t, update(t, system(2))), "A"); !errors.Is(err, ErrReadBack) {
			t.Errorf("byte %d: %v", at, err)
		}
		if slot := m.boot(t); slot != "A" {
			t.Errorf("byte %d: slot %s is started", at, slot)
		}
	}
	m := newMachine(1, -1, "A")
	m.env.flips = int64(len(blockHead) + len("primary="))
	if err := Try(m.env, "A", "B"); !errors.Is(err, ErrEnvironment) {
		t.Errorf("an environment that isn't kept: %v", err)
	}
}

func TestABundleThatIsAlteredOrTooLargeLeavesTheOldVersion(t *testing.T) {
	whole := update(t, system(2))
	altered := bytes.Clone(whole)
	altered[len(altered)-10] ^= 1
	for name, b := range map[string][]byte{"altered": altered, "cut": whole[:len(whole)-1], "too large": update(t, bytes.Repeat([]byte("hsqs"), slotSize))} {
		m := newMachine(1, -1, "B")
		err := m.update(opened(t, b), "B")
		if err == nil {
			t.Errorf("%s: it is taken", name)
		}
		if slot := m.boot(t); slot != "B" || !m.holds("B", system(1)) {
			t.Errorf("%s: slot %s is started", name, slot)
		}
		if name == "too large" && !m.holds("A", system(0)) {
			t.Errorf("%s: the other slot was changed", name)
		} else if name != "too large" && HasSystem(m.slot["A"]) {
			t.Errorf("%s: the other slot looks whole", name)
		}
	}
}

func TestAnUpdateThatIsBrokenOffLeavesTheOldVersion(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := newMachine(1, -1, "A")
	err := Install(ctx, opened(t, update(t, system(2))), Target{Environment: m.env, Slot: m.slot["B"], Size: slotSize, Running: "A", Written: func(done, all int64) {
		if done > all/2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || m.boot(t) != "A" || HasSystem(m.slot["B"]) {
		t.Errorf("%v; the other slot looks whole: %t", err, HasSystem(m.slot["B"]))
	}
}

func TestTheEnvironmentBlockComesBackAsItWasWritten(t *testing.T) {
	for _, e := range []Environment{{Primary: "A"}, {Primary: "B", Trial: "A"}, {Primary: "B", Starts: "111"}} {
		block := e.Block()
		if len(block) != EnvironmentSize {
			t.Errorf("the block has %d bytes", len(block))
		}
		if got, err := Parse(block); err != nil || got != e {
			t.Errorf("%v came back as %v, %v", e, got, err)
		}
		if !bytes.Equal(block[sectorSize:], bytes.Repeat([]byte("#"), sectorSize)) {
			t.Error("the second sector says something")
		}
	}
}

func TestBlocksThatGRUBWouldNotTakeAreRefused(t *testing.T) {
	good := Environment{Primary: "A"}.Block()
	for name, block := range map[string][]byte{
		"empty": nil, "short": good[:100], "another slot": bytes.Replace(good, []byte("primary=A"), []byte("primary=C"), 1),
		"another number": Environment{Primary: "A", Starts: "12"}.Block(),
		"no slot":        bytes.Replace(good, []byte("primary=A"), []byte("xrimary=A"), 1), "no block": bytes.Repeat([]byte("#"), EnvironmentSize),
	} {
		if e, err := Parse(block); !errors.Is(err, ErrEnvironment) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}

func TestADamagedEnvironmentIsMadeAnewByWhoRunsWell(t *testing.T) {
	m := newMachine(1, -1, "A")
	clear(m.env.seen)
	if changed, err := Keep(m.env, "B"); !changed || err != nil {
		t.Fatalf("%t, %v", changed, err)
	}
	if slot := m.boot(t); slot != "B" {
		t.Errorf("slot %s is started", slot)
	}
	for _, wrong := range []string{"", "C"} {
		if changed, err := Keep(m.env, wrong); changed || err != nil {
			t.Errorf("slot %q: %t, %v", wrong, changed, err)
		}
		if err := Try(m.env, wrong, "A"); err == nil {
			t.Errorf("slot %q runs, and A is tried", wrong)
		}
	}
	if err := Try(m.env, "A", "A"); err == nil {
		t.Error("the slot that runs is tried")
	}
}

var _ io.ReaderAt = (*disk)(nil)
