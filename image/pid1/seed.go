package pid1

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"landbridge/console/access"
	"landbridge/image/userdata"
	"landbridge/internal/config"
	"landbridge/internal/store"
)

// Where an appliance's first configuration comes from, and what is kept of it.
const (
	keptUserData = "user-data"     // in stateDir
	keptHostName = "host-name"     // in stateDir: what the machine's cloud calls it, where user-data doesn't
	keptNetworks = "network-data"  // in stateDir: in which networks its cloud says that it is
	keptNetwork  = "network"       // in stateDir: what the rescue console has set instead
	keptApplied  = "applied"       // in stateDir: what is done once is done
	seedState    = "landbridge.db" // on a volume: the appliance's state
	largestSeed  = 64 << 20        // bytes of a state
	largestText  = 1 << 20         // bytes of user-data, far more than are taken

	largestHostName = 253 // bytes (RFC 1035, 2.3.4)
)

// seed is what an appliance was given.
type seed struct {
	from     string // for people; empty: nothing was given
	userData []byte
	hostName string // by its cloud; empty: none
	networks []byte // OpenStack's network_data.json; nil: none
	state    []byte // nil: none
}

// configured returns what the appliance was told, by its state directory or else by what is
// found, which it keeps there. What is wrong with that is for people, and then it was told nothing.
func configured(dir string, find func() seed) (d userdata.Data, wrong []string) {
	name := filepath.Join(dir, keptUserData)
	text, err := readAtMost(name, largestText)
	if err == nil {
		d, wrong = judge("user-data of the state partition", text)
		return called(d, contents(filepath.Join(dir, keptHostName))), wrong
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return d, []string{fmt.Sprintf("What this appliance was told can't be read: %v.", err)}
	}
	s := find()
	if s.from == "" {
		return d, nil
	}
	d, _, wrong = take(dir, s)
	return d, wrong
}

// take keeps what the appliance is given, as a whole, and returns what that tells it. What is wrong is for
// people; taken says that the appliance is to be so nevertheless.
func take(dir string, s seed) (d userdata.Data, taken bool, wrong []string) {
	if d, wrong = judge("user-data", s.userData); len(wrong) > 0 {
		return d, false, append(wrong, fmt.Sprintf("Nothing of it is applied (%s). Mend it and restart, or set the appliance up by its console.", s.from))
	}
	if len(s.state) > 0 {
		err := plant(filepath.Join(dir, "landbridge"), s.state)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("The state that was given along isn't taken: %v.", err))
		}
		if err != nil && !errors.Is(err, errHasState) {
			return userdata.Data{}, false, append(wrong, fmt.Sprintf("Nothing of it is applied (%s). Mend it and restart; where this appliance has made itself a state by then, choose the factory reset.", s.from))
		}
	}
	if _, err := managementOf(s.networks); err != nil && s.networks != nil {
		wrong, s.networks = append(wrong, fmt.Sprintf("What the %s says of networks isn't used: %v.", s.from, err)), nil
	}
	err := writeSafely(filepath.Join(dir, keptHostName), []byte(s.hostName))
	if err == nil && s.networks != nil {
		err = writeSafely(filepath.Join(dir, keptNetworks), s.networks)
	}
	if err == nil {
		err = writeSafely(filepath.Join(dir, keptUserData), s.userData)
	}
	if err != nil {
		wrong = append(wrong, fmt.Sprintf("What this appliance was told can't be kept: %v.", err))
	}
	return called(d, s.hostName), true, wrong
}

// called gives a machine that wasn't told its name the one that its cloud has for it: the first label.
func called(d userdata.Data, hostName string) userdata.Data {
	label, _, _ := strings.Cut(strings.TrimSpace(hostName), ".")
	if label = strings.ToLower(label); d.Name != "" || config.CheckLabel(label) != nil {
		return d
	}
	settings := map[string][]string{"name": {label}}
	maps.Copy(settings, d.Settings)
	d.Name, d.Settings = label, settings
	return d
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
// user-data says, or what its cloud does.
func management(ctx context.Context, dir string, told userdata.Management, log *slog.Logger) userdata.Management {
	text, err := readAtMost(filepath.Join(dir, keptNetwork), largestText)
	if err != nil || ctx.Err() != nil {
		return behindUserData(dir, told, log)
	}
	d, err := userdata.Parse(keptNetwork, text)
	if err != nil {
		log.Error("what the rescue console has set isn't right", "err", err)
		return told
	}
	return d.Management
}

// behindUserData returns what the machine's cloud says of networks where user-data says nothing of them; what
// that says of resolvers counts all the same.
func behindUserData(dir string, told userdata.Management, log *slog.Logger) userdata.Management {
	text, err := readAtMost(filepath.Join(dir, keptNetworks), largestText)
	if err != nil || told.Told {
		return told
	}
	m, err := managementOf(text)
	if err != nil {
		log.Error("what the cloud says of networks isn't right", "err", err)
		return told
	}
	if len(told.DNS) > 0 {
		m.DNS = told.DNS
	}
	return m
}
