package pid1

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/image/userdata"
	"landbridge/internal/store"
)

// isoVolume is the part of an ISO 9660 volume that is looked at, as genisoimage -V makes it.
func isoVolume(label string) []byte {
	v := make([]byte, 17*2048)
	copy(v[16*2048:], "\x01CD001\x01\x00LINUX")
	copy(v[16*2048+40:], label+strings.Repeat(" ", 32-len(label)))
	return v
}

// fatVolume is the boot sector of a FAT volume, as mkfs.vfat makes it.
func fatVolume(label, kind string, at int) []byte {
	v := make([]byte, 512)
	copy(v[at:], label+strings.Repeat(" ", 11-len(label))+kind)
	binary.LittleEndian.PutUint16(v[510:], 0xaa55)
	return v
}

func TestAVolumeIsKnownByItsLabel(t *testing.T) {
	for name, c := range map[string]struct {
		volume      []byte
		kind, label string
	}{
		"ISO 9660":   {isoVolume("cidata"), "iso9660", "cidata"},
		"FAT16":      {fatVolume("CIDATA", "FAT16   ", 43), "vfat", "CIDATA"},
		"FAT32":      {fatVolume("CIDATA", "FAT32   ", 71), "vfat", "CIDATA"},
		"a disk":     {fatVolume("", "", 43), "", ""},
		"nothing":    {make([]byte, 64<<10), "", ""},
		"too small":  {[]byte("x"), "", ""},
		"no label":   {isoVolume(""), "iso9660", ""},
		"cut behind": {isoVolume("cidata")[:16*2048+10], "", ""},
	} {
		if kind, label := volumeLabel(bytes.NewReader(c.volume)); kind != c.kind || label != c.label {
			t.Errorf("%s: %q, %q", name, kind, label)
		}
	}
}

// aState is the state of an appliance at whose console somebody is logged in, with this cookie.
func aState(t *testing.T) (db []byte, cookie string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "state.db")
	state, err := store.Open(file)
	must(t, err)
	users, err := access.Open(state, access.Options{})
	must(t, err)
	_, err = users.CreateUser(t.Context(), api.UserCreate{Name: "alice", Role: api.RoleAdministrator, Password: "correct horse battery"})
	must(t, err)
	session, err := users.Login(t.Context(), access.Credentials{Name: "alice", Password: "correct horse battery"})
	must(t, errors.Join(err, state.Close()))
	db, err = os.ReadFile(file)
	must(t, err)
	return db, session.Cookie
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func given(text string, state []byte) func() seed {
	return func() seed { return seed{from: "a test", userData: []byte(text), state: state} }
}

func TestWhatIsGivenFirstCountsFromThenOn(t *testing.T) {
	dir := t.TempDir()
	db, cookie := aState(t)
	if d, wrong := configured(dir, func() seed { return seed{} }); len(wrong) > 0 || d.Name != "" {
		t.Errorf("given nothing: %+v, %v", d, wrong)
	}
	if d, wrong := configured(dir, given("name: site-a\n", db)); len(wrong) > 0 || d.Name != "site-a" {
		t.Errorf("%+v, %v", d, wrong)
	}
	if d, wrong := configured(dir, given("name: site-b\n", nil)); len(wrong) > 0 || d.Name != "site-a" {
		t.Errorf("given another later: %+v, %v", d, wrong)
	}
	name := filepath.Join(dir, "landbridge", "landbridge.db")
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("the state that was given along: %v, %v", st, err)
	}
	state, err := store.Open(name)
	must(t, err)
	defer state.Close()
	users, err := access.Open(state, access.Options{})
	must(t, err)
	if all, err := access.ListUsers(state); err != nil || len(all) != 1 {
		t.Errorf("users of it: %+v, %v", all, err)
	}
	if id, err := users.Authenticate(access.Identity{}, cookie, true); err != nil || id.Known() {
		t.Errorf("who was logged in where it comes from is %+v here, %v", id, err)
	}
}

func TestWhereTheStateIsNoWholeOneNothingIsAppliedAndItIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	db, _ := aState(t)
	d, wrong := configured(dir, given("name: site-a\n", db[:3*os.Getpagesize()]))
	if text := strings.Join(wrong, "\n"); d.Name != "" || !strings.Contains(text, "isn't taken") || !strings.Contains(text, "Nothing of it is applied") {
		t.Errorf("%+v, %v", d, wrong)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "landbridge", "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if d, wrong := configured(dir, given("name: site-a\n", db)); len(wrong) > 0 || d.Name != "site-a" {
		t.Errorf("mended: %+v, %v", d, wrong)
	}
}

func TestOfWrongUserDataNothingIsApplied(t *testing.T) {
	dir := t.TempDir()
	db, _ := aState(t)
	d, wrong := configured(dir, given("name: site-a\nmode: bridge\nnmae: x\n", db))
	if d.Name != "" || len(d.Settings) > 0 {
		t.Errorf("applied: %+v", d)
	}
	text := strings.Join(wrong, "\n")
	for _, want := range []string{"user-data:2: mode", `user-data:3: there is no setting "nmae"`, "Nothing of it is applied"} {
		if !strings.Contains(text, want) {
			t.Errorf("it doesn't say %q:\n%s", want, text)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left on the state partition: %v, %v", left, err)
	}
	if d, wrong := configured(dir, given("name: site-a\n", nil)); len(wrong) > 0 || d.Name != "site-a" {
		t.Errorf("mended: %+v, %v", d, wrong)
	}
}

func TestAStateIsPlantedWhereThereIsNoneOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "landbridge")
	state, _ := aState(t)
	for name, db := range map[string][]byte{"empty": nil, "text": bytes.Repeat([]byte("x"), 8192), "short": state[:100], "torn": state[:3*os.Getpagesize()]} {
		if err := plant(dir, db); err == nil {
			t.Errorf("%s was taken for a state", name)
		}
	}
	must(t, plant(dir, state))
	name := filepath.Join(dir, "landbridge.db")
	first, err := os.ReadFile(name)
	must(t, err)
	if err := plant(dir, state); !errors.Is(err, errHasState) {
		t.Errorf("a second one: %v", err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, first) {
		t.Errorf("the first is another now, %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestASeedIsReadFromItsFiles(t *testing.T) {
	dir := t.TempDir()
	if s := readSeed(dir, "user-data", "landbridge.db", "here"); s.from != "" {
		t.Errorf("nothing is there: %+v", s)
	}
	if err := os.WriteFile(filepath.Join(dir, "user-data"), []byte("name: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := readSeed(dir, "user-data", "landbridge.db", "here"); s.from != "here" || string(s.userData) != "name: a\n" || s.state != nil {
		t.Errorf("%+v", s)
	}
}

func TestTheProgramIsRunAsItWasTold(t *testing.T) {
	d, err := userdata.Parse("u", []byte("name: a\nmode: router\nlan-port: eth1\nlan-discovery: false\nannounce: [\"192.0.2.1:4860\", \"b.example.com\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	args := programArgs(d)
	for _, want := range []string{
		"--mode=router", "--lan-port=eth1", "--lan-discovery=false", "--announce=192.0.2.1:4860", "--announce=b.example.com",
		"--console-allow=127.0.0.0/8", "--console-allow=private",
	} {
		if !slices.Contains(args, want) {
			t.Errorf("no %s in %v", want, args)
		}
	}
	if d, err = userdata.Parse("u", []byte("console-allow: [\"192.0.2.0/24\"]\n")); err != nil {
		t.Fatal(err)
	}
	args = programArgs(d)
	if slices.Contains(args, "--console-allow=private") || !slices.Contains(args, "--console-allow=192.0.2.0/24") || !slices.Contains(args, "--console-allow=127.0.0.0/8") {
		t.Errorf("who may connect was decided, and it is %v", args)
	}
}

func FuzzAVolumeIsLookedAt(f *testing.F) {
	f.Add(isoVolume("cidata"))
	f.Add(fatVolume("CIDATA", "FAT16   ", 43))
	f.Fuzz(func(t *testing.T, volume []byte) {
		if kind, label := volumeLabel(bytes.NewReader(volume)); kind == "" && label != "" || len(label) > 32 {
			t.Errorf("%q, %q", kind, label)
		}
	})
}
