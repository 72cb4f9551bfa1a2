package doctor

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
)

// What the doctor says of the machine; see doctor.go.

// clockSynced reports whether something keeps the clock right, as the kernel was told; known is false where it doesn't say.
func clockSynced() (synced *bool) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return nil
	}
	ok := t.Status&unix.STA_UNSYNC == 0
	return &ok
}

// space is room on a disk.
type space struct {
	free, total uint64
	readOnly    bool
	err         error
	path        string
}

func freeSpace(dir string) space {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return space{err: err, path: dir}
	}
	return space{free: fs.Bavail * uint64(fs.Bsize), total: fs.Blocks * uint64(fs.Bsize), readOnly: fs.Flags&unix.ST_RDONLY != 0, path: filepath.Clean(dir)}
}

func (x *examination) clock() {
	const name, title = "clock", "Clock"
	switch {
	case x.now.Year() < 2024:
		x.bad(api.CheckStateFailed, name, title, "Set the clock (timedatectl set-ntp true).", "This host believes that it is %s: certificates seem not to be valid yet, and members refuse each other.", x.now.UTC().Format("2006-01-02"))
	case x.synced == nil:
		x.ok(name, title, "It is %s; whether something keeps it right the kernel doesn't say.", x.now.UTC().Format("2006-01-02 15:04:05 UTC"))
	case !*x.synced && x.Agree > 0:
		x.ok(name, title, "Nothing keeps it right, as far as its kernel knows, but it agrees with those of %d other members. A time service would keep it so.", x.Agree)
	case !*x.synced: // no trouble by itself: health has none either, and says so once other members' clocks differ
		x.ok(name, title, "It is %s. Nothing keeps it right, as far as this host's kernel knows, and no other member's is known to compare it with. A time service would (timedatectl set-ntp true, or chrony; in a virtual machine or container that of its host serves).", x.now.UTC().Format("2006-01-02 15:04:05 UTC"))
	default:
		x.ok(name, title, "It is kept right.")
	}
}

// machine looks at disk, state and what the kernel can't do.
func (x *examination) machine() {
	const disk, title = "disk", "Disk space"
	switch {
	case x.disk.err != nil:
		x.bad(api.CheckStateWarning, disk, title, "See that the state directory is there and can be read by the appliance.", "The space left for the state can't be found out: %v.", x.disk.err)
	case x.disk.readOnly:
		x.bad(api.CheckStateFailed, disk, title, "See the kernel's log for the reason, as a failing disk; mount it writable again, and restart the appliance.", "The file system of %s is read-only: no lease can be given, as each is written before it is told.", x.disk.path)
	case x.disk.free < diskFull:
		x.bad(api.CheckStateFailed, disk, title, "Make room on it.", "%d MB are left at %s: soon no lease can be written, and none be given.", x.disk.free>>20, x.disk.path)
	case x.disk.free < diskLow:
		x.bad(api.CheckStateWarning, disk, title, "Make room on it.", "%d MB are left at %s.", x.disk.free>>20, x.disk.path)
	default:
		x.ok(disk, title, "%d MB are left at %s.", x.disk.free>>20, x.disk.path)
	}
	if x.State != nil {
		x.bad(api.CheckStateFailed, "store", "State", "Look at the log and the disk, and restart the appliance.", "The state can't be read: %v.", x.State)
	} else {
		x.ok("store", "State", "It can be read.")
	}
	x.offloads()
}

// offloads says what the kernel doesn't do for us, which costs speed alone.
func (x *examination) offloads() {
	lost := false
	for _, c := range []struct{ counter, text string }{
		{"socket lacks_udp_gro", "The kernel doesn't join datagrams that arrive (UDP GRO, from 5.0 on)."},
		{"socket lacks_udp_segment", "The kernel doesn't take joined datagrams (UDP segmentation, from 4.18 on)."},
	} {
		if x.counters[c.counter] > 0 {
			lost = true
			x.bad(api.CheckStateWarning, "offloads", "Offloads", "A newer kernel is quicker; nothing else is wrong with this one.", "%s", c.text)
		}
	}
	if n := x.counters["socket send_unjoined"]; n > 0 {
		lost = true
		x.bad(api.CheckStateWarning, "offloads", "Offloads", "A network card, or driver, with UDP segmentation is quicker (ethtool -k shows tx-udp-segmentation).", "A device refused %d runs of datagrams, which then went one by one.", n)
	}
	if !lost {
		x.ok("offloads", "Offloads", "Kernel and devices take joined datagrams.")
	}
}
