package group

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"landbridge/internal/store"
)

// ErrSettingsChanged: somebody else has changed the settings meanwhile.
var ErrSettingsChanged = errors.New("the group's settings were changed meanwhile: look at them, and change them again")

// settingsBucket holds the newest settings known of each group, one for the authority and the
// membership of one node.
func settingsBucket() store.Bucket[[]byte] { return store.NewBucket[[]byte]("group", "settings") }

// loadSettings returns the stored settings; none where there are none.
func loadSettings(tx *store.Tx, d *Descriptor) (parsedSettings, error) {
	raw, ok, err := settingsBucket().Get(tx, d.Group[:])
	if err != nil || !ok {
		return parsedSettings{}, err
	}
	s, err := ParseSettings(raw, d)
	if err != nil {
		return parsedSettings{}, fmt.Errorf("settings of group %s in the state file: %w", d.Group.Short(), err)
	}
	return parsedSettings{signed: raw, settings: s}, nil
}

// Configure makes s the group's settings, in place of those of version base (0: there were none),
// else ErrSettingsChanged. Its Version and Made are set; what a newer program has set stays. Faults
// of s are *SettingErrors. WatchSettings tells who spreads them.
func (a *Authority) Configure(s Settings, base uint64, now time.Time) (*Settings, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s = s.Normal()
	var next parsedSettings
	err := a.db.Update(func(tx *store.Tx) error {
		d, err := a.load(tx)
		if err != nil {
			return err
		}
		if err := s.ValidateNew(d.Params); err != nil {
			return err
		}
		was, err := loadSettings(tx, d)
		if err != nil {
			return err
		}
		if was.version() != base {
			return ErrSettingsChanged
		}
		s.Version, s.Made, s.unknown = base+1, now, nil
		if was.settings != nil {
			s.unknown = was.settings.unknown
		}
		if next.signed, err = s.sign(a.id, a.key); err != nil {
			return err
		}
		if next.settings, err = ParseSettings(next.signed, d); err != nil { // what others would refuse must not leave here
			return err
		}
		return settingsBucket().Put(tx, a.id[:], next.signed)
	})
	if err != nil {
		return nil, err
	}
	a.changed.tell(next.signed)
	return next.settings, nil
}

// WatchSettings has fn called with the settings that the authority signs from now on, as Subscribe does.
func (a *Authority) WatchSettings(fn func(SignedSettings)) (cancel func()) { return a.changed.add(fn) }

func (p parsedSettings) version() uint64 {
	if p.settings == nil {
		return 0
	}
	return p.settings.Version
}

// Settings returns the newest settings known; nil where there are none. They are shared.
func (m *Membership) Settings() *Settings { return m.settings.Load().settings }

// SignedSettings returns them in the form that others take; nil where there are none.
func (m *Membership) SignedSettings() SignedSettings { return m.settings.Load().signed }

// UpdateSettings takes newer settings, from whomever they came: verified, they are durable before it
// returns, and the subscribers have been told. Older ones change nothing.
func (m *Membership) UpdateSettings(signed SignedSettings) (changed bool, err error) {
	if bytes.Equal(signed, m.SignedSettings()) {
		return false, nil
	}
	s, err := ParseSettings(signed, m.Descriptor())
	if err != nil {
		return false, err
	}
	came := parsedSettings{signed: bytes.Clone(signed), settings: s}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.settings.Load().newer(came) {
		return false, nil
	}
	err = m.db.Update(func(tx *store.Tx) error {
		if _, ok, err := memberships().Get(tx, m.id[:]); err != nil || !ok {
			return errors.Join(ErrNoMembership, err) // it was left meanwhile
		}
		stored, err := loadSettings(tx, m.Descriptor())
		if err == nil && !stored.newer(came) { // the authority on this node has stored it, or a later one
			came = stored
			return nil
		}
		return settingsBucket().Put(tx, m.id[:], came.signed)
	})
	if err != nil {
		return false, fmt.Errorf("update the settings of group %s to version %d: %w", m.id.Short(), s.Version, err)
	}
	m.settings.Store(&came)
	m.settled.tell(came.settings)
	return true, nil
}

// WatchSettings has fn called with the settings that UpdateSettings takes from now on: one after the
// other, on its goroutine. fn must not call it. cancel ends it.
func (m *Membership) WatchSettings(fn func(*Settings)) (cancel func()) { return m.settled.add(fn) }
