package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"landbridge/internal/store"
)

func (p *program) recoverCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "recover",
		Short:             "Put this host's network right after a kill, without starting",
		GroupID:           "appliance",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Put this host's network right after the appliance was killed: remove the devices that
it left, and give the LAN port back as it was. The next start of the appliance does the
same by itself; this is for a host on which it isn't to start again.`,
		RunE: func(*cobra.Command, []string) error {
			log := newPlainLog(p.err)
			if err := p.mustHaveState(); err != nil {
				return err
			}
			err := p.recover(p.state, slog.New(log))
			if errors.Is(err, store.ErrInUse) {
				_, err = fmt.Fprintf(p.out, "An appliance is running on the state in %s, and looks after this host's network: there is nothing to put right.\n", p.state)
				return err
			}
			if err == nil && log.lines.Load() == 0 {
				_, err = fmt.Fprintln(p.out, "Nothing was left: this host's network is as it was.")
			}
			return err
		},
	}
}
