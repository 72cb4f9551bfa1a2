package appliance

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"landbridge/dhcp"
	"landbridge/internal/config"
	"landbridge/internal/division"
	"landbridge/internal/group"
	"landbridge/internal/sorting"
	"landbridge/internal/store"
)

// The rules of segments that were set while the appliance ran: whom DHCP serves there, and of which
// group the hosts are that nobody named. What the configuration says of it goes before.

// ruleRecord is what was set of a group's segment.
type ruleRecord struct {
	Serve   dhcp.Serve `cbor:"1,keyasint,omitempty"` // "": nothing
	Classes []string   `cbor:"2,keyasint,omitempty"` // beginnings of vendor classes; for dhcp.ServeVendorClass
	Server  uint16     `cbor:"3,keyasint,omitempty"` // the UDP ports; 0: nothing
	Client  uint16     `cbor:"4,keyasint,omitempty"`
	Default int64      `cbor:"5,keyasint,omitempty"` // since when (Unix nanoseconds) the hosts are its own that nobody named; 0: they aren't
	Since   int64      `cbor:"6,keyasint"`           // of the last change, Unix nanoseconds
	By      string     `cbor:"7,keyasint,omitempty"`
	Version int64      `cbor:"8,keyasint,omitempty"` // how often it was changed
}

func ruleBucket() store.Bucket[ruleRecord] { return store.NewBucket[ruleRecord]("dhcp rules") }

// over returns what counts: what the configuration says, and what was set where that says nothing.
func (r ruleRecord) over(c config.DHCP) config.DHCP {
	if !c.ServeGiven && r.Serve != "" {
		c.Serve, c.VendorClasses = r.Serve, r.Classes
	}
	if !c.PortsGiven && r.Server != 0 {
		c.Ports = dhcp.Ports{Server: r.Server, Client: r.Client}
	}
	return c
}

// dhcp returns whom DHCP serves on the group's segment, and how.
func (n *network) dhcp() config.DHCP {
	return (*n.node.roll.rules.Load())[n.id].over(n.node.cfg.DHCP)
}

// ruleOf is what a configuration has the DHCP server do.
func ruleOf(c config.DHCP) dhcp.Rule {
	return dhcp.Rule{Serve: c.Serve, VendorClasses: c.VendorClasses}
}

// defaultsOf returns the groups that take the hosts that nobody named, the latest first.
func defaultsOf(rules map[group.ID]ruleRecord) (all []group.ID) {
	for id, r := range rules {
		if r.Default != 0 {
			all = append(all, id)
		}
	}
	sorting.By(all, func(a, b group.ID) int {
		return cmp.Or(cmp.Compare(rules[b].Default, rules[a].Default), slices.Compare(a[:], b[:]))
	})
	return all
}

// readRules reads what was set.
func (r *roll) readRules() error {
	rules := make(map[group.ID]ruleRecord)
	err := r.db.View(func(tx *store.Tx) error {
		var failed error
		for key, record := range ruleBucket().Scan(tx, nil, &failed) {
			if len(key) == len(group.ID{}) {
				rules[group.ID(key)] = record
			}
		}
		return failed
	})
	if err != nil {
		return fmt.Errorf("rules of segments: %w", err)
	}
	r.rules.Store(&rules)
	return nil
}

// setRules changes what was set: on disk before it counts. Where change refuses, or fits refuses what would be then,
// nothing is done.
func (r *roll) setRules(change func(map[group.ID]ruleRecord) error, fits func(division.Live) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	former := *r.rules.Load()
	rules := maps.Clone(former)
	if err := change(rules); err != nil {
		return err
	}
	if err := fits(division.Live{Hosts: divided(*r.have.Load()), Defaults: defaultsOf(rules)}); err != nil {
		return err
	}
	err := r.db.Update(func(tx *store.Tx) error {
		for id, record := range rules {
			if was, known := former[id]; known && reflect.DeepEqual(was, record) {
				continue // nor is the record of a group written back that is being left
			}
			if err := ruleBucket().Put(tx, id[:], record); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("rules of segments: %w", err)
	}
	r.rules.Store(&rules)
	return nil
}

// forgetRule forgets what was set of a group's segment, which the state has forgotten.
func (r *roll) forgetRule(id group.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rules := maps.Clone(*r.rules.Load())
	delete(rules, id)
	r.rules.Store(&rules)
}
