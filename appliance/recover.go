package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"landbridge/iface"
)

// Recover puts right what a killed run on the state in dir has left on this host: bridges,
// virtual addresses, routes. log hears of each. It fails with store.ErrInUse where a daemon
// runs, which has nothing to be put right; a start does the same by itself.
func Recover(dir string, log *slog.Logger) (err error) {
	if missing(dir) {
		return fmt.Errorf("%s: %w: name the state directory of the run that was killed with --state", dir, fs.ErrNotExist)
	}
	state, err := openState(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.close()) }()
	if err := iface.CheckPrivileges(); err != nil {
		return err
	}
	return iface.Recover(state.owner(), log)
}
