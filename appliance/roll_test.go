package appliance

import (
	"path/filepath"
	"strings"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/frame"
	"landbridge/internal/store"
)

func TestRegisteredHostsAreRememberedAndConfiguredOnesStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "landbridge.db")
	fixed := frame.MAC{2, 0, 0, 0, 0, 1}
	open := func() (*node, *store.DB) {
		db, err := store.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := openRoll(db, []frame.MAC{fixed})
		if err != nil {
			t.Fatal(err)
		}
		return &node{roll: r}, db
	}
	n, db := open()
	for _, text := range []string{"02:00:00:00:00:02", "02-00-00-00-00-03", "02:00:00:00:00:01"} {
		if _, err := n.RegisterHost(t.Context(), text, api.HostRegistration{}, "nora"); err != nil {
			t.Error(err)
		}
	}
	if _, err := n.ForgetHost(t.Context(), "02:00:00:00:00:03", "nora"); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"02:00:00:00:00:01": "registered by the configuration",
		"02:00:00:00:00:03": "isn't registered",
		"01:00:5e:00:00:01": "no single host's",
		"x":                 "not a hardware address",
	} {
		if _, err := n.ForgetHost(t.Context(), text, "nora"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("forget %s: %v", text, err)
		}
	}
	for range 2 { // and after a restart
		for mac, want := range map[frame.MAC]bool{fixed: true, {2, 0, 0, 0, 0, 2}: true, {2, 0, 0, 0, 0, 3}: false} {
			if n.roll.has(mac) != want {
				t.Errorf("%v: registered %t", mac, !want)
			}
		}
		if all, err := n.Hosts(t.Context()); err != nil || len(all) != 2 || !all[0].Configured || all[1].Since.IsZero() {
			t.Errorf("%+v, %v", all, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		n, db = open()
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
