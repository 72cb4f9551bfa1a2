package appliance

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"landbridge/console"
	"landbridge/internal/config"
	"landbridge/internal/store"
)

// nameRecord is the name that the console has given to the appliance.
type nameRecord struct {
	Name string `cbor:"1,keyasint"`
}

func nameBucket() store.Bucket[nameRecord] { return store.NewBucket[nameRecord]("appliance") }

// calledName returns what the appliance is called: as the configuration says, else as the console
// does, else as the host.
func (s *state) calledName(cfg config.Config) (string, error) {
	if cfg.NameGiven {
		return cfg.Name, nil
	}
	name := cfg.Name
	err := s.db.View(func(tx *store.Tx) error {
		r, ok, err := nameBucket().Get(tx, []byte("name"))
		if ok {
			name = r.Name
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the appliance's name: %w", err)
	}
	return name, nil
}

// name returns what the appliance is called now.
func (n *node) name() string {
	if given := n.renamed.Load(); given != nil {
		return *given
	}
	return n.cfg.Name
}

// Name returns the appliance's name, and whether the configuration decides it.
func (n *node) Name() (name string, fixed bool) { return n.name(), n.cfg.NameGiven }

// CheckName says what is wrong with a new name.
func (n *node) CheckName(name string) error { return config.CheckLabel(name) }

// Rename calls the appliance otherwise, from now on and after restarts. Groups keep the name
// under which it has joined them.
func (n *node) Rename(_ context.Context, name string) error {
	if n.cfg.NameGiven {
		return console.Conflict(errors.New("the configuration decides the appliance's name: change it there, or take it out there"))
	}
	if err := config.CheckLabel(name); err != nil {
		return console.Invalid(err)
	}
	name = strings.ToLower(name)
	err := n.state.db.Update(func(tx *store.Tx) error {
		return nameBucket().Put(tx, []byte("name"), nameRecord{Name: name})
	})
	if err != nil {
		return fmt.Errorf("keep the appliance's name: %w", err)
	}
	n.renamed.Store(&name)
	return nil
}
