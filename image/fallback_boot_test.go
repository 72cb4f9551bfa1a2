package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// onDisk writes to a disk, from a MiB on.
func onDisk(t *testing.T, disk string, start int64, at int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, start*mib+at); err != nil {
		t.Fatal(err)
	}
}

// content returns a file of the slot that begins at a MiB of a disk; it may be that it can't be read whole.
func content(t *testing.T, disk string, start int64, name string) ([]byte, error) {
	t.Helper()
	squash := filepath.Join(t.TempDir(), "slot")
	if err := run(t.Context(), t.TempDir(), nil, "dd", "if="+disk, "of="+squash, "bs=1M", fmt.Sprintf("skip=%d", start), fmt.Sprintf("count=%d", slotMiB), "status=none"); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), "unsquashfs", "-cat", squash, name).Output()
}

// GRUB reads the kernel and the initramfs from a slot, and can't know that the program isn't to be read.
func TestASlotOfTheImageWhoseProgramCannotBeReadGivesWayToTheOther(t *testing.T) {
	built, _ := builtImage(t)
	disk := filepath.Join(t.TempDir(), "disk.raw")
	if out, err := exec.CommandContext(t.Context(), "cp", "--sparse=always", built, disk).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	onDisk(t, disk, slotBStart, 0, nextSlot(t, built, "other", time.Now().UTC(), tree{}))
	host := netlab.ForTest(t).LAN("none").Host("machine")
	args := append(outward(), "-action", "reboot=reset")
	o := setUp(t, startedFrom(t, host, disk, args...))
	var u api.Update
	if err := o.ask(t.Context(), "GET", "/api/v1/update", nil, &u); err != nil || u.Slot != "A" || u.OtherVersion == "" {
		t.Fatalf("%+v, %v", u, err)
	}
	first := u.Version
	o.m.pullPlug()

	whole := map[string][]byte{}
	for _, name := range []string{"vmlinuz", "initrd", "bin/landbridge"} {
		data, err := content(t, disk, slotAStart, name)
		if err != nil {
			t.Fatal(err)
		}
		whole[name] = data
	}
	// A squashfs begins with its files, in the order of their names.
	onDisk(t, disk, slotAStart, mib/2, bytes.Repeat([]byte{0xff}, 6*mib))
	for name, data := range whole {
		got, err := content(t, disk, slotAStart, name)
		if damaged := err != nil || !bytes.Equal(got, data); damaged != (name == "bin/landbridge") {
			t.Fatalf("%s is damaged: %t (%v)", name, damaged, err)
		}
	}
	o.m = startedFrom(t, host, disk, args...)
	o.m.until(t, "the other version", o.m.shows("--- Landbridge other"))
	o.m.until(t, "that it is kept", func(ctx context.Context) error {
		u = api.Update{}
		if err := o.ask(ctx, "GET", "/api/v1/update", nil, &u); err != nil {
			return err
		}
		if u.Last.Result == "" {
			return fmt.Errorf("it is %s", u.Stage)
		}
		return nil
	})
	if u.Slot != "B" || u.Version != "other" || u.Last.Result != api.UpdateResultLeft || !strings.Contains(u.Last.Text, "Version "+first+" was left") {
		t.Errorf("%+v", u)
	}
	o.m.until(t, "what the screen says", o.m.shows("was left"))
}

// startedFrom starts a machine that writes to the disk itself, up to its console.
func startedFrom(t *testing.T, host *netlab.Host, disk string, args ...string) *machine {
	t.Helper()
	m := bootFrom(t, host, "file="+disk+",format=raw,if=virtio", 256, args...)
	t.Logf("the console answers %v after QEMU's start", m.until(t, "console", m.console(consoleAt)))
	return m
}
