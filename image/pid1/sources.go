package pid1

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Where volumes are mounted, and what QEMU hands over.
const (
	volumeDir = "/run/seed"
	fwCfg     = "/sys/firmware/qemu_fw_cfg/by_name/opt/landbridge"
)

// volumeSeed is a kind of volume that may have a seed.
type volumeSeed struct {
	label string
	read  func(dir string) seed // where it is mounted
}

// volumeSeeds returns the kinds, in the order in which they count: NoCloud's, and OpenStack's config drive.
func volumeSeeds() []volumeSeed {
	return []volumeSeed{
		{"cidata", func(dir string) seed { return readSeed(dir, "user-data", seedState, "volume cidata") }},
		{"config-2", readConfigDrive},
	}
}

// findSeed returns what was given from outside: by a volume, or by QEMU's fw_cfg, in this order.
func findSeed(log *slog.Logger) seed {
	files, err := filepath.Glob("/sys/class/block/*")
	if err != nil {
		return seed{}
	}
	volumes := labelled(files)
	for _, k := range volumeSeeds() {
		for _, v := range volumes[k.label] {
			s, err := readVolume(v, k.read)
			if err != nil {
				log.Error("a volume can't be read", "device", v.device, "err", err)
			}
			if err == nil && s.from != "" {
				return s
			}
		}
	}
	return readSeed(fwCfg, "user-data/raw", "state/raw", "fw_cfg")
}

// volume is a device with a file system.
type volume struct{ device, kind string }

// labelled returns the volumes among devices that may have a seed, by their labels.
func labelled(files []string) map[string][]volume {
	all := map[string][]volume{}
	for _, f := range files {
		device := "/dev/" + filepath.Base(f)
		d, err := os.Open(device)
		if err != nil {
			continue
		}
		kind, label := volumeLabel(d)
		_ = d.Close() // it was read alone
		label = strings.ToLower(label)
		if slices.ContainsFunc(volumeSeeds(), func(k volumeSeed) bool { return k.label == label }) {
			all[label] = append(all[label], volume{device, kind})
		}
	}
	return all
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

// readVolume reads a volume. No link leads out of it.
func readVolume(v volume, read func(dir string) seed) (s seed, err error) {
	flags := uintptr(unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOSYMFOLLOW)
	if err := mount(v.device, volumeDir, v.kind, flags, ""); err != nil {
		return seed{}, err
	}
	defer func() { err = errors.Join(err, unix.Unmount(volumeDir, 0)) }()
	return read(volumeDir), nil
}

// readConfigDrive reads OpenStack's config drive: the user's data, of the metadata the host's name, and networks.
func readConfigDrive(dir string) seed {
	latest := filepath.Join(dir, "openstack", "latest")
	s := readSeed(latest, "user_data", "", "config drive")
	if meta, err := readAtMost(filepath.Join(latest, "meta_data.json"), largestText); err == nil && s.from != "" {
		s.hostName = hostNameOf(meta)
	}
	if networks, err := readAtMost(filepath.Join(latest, "network_data.json"), largestText); err == nil && s.from != "" {
		s.networks = networks
	}
	return s
}

// hostNameOf returns the host's name in OpenStack's meta_data.json, or nothing.
func hostNameOf(meta []byte) string {
	var m struct{ Hostname, Name string }
	if err := json.Unmarshal(meta, &m); err != nil {
		return ""
	}
	if m.Hostname == "" {
		m.Hostname = m.Name
	}
	if len(m.Hostname) > largestHostName {
		return ""
	}
	return m.Hostname
}

// readSeed reads the files of a seed that are there; without the name of one for the state it has none.
func readSeed(dir, userData, state, from string) seed {
	s := seed{}
	text, err := readAtMost(filepath.Join(dir, userData), largestText)
	if err == nil {
		s.from, s.userData = from, text
	}
	if state == "" {
		return s
	}
	if db, err := readAtMost(filepath.Join(dir, state), largestSeed); err == nil {
		s.from, s.state = from, db
	}
	return s
}

// readAtMost reads a file, and no more than one byte over what is sensible. What isn't a file isn't waited for.
func readAtMost(name string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no file", name))
	}
	return io.ReadAll(io.LimitReader(f, limit+1))
}
