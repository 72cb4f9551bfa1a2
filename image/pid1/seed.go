package pid1

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"landbridge/console/access"
	"landbridge/image/userdata"
	"landbridge/internal/store"
)

// Where an appliance's first configuration comes from, and what is kept of it.
const (
	keptUserData = "user-data"     // in stateDir
	keptNetwork  = "network"       // in stateDir: what the rescue console has set instead
	keptApplied  = "applied"       // in stateDir: what is done once is done
	seedState    = "landbridge.db" // on a volume: the appliance's state
	volumeDir    = "/run/cidata"
	fwCfg        = "/sys/firmware/qemu_fw_cfg/by_name/opt/landbridge"
	largestSeed  = 64 << 20 // bytes of a state
	largestText  = 1 << 20  // bytes of user-data, far more than are taken
)

// seed is what an appliance was given.
type seed struct {
	from     string // for people; empty: nothing was given
	userData []byte
	state    []byte // nil: none
}

// findSeed returns what was given from outside: a volume labelled cidata (NoCloud), or QEMU's
// fw_cfg, in this order.
func findSeed(log *slog.Logger) seed {
	files, err := filepath.Glob("/sys/class/block/*")
	if err != nil {
		return seed{}
	}
	for _, f := range files {
		device := "/dev/" + filepath.Base(f)
		kind, ok := isSeedVolume(device)
		if !ok {
			continue
		}
		s, err := readVolume(device, kind)
		if err == nil {
			return s
		}
		log.Error("the volume cidata can't be read", "device", device, "err", err)
	}
	return readSeed(fwCfg, "user-data/raw", "state/raw", "fw_cfg")
}

func isSeedVolume(device string) (kind string, ok bool) {
	f, err := os.Open(device)
	if err != nil {
		return "", false
	}
	defer f.Close()
	kind, label := volumeLabel(f)
	return kind, strings.EqualFold(label, "cidata")
}

// volumeLabel returns a volume's file system and label: ISO 9660 (ECMA-119, 8.4) or FAT.
func volumeLabel(r io.ReaderAt) (kind, label string) {
	volume := make([]byte, 72)
	if _, err := r.ReadAt(volume, 16*2048); err == nil && string(volume[:6]) == "\x01CD001" {
		return "iso9660", strings.TrimRight(string(volume[40:72]), " \x00")
	}
	boot := make([]byte, 512)
	if _, err := r.ReadAt(boot, 0); err != nil || binary.LittleEndian.Uint16(boot[510:]) != 0xaa55 {
		return "", ""
	}
	for _, at := range []int{43, 71} { // FAT12 and FAT16, then FAT32: label, then kind
		if bytes.HasPrefix(boot[at+11:], []byte("FAT")) {
			return "vfat", strings.TrimRight(string(boot[at:at+11]), " \x00")
		}
	}
	return "", ""
}

func readVolume(device, kind string) (s seed, err error) {
	if err := mount(device, volumeDir, kind, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return seed{}, err
	}
	defer func() { err = errors.Join(err, unix.Unmount(volumeDir, 0)) }()
	return readSeed(volumeDir, "user-data", seedState, "volume cidata"), nil
}

// readSeed reads the files of a seed that are there.
func readSeed(dir, userData, state, from string) seed {
	s := seed{}
	text, err := readAtMost(filepath.Join(dir, userData), largestText)
	if err == nil {
		s.from, s.userData = from, text
	}
	if db, err := readAtMost(filepath.Join(dir, state), largestSeed); err == nil {
		s.from, s.state = from, db
	}
	return s
}

// readAtMost reads a file, and no more than one byte over what is sensible.
func readAtMost(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// configured returns what the appliance was told, by its state directory or else by what is
// found, which it keeps there. What is wrong with that is for people, and then it was told nothing.
func configured(dir string, find func() seed) (d userdata.Data, wrong []string) {
	name := filepath.Join(dir, keptUserData)
	text, err := readAtMost(name, largestText)
	if err == nil {
		return judge("user-data of the state partition", text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return d, []string{fmt.Sprintf("What this appliance was told can't be read: %v.", err)}
	}
	s := find()
	if s.from == "" {
		return d, nil
	}
	if d, wrong = judge("user-data", s.userData); len(wrong) > 0 {
		return d, append(wrong, fmt.Sprintf("Nothing of it is applied (%s). Mend it and restart, or set the appliance up by its console.", s.from))
	}
	if len(s.state) > 0 {
		err := plant(filepath.Join(dir, "landbridge"), s.state)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("The state that was given along isn't taken: %v.", err))
		}
		if err != nil && !errors.Is(err, errHasState) {
			return userdata.Data{}, append(wrong, fmt.Sprintf("Nothing of it is applied (%s). Mend it and restart; where this appliance has made itself a state by then, choose the factory reset.", s.from))
		}
	}
	if err := writeSafely(name, s.userData); err != nil {
		wrong = append(wrong, fmt.Sprintf("What this appliance was told can't be kept: %v.", err))
	}
	return d, wrong
}

func judge(name string, text []byte) (userdata.Data, []string) {
	d, err := userdata.Parse(name, text)
	if err != nil {
		_, list, _ := strings.Cut(err.Error(), "\n")
		return userdata.Data{}, strings.Split(list, "\n")
	}
	return d, nil
}

var errHasState = errors.New("this appliance has one already")

// plant makes a state of the one that was given, where there is none: checked whole and written anew, as one
// that is restored, with nobody logged in at its console. A kill leaves the whole of it or nothing.
func plant(dir string, db []byte) error {
	name := filepath.Join(dir, "landbridge.db")
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, errHasState)
	}
	if len(db) > largestSeed {
		return fmt.Errorf("%s is larger than %d MiB", seedState, largestSeed>>20)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	given, taken := name+".given", name+".taken"
	defer os.Remove(given)
	defer os.Remove(taken)
	if err := os.WriteFile(given, db, 0o600); err != nil {
		return err
	}
	if err := store.Import(given, taken); err != nil {
		return fmt.Errorf("%s is no whole state of Landbridge, as landbridge group create or landbridge backup makes one (%w)", seedState, err)
	}
	state, err := store.Open(taken)
	if err != nil {
		return err
	}
	if err := errors.Join(access.ForgetSessions(state), state.Close()); err != nil {
		return err
	}
	if err := os.Rename(taken, name); err != nil {
		return err
	}
	return store.SyncDir(dir)
}

// writeSafely writes a file so that it is there as a whole or not at all.
func writeSafely(name string, data []byte) error {
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// management returns how the machine is to be reached: what the rescue console has set, or what
// user-data says.
func management(ctx context.Context, dir string, told userdata.Management, log *slog.Logger) userdata.Management {
	text, err := readAtMost(filepath.Join(dir, keptNetwork), largestText)
	if err != nil || ctx.Err() != nil {
		return told
	}
	d, err := userdata.Parse(keptNetwork, text)
	if err != nil {
		log.Error("what the rescue console has set isn't right", "err", err)
		return told
	}
	return d.Management
}
