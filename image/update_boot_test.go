package image

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/image/bundle"
	"landbridge/internal/netlab"
)

// operator is somebody at a machine's console, by its API.
type operator struct {
	*testing.T
	m      *machine
	client *http.Client
	csrf   string
}

// setUp makes the machine's first administrator.
func setUp(t *testing.T, m *machine) *operator {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{T: t, m: m, client: &http.Client{Jar: jar, Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return m.host.Dial(ctx, "tcp", consoleAt) },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}}
	var code string
	m.until(t, "the setup code", func(context.Context) error {
		text, err := os.ReadFile(m.serial)
		if found := regexp.MustCompile(`Setup code\s+(\S+)`).FindSubmatch(text); found != nil {
			code = string(found[1])
			return nil
		}
		return errors.Join(err, errors.New("it isn't on the screen"))
	})
	var s api.Session
	if err := o.ask(t.Context(), http.MethodPost, "/api/v1/setup", api.SetupRequest{Code: code, Name: "alice", Password: "correct horse"}, &s); err != nil {
		t.Fatal(err)
	}
	o.csrf = s.Csrf
	return o
}

const consoleAt = "127.0.0.1:8443"

// ask sends a request; an answer that is a problem is an error.
func (o *operator) ask(ctx context.Context, method, path string, body, into any) error {
	content, kind := io.Reader(nil), "application/json"
	switch b := body.(type) {
	case nil:
	case []byte:
		content, kind = bytes.NewReader(b), "application/octet-stream"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+consoleAt+path, content)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("X-CSRF-Token", o.csrf)
	res, err := o.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	return err
}

// page returns a page of the console.
func (o *operator) page(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+consoleAt+path, nil)
	if err != nil {
		return "", err
	}
	res, err := o.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s", path, res.Status)
	}
	return string(text), err
}

// update has the machine make an update, and waits until it has ended.
func (o *operator) update(update []byte) api.Update {
	o.Helper()
	began := time.Now()
	var offer api.UpdateOffer
	if err := o.ask(o.Context(), http.MethodPut, "/api/v1/update", update, &offer); err != nil {
		o.Fatal(err)
	}
	o.Logf("handed in and checked %v later", time.Since(began).Round(100*time.Millisecond))
	if err := o.ask(o.Context(), http.MethodPost, "/api/v1/update/apply", api.UpdateOrder{ID: offer.ID}, nil); err != nil {
		o.Fatal(err)
	}
	var u api.Update
	o.m.until(o.T, "the update's end", func(ctx context.Context) error {
		u = api.Update{}
		if err := o.ask(ctx, http.MethodGet, "/api/v1/update", nil, &u); err != nil {
			return err
		}
		if u.Stage != api.UpdateStageIdle || u.Last.Version != offer.Version {
			return fmt.Errorf("it is %s %s", u.Stage, u.Target)
		}
		return nil
	})
	o.Logf("%s: %v after it was begun", u.Last.Text, time.Since(began).Round(100*time.Millisecond))
	return u
}

// nextVersion is an update made of the slot of a disk, with these files of its own.
func nextVersion(t *testing.T, disk, version string, own tree) []byte {
	t.Helper()
	at := time.Now().UTC() // a later time would be the machine's clock, and sessions end by that
	return signed(t, bundle.DevelopmentKey(), version, at, nextSlot(t, disk, version, at, own))
}

// nextSlot is a slot made of that of a disk, likewise.
func nextSlot(t *testing.T, disk, version string, at time.Time, own tree) []byte {
	t.Helper()
	dir := t.TempDir()
	squash := filepath.Join(dir, "slot-a")
	if err := run(t.Context(), dir, nil, "dd", "if="+disk, "of="+squash, "bs=1M", fmt.Sprintf("skip=%d", slotAStart), fmt.Sprintf("count=%d", slotMiB), "status=none"); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), dir, nil, "unsquashfs", "-q", "-n", "-d", filepath.Join(dir, "files"), squash); err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(dir, "files")
	own.add("etc/landbridge-release", 0o644, []byte(version+"\n"))
	if err := own.write(files); err != nil {
		t.Fatal(err)
	}
	img, err := slot(t.Context(), dir, files, at)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func signed(t *testing.T, key ed25519.PrivateKey, version string, at time.Time, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	m := bundle.Manifest{Version: version, Built: at, Arch: architecture, Schemas: bundle.Schemas{Min: 1, Max: 1}}
	if err := bundle.Write(&b, key, m, bundle.Content{Name: bundle.SlotFile, Data: bytes.NewReader(data)}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func bootForUpdates(t *testing.T, disk string, firmware ...string) *operator {
	t.Helper()
	m := boot(t, netlab.ForTest(t).LAN("none").Host("machine"), disk, 256, append(append(outward(), "-action", "reboot=reset"), firmware...)...)
	m.until(t, "console", m.console(consoleAt))
	return setUp(t, m)
}

func TestAnUpdateOfTheImageIsTriedAndKeptAndABadBundleRefused(t *testing.T) {
	disk, _ := builtImage(t)
	good := nextVersion(t, disk, "next", tree{})
	o := bootForUpdates(t, disk)
	later, tiny := time.Now().Add(time.Hour), bytes.Repeat([]byte("hsqs"), 1<<10)
	whole := signed(t, bundle.DevelopmentKey(), "tampered", later, tiny)
	whole[len(whole)-1] ^= 1
	foreign := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for want, b := range map[string][]byte{
		"isn't what was signed": whole, "cut off": good[:len(good)/100], "isn't signed by a key": signed(t, foreign, "foreign", later, tiny),
	} {
		if err := o.ask(t.Context(), http.MethodPut, "/api/v1/update", b, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	var offer api.UpdateOffer
	if err := o.ask(t.Context(), http.MethodPut, "/api/v1/update", signed(t, bundle.DevelopmentKey(), "older", time.Unix(1, 0), tiny), &offer); err != nil || offer.Newer {
		t.Errorf("older: %+v, %v", offer, err)
	}
	if err := o.ask(t.Context(), http.MethodPost, "/api/v1/update/apply", api.UpdateOrder{ID: offer.ID}, nil); err == nil || !strings.Contains(err.Error(), "isn't newer") {
		t.Errorf("older: %v", err)
	}
	var before api.Update
	if err := o.ask(t.Context(), http.MethodGet, "/api/v1/update", nil, &before); err != nil || before.Slot != "A" || before.OtherVersion != "" {
		t.Errorf("before: %+v, %v", before, err)
	}
	if u := o.update(good); u.Last.Result != api.UpdateResultKept || u.Slot != "B" || u.Version != "next" || u.OtherVersion == "" {
		t.Errorf("%+v", u)
	}
	o.m.until(t, "what the screen says", o.m.shows("--- Landbridge next"))
}

func TestAnUpdateOfTheImageIsTriedAndKeptByUEFIToo(t *testing.T) {
	disk, _ := builtImage(t)
	o := bootForUpdates(t, disk, uefi(t)...)
	if u := o.update(nextVersion(t, disk, "next", tree{})); u.Last.Result != api.UpdateResultKept || u.Slot != "B" || u.Version != "next" {
		t.Errorf("%+v", u)
	}
}

func TestAnUpdateOfTheImageThatIsNotWellIsTakenBack(t *testing.T) {
	disk, program := builtImage(t)
	data, err := os.ReadFile(program + "-image")
	if err != nil {
		t.Fatal(err)
	}
	real, failing := entry{data, 0o755}, compiled(t, endsAtOnce)
	with := func(program []byte) tree {
		return tree{"init": real, "sbin/modprobe": {[]byte("/init"), fs.ModeSymlink | 0o777}, "bin/landbridge": {program, 0o755}}
	}
	for name, c := range map[string]struct {
		files    tree
		why      string
		firmware func(*testing.T) []string
	}{
		"whose program fails": {with(failing), "its program ended 6 times", nil},
		"that hangs":          {with(compiled(t, hangs)), "it ended before it was well", nil},
		"that panics":         {tree{"bin/landbridge": {failing, 0o755}}, "it ended before it was well", nil},
		"that panics by UEFI": {tree{"bin/landbridge": {failing, 0o755}}, "it ended before it was well", uefi},
	} {
		t.Run(name, func(t *testing.T) {
			bad := nextVersion(t, disk, "bad", c.files)
			var firmware []string
			if c.firmware != nil {
				firmware = c.firmware(t)
			}
			o := bootForUpdates(t, disk, firmware...)
			u := o.update(bad)
			if u.Last.Result != api.UpdateResultTakenBack || u.Slot != "A" || !strings.Contains(u.Last.Text, c.why) {
				t.Errorf("%+v", u)
			}
			o.m.until(t, "what the screen says", o.m.shows("The update to bad was taken back: "+c.why))
		})
	}
}

// Programs in the place of Landbridge.
const (
	endsAtOnce = `package main

import "os"

func main() { os.Exit(1) }
`
	// hangs has the first process hang, as a tracer does: nobody feeds the watchdog any more.
	hangs = `package main

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func main() {
	const seize, interrupt = 0x4206, 0x4207
	runtime.LockOSThread()
	for stopped := map[int]bool{}; ; {
		threads, _ := os.ReadDir("/proc/1/task")
		before := len(stopped)
		for _, t := range threads {
			if id, _ := strconv.Atoi(t.Name()); !stopped[id] {
				stopped[id] = true
				syscall.Syscall6(syscall.SYS_PTRACE, seize, uintptr(id), 0, 0, 0, 0)
				syscall.Syscall6(syscall.SYS_PTRACE, interrupt, uintptr(id), 0, 0, 0, 0)
			}
		}
		for len(stopped) == before {
			time.Sleep(time.Hour)
		}
	}
}
`
)

// compiled returns a program.
func compiled(t *testing.T, text string) []byte {
	t.Helper()
	source, binary := write(t, "main.go", text), filepath.Join(t.TempDir(), "program")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
