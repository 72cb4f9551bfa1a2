package appliance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/config"
	"landbridge/internal/frame"
	"landbridge/internal/store"
)

// roll is the hosts that DHCP serves whatever Config.DHCP.Serve says: those that the
// configuration names, and those that were registered while the appliance ran, which the
// state remembers.
type roll struct {
	db    *store.DB
	fixed []frame.MAC

	mu   sync.Mutex // who changes it
	have atomic.Pointer[map[frame.MAC]hostRecord]
}

// hostRecord is a host that was registered.
type hostRecord struct {
	Since int64 `cbor:"1,keyasint"` // Unix nanoseconds
}

// maxRegistered bounds the hosts that are registered besides the configured ones.
const maxRegistered = 65536

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
	return r, nil
}

// has reports whether a host is on the roll. It takes no lock.
func (r *roll) has(mac frame.MAC) bool {
	_, ok := (*r.have.Load())[mac]
	return ok || slices.Contains(r.fixed, mac)
}

// empty reports that nobody is.
func (r *roll) empty() bool { return len(r.fixed) == 0 && len(*r.have.Load()) == 0 }

// change puts a host on the roll, or takes it off: on disk before it counts.
func (r *roll) change(mac frame.MAC, on bool) (record hostRecord, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := maps.Clone(*r.have.Load())
	record, known := have[mac]
	switch {
	case on == known:
		return record, nil
	case on && len(have) >= maxRegistered:
		return record, console.Conflict(fmt.Errorf("%d hosts are registered, and that is the most", maxRegistered))
	case on:
		record = hostRecord{Since: time.Now().UnixNano()}
		have[mac] = record
	default:
		delete(have, mac)
	}
	err = r.db.Update(func(tx *store.Tx) error {
		if on {
			return hostBucket().Put(tx, mac[:], record)
		}
		return hostBucket().Delete(tx, mac[:])
	})
	if err != nil {
		return record, fmt.Errorf("host %v: %w", mac, err)
	}
	r.have.Store(&have)
	return record, nil
}

// Hosts lists the registered hosts.
func (n *node) Hosts(context.Context) ([]api.RegisteredHost, error) {
	all := []api.RegisteredHost{}
	for _, mac := range n.roll.fixed {
		all = append(all, api.RegisteredHost{MAC: mac.String(), Configured: true})
	}
	for mac, record := range *n.roll.have.Load() {
		if !slices.Contains(n.roll.fixed, mac) {
			all = append(all, registeredHost(mac, record))
		}
	}
	return all, nil
}

func registeredHost(mac frame.MAC, r hostRecord) api.RegisteredHost {
	h := api.RegisteredHost{MAC: mac.String()}
	if r.Since != 0 {
		h.Since = time.Unix(0, r.Since).UTC()
	}
	return h
}

// parseHost reads the hardware address of a host.
func parseHost(text string) (frame.MAC, error) {
	mac, err := config.ParseHost(text)
	if err != nil {
		return mac, console.Invalid(err, api.FieldError{Field: "mac", Detail: err.Error()})
	}
	return mac, nil
}

// RegisterHost has DHCP serve a host from now on, whatever the policy says of others.
func (n *node) RegisterHost(_ context.Context, text string) (api.RegisteredHost, error) {
	mac, err := parseHost(text)
	if err != nil {
		return api.RegisteredHost{}, err
	}
	if slices.Contains(n.roll.fixed, mac) {
		return api.RegisteredHost{MAC: mac.String(), Configured: true}, nil
	}
	record, err := n.roll.change(mac, true)
	return registeredHost(mac, record), err
}

// ForgetHost ends a host's registration. What it has leased it keeps until the lease ends.
func (n *node) ForgetHost(_ context.Context, text string) (api.RegisteredHost, error) {
	mac, err := parseHost(text)
	switch {
	case err != nil:
		return api.RegisteredHost{}, err
	case slices.Contains(n.roll.fixed, mac):
		return api.RegisteredHost{}, console.Conflict(fmt.Errorf("%v is registered by the configuration (dhcp-host): take it out there, and start the appliance anew", mac))
	case !n.roll.has(mac):
		return api.RegisteredHost{}, console.NotFound(errors.New(mac.String() + " isn't registered: landbridge hosts lists those that are"))
	}
	record, err := n.roll.change(mac, false)
	return registeredHost(mac, record), err
}
