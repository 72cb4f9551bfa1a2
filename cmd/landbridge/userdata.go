package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"landbridge/image/userdata"
)

// maxUserData is more than user-data may have.
const maxUserData = 1 << 20

func (p *program) userDataCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "user-data FILE",
		Short:   "Judge what an image is given for its first start",
		GroupID: "appliance",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("want the one file with user-data, or - for standard input")}
			}
			return nil
		},
		Long: `Judge the user-data that an image is to be given for its first start (docs/image.md),
as the image itself will: all that is wrong with it is listed, with lines. Nothing of
this machine is looked at or changed.`,
		Example: `  landbridge user-data site-a.yaml`,
		RunE: func(_ *cobra.Command, args []string) error {
			in := p.in
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			content, err := io.ReadAll(io.LimitReader(in, maxUserData))
			if err != nil {
				return fmt.Errorf("read %s: %w", args[0], err)
			}
			d, err := userdata.Parse(args[0], content)
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(d)
			}
			_, err = fmt.Fprintln(p.out, "It is right.")
			return err
		},
	}
}
