package hardware

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// loader is Modules with a load that only notes.
func loader(dep, alias string, fails ...string) (*Modules, *[]string) {
	loaded := &[]string{}
	m := newModules([]byte(dep), []byte(alias), func(name string) error {
		*loaded = append(*loaded, name)
		for _, f := range fails {
			if f == name {
				return errors.New("no such device")
			}
		}
		return nil
	})
	return m, loaded
}

func TestAModuleIsLoadedAfterWhatItNeedsAndOnce(t *testing.T) {
	m, loaded := loader("failover:\nnet_failover: failover\nvirtio_net: net_failover failover\n", "virtio:d00000001v* virtio_net\n")
	for _, name := range []string{"virtio:d00000001v00001AF4\n", "virtio-net", "failover"} {
		if err := m.Load(name); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"failover", "net_failover", "virtio_net"}, *loaded); diff != "" {
		t.Error(diff)
	}
}

func TestHardwareWithoutADriverIsNoError(t *testing.T) {
	m, loaded := loader("tun:\n", "pci:v0000* tun\n")
	if err := m.Load("usb:v1234p5678"); err != nil || len(*loaded) > 0 {
		t.Errorf("%v, loaded %v", err, *loaded)
	}
}

func TestModulesThatNeedEachOtherDoNotHang(t *testing.T) {
	m, loaded := loader("a: b\nb: a\n", "")
	if err := m.Load("a"); err != nil || len(*loaded) != 2 {
		t.Errorf("%v, loaded %v", err, *loaded)
	}
}

func TestAModuleThatFailsIsNamed(t *testing.T) {
	m, _ := loader("a: b\nb:\n", "", "b")
	if err := m.Load("a"); err == nil || !strings.Contains(err.Error(), "module b") {
		t.Errorf("got %v", err)
	}
}

func TestWhatAppearsWithADriverIsLookedAtToo(t *testing.T) {
	root := t.TempDir()
	device := func(name, modalias string) {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "modalias"), []byte(modalias+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	device("pci0", "pci:bus")
	m, loaded := loader("virtio_pci:\nvirtio_blk:\n", "pci:bus virtio_pci\nvirtio:2 virtio_blk\n")
	note := m.load
	m.load = func(name string) error {
		if name == "virtio_pci" {
			device("pci0/virtio0", "virtio:2")
		}
		return note(name)
	}
	if err := m.LoadAll(root); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"virtio_pci", "virtio_blk"}, *loaded); diff != "" {
		t.Error(diff)
	}
}

func TestParametersOfTheKernel(t *testing.T) {
	const line = "slotted=X slot=B console=tty0 quiet\n"
	for name, want := range map[string]string{"slot": "B", "console": "tty0", "quiet": "", "none": ""} {
		if got := Parameter(line, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestAPartitionIsFoundOnceItsDiskIsThere(t *testing.T) {
	sys := t.TempDir()
	looks := 0
	device, err := Partition(t.Context(), sys, SlotPartition("B"), func() {
		if looks++; looks != 2 { // its driver is loaded, and the disk comes
			return
		}
		for name, label := range map[string]string{"vda3": "lb-slot-a", "vda4": "lb-slot-b", "vdb4": "not-lb-slot-b"} {
			dir := filepath.Join(sys, "class/block", name)
			err := os.MkdirAll(dir, 0o755)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "uevent"), []byte("DEVTYPE=partition\nPARTN=4\nPARTNAME="+label+"\n"), 0o600)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || device != "/dev/vda4" {
		t.Errorf("%s, %v", device, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if device, err := Partition(ctx, sys, "lb-slot-c", nil); err == nil || !strings.Contains(err.Error(), "no partition lb-slot-c") {
		t.Errorf("%s, %v", device, err)
	}
}
