package appliance

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/console"
	"landbridge/internal/division"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/store"
)

// roll is whom DHCP serves, as the state remembers it: the hosts that are served whatever the rule
// of their segment says, which the configuration names or which were registered while the appliance
// ran, some of them in a group; and the rules of segments that were set while it ran.
type roll struct {
	db    *store.DB
	fixed []frame.MAC

	mu   sync.Mutex // who changes it
	have atomic.Pointer[map[frame.MAC]hostRecord]

	rules atomic.Pointer[map[group.ID]ruleRecord]
}

// hostRecord is a host that was registered.
type hostRecord struct {
	Since int64  `cbor:"1,keyasint"`           // Unix nanoseconds
	Group []byte `cbor:"2,keyasint,omitempty"` // the ID of the one that it is of; empty: as the configuration divides the LAN
	Note  string `cbor:"3,keyasint,omitempty"`
	By    string `cbor:"4,keyasint,omitempty"` // who registered it
}

// group returns the group that the host was registered in, the zero ID where that is none.
func (h hostRecord) group() (id group.ID) {
	copy(id[:], h.Group)
	return id
}

// in has the host be of a group; the zero ID is none.
func (h *hostRecord) in(id group.ID) {
	h.Group = nil
	if id != (group.ID{}) {
		h.Group = id[:]
	}
}

// maxRegistered bounds the hosts that are registered besides the configured ones.
const maxRegistered = 8192

func hostBucket() store.Bucket[hostRecord] { return store.NewBucket[hostRecord]("dhcp hosts") }

// openRoll reads who is registered.
func openRoll(db *store.DB, fixed []frame.MAC) (*roll, error) {
	r := &roll{db: db, fixed: fixed}
	have := make(map[frame.MAC]hostRecord)
	err := db.View(func(tx *store.Tx) error {
		var failed error
		for key, record := range hostBucket().Scan(tx, nil, &failed) {
			if len(key) == len(frame.MAC{}) {
				have[frame.MAC(key)] = record
			}
		}
		return failed
	})
	if err != nil {
		return nil, fmt.Errorf("registered hosts: %w", err)
	}
	r.have.Store(&have)
	return r, r.readRules()
}

// has reports whether a host is on the roll. It takes no lock.
func (r *roll) has(mac frame.MAC) bool {
	_, ok := (*r.have.Load())[mac]
	return ok || slices.Contains(r.fixed, mac)
}

// serves reports whether there is anybody who can be a group's.
func (r *roll) serves(id group.ID) bool {
	for _, record := range *r.have.Load() {
		if of := record.group(); of == id || of == (group.ID{}) {
			return true
		}
	}
	return len(r.fixed) > 0
}

// divided returns the hosts that were registered in a group.
func divided(have map[frame.MAC]hostRecord) division.Registered {
	in := make(division.Registered)
	for mac, record := range have {
		if len(record.Group) > 0 {
			in[mac] = record.group()
		}
	}
	return in
}

// live returns how the hosts are divided among the groups besides what the configuration says.
func (r *roll) live() division.Live {
	return division.Live{Hosts: divided(*r.have.Load()), Defaults: defaultsOf(*r.rules.Load())}
}

// put registers a host, or changes what is known of one: on disk before it counts. Where fits refuses
// what all would be then, nothing is done.
func (r *roll) put(mac frame.MAC, change func(*hostRecord), fits func(division.Live) error) (record hostRecord, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := maps.Clone(*r.have.Load())
	record, known := have[mac]
	if !known {
		if len(have) >= maxRegistered {
			return record, console.Conflict(fmt.Errorf("%d hosts are registered, and that is the most", maxRegistered))
		}
		record.Since = time.Now().UnixNano()
	}
	change(&record)
	have[mac] = record
	return record, r.replace(have, mac, fits, func(tx *store.Tx) error { return hostBucket().Put(tx, mac[:], record) })
}

// remove ends a host's registration, as put begins it.
func (r *roll) remove(mac frame.MAC, fits func(division.Live) error) (was hostRecord, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := maps.Clone(*r.have.Load())
	was = have[mac]
	delete(have, mac)
	return was, r.replace(have, mac, fits, func(tx *store.Tx) error { return hostBucket().Delete(tx, mac[:]) })
}

// replace has the roll be these, once write has written what is different.
func (r *roll) replace(have map[frame.MAC]hostRecord, mac frame.MAC, fits func(division.Live) error, write func(*store.Tx) error) error {
	if err := fits(division.Live{Hosts: divided(have), Defaults: defaultsOf(*r.rules.Load())}); err != nil {
		return err
	}
	if err := r.db.Update(write); err != nil {
		return fmt.Errorf("host %v: %w", mac, err)
	}
	r.have.Store(&have)
	return nil
}
