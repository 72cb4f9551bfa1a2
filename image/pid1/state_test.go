package pid1

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAStateIsNeverWrittenOver(t *testing.T) {
	const never = 99 // attempts
	tests := map[string]struct {
		mounts    int // attempts until it mounts
		exit      int // of fsck -p
		repairs   bool
		formatted bool
		unread    error
		made      bool
		fails     bool
		did       string
	}{
		"one that is well":               {mounts: 1, formatted: true, did: "-p mount"},
		"a shaky disk":                   {mounts: 3, formatted: true, did: "-p mount mount mount"},
		"what only -y repairs":           {mounts: never, exit: fsckUnrepaired, repairs: true, formatted: true, did: "-p mount mount mount mount -y mount"},
		"what nothing repairs":           {mounts: never, exit: fsckUnrepaired, formatted: true, fails: true, did: "-p mount mount mount mount -y mount mount mount mount"},
		"a feature that isn't known":     {mounts: never, formatted: true, fails: true, did: "-p mount mount mount mount"},
		"a check that was killed":        {mounts: never, exit: -1, formatted: true, fails: true, did: "-p mount mount mount mount"},
		"a superblock that is gone":      {mounts: never, exit: 8, repairs: true, did: "-p mount mount mount mount -y mount"},
		"a disk that can't be read":      {mounts: never, exit: 8, unread: unix.EIO, fails: true, did: "-p mount mount mount mount"},
		"one that was never a partition": {mounts: never, exit: 8, made: true, did: "-p mount mount mount mount -y mount mount mount mount format mount"},
	}
	for what, tt := range tests {
		var did []string
		attempts, well := 0, false
		p := statePartition{
			mount: func() error {
				did = append(did, "mount")
				if attempts++; well || attempts >= tt.mounts {
					return nil
				}
				return unix.EINVAL
			},
			fsck: func(how string) (int, error) {
				did = append(did, how)
				if well = how == "-y" && tt.repairs; tt.exit == 0 || well {
					return 0, nil
				}
				return tt.exit, errors.New("errors are left")
			},
			formatted: func() (bool, error) { return tt.formatted, tt.unread },
			format:    func() error { did, well = append(did, "format"), true; return nil },
			pause:     func() {},
			log:       slog.New(slog.DiscardHandler),
		}
		made, err := p.open()
		if made != tt.made || (err != nil) != tt.fails || strings.Join(did, " ") != tt.did {
			t.Errorf("%s: made %t, %v: %v", what, made, err, did)
		}
		if tt.formatted && slices.Contains(did, "format") {
			t.Errorf("%s: was written over", what)
		}
	}
}

func TestAFileSystemIsKnownByItsSuperblock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "partition")
	for magic, want := range map[string]bool{"\x53\xef": true, "\x00\x00": false} {
		if err := os.WriteFile(name, []byte(strings.Repeat("\x00", 1024+56)+magic), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := isExt4(name); got != want || err != nil {
			t.Errorf("%x: %t, %v", magic, got, err)
		}
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := isExt4(name); err == nil {
		t.Error("what can't be read isn't blank")
	}
}
