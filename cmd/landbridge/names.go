package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

func (p *program) namesCommand() *cobra.Command {
	var params api.ListNamesParams
	var limit int
	cmd := &cobra.Command{
		Use:               "names [SEARCH]",
		Short:             "List names of the zone; set and remove aliases",
		GroupID:           "look",
		Args:              oneArgument,
		ValidArgsFunction: noFiles,
		Long: `List the names of the groups' zones, those of hosts and the aliases that operators have
set, by name. SEARCH leaves those that have this text in them, in what they stand for, in
the serving member's name or in who set them. The other members are asked for their hosts; which
of them hasn't answered is said below the list.`,
		Example: `  sudo landbridge names
  sudo landbridge names set wiki web-2
  sudo landbridge names set router 192.168.1.1
  sudo landbridge names remove wiki`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usageError{fmt.Errorf("--limit %d: want 0 (no limit) or more", limit)}
			}
			params.Search = strings.Join(args, "")
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.NameList, error) {
				list, err := namesLike(ctx, c, params, limit)
				if err == nil {
					err = mistyped(cmd, params.Search, len(list.Items))
				}
				return list, err
			}, func(list api.NameList) error { return p.printNames(list, time.Now()) })
		},
	}
	f := cmd.Flags()
	f.Var(textFlag(&params.Group, "GROUP", ""), "group", "only names of this group (name or ID)")
	f.Var(textFlag((*string)(&params.Kind), "KIND", ""), "kind", "host, reserved or alias")
	f.IntVar(&limit, "limit", 1000, "at most `N` names; 0 for all")
	_ = cmd.RegisterFlagCompletionFunc("group", p.completeGroups)
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]string{"host", "reserved", "alias"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.AddCommand(p.setNameCommand(), p.removeNameCommand())
	return cmd
}

// namesLike asks for names until there are limit (0: all).
func namesLike(ctx context.Context, c *api.Local, params api.ListNamesParams, limit int) (api.NameList, error) {
	all := api.NameList{Items: []api.Name{}}
	err := byPages(limit, func(size int) (got int, next string, err error) {
		params.Limit = &size
		list, err := said(c.ListNamesWithResponse(ctx, &params))
		all.Items = append(all.Items, list.Items...)
		all.Total, all.Next, params.Cursor, all.Unheard = list.Total, list.Next, list.Next, list.Unheard
		return len(list.Items), list.Next, err
	})
	return all, err
}

// printNames prints names for a person.
func (p *program) printNames(list api.NameList, now time.Time) error {
	defer p.remarkUnheard(list.Unheard)
	if len(list.Items) == 0 {
		p.remark("There are no such names.")
		return nil
	}
	t := &table{columns: []column{{title: "NAME", keep: true}, {title: "KIND", keep: true}, {title: "STANDS FOR", keep: true}, {title: "AT"}, {title: "SET BY"}, {title: "SINCE"}, {title: "REMARK"}}}
	for _, n := range list.Items {
		remark := ""
		if n.Hidden {
			remark = "an alias has this name"
		}
		t.add(n.Full, string(n.Kind), n.Target, n.MemberName, n.SetBy, ago(n.Since, now), remark)
	}
	if err := t.write(p.out); err != nil {
		return err
	}
	if list.Next != "" {
		p.remark("%d of %d names are shown: --limit 0 shows all.", len(list.Items), list.Total)
	}
	return nil
}

func (p *program) setNameCommand() *cobra.Command {
	var req api.AliasSet
	cmd := &cobra.Command{
		Use:               "set NAME TARGET",
		Short:             "Have a name stand for another name of the zone, or for an address",
		ValidArgsFunction: noFiles,
		Args:              exactly(2, "a name, and what it is to stand for, as wiki web-2 or wiki 10.9.0.7"),
		Long: `Have a name of the group's zone stand for another name of it, or for an address. All
members know it within a moment, and keep it. It can be set at any member, and needs most of
the up to five that keep the aliases. The name of a host can't be an alias.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.Alias, error) {
				req.Target = args[1]
				return said(c.SetAliasWithResponse(ctx, args[0], req))
			}, func(a api.Alias) error {
				was := ""
				if a.Before != "" && a.Before != a.Target {
					was = ", and no longer for " + clean(a.Before)
				}
				_, err := fmt.Fprintf(p.out, "%s stands for %s%s.\n", clean(a.Full), clean(a.Target), was)
				return err
			})
		},
	}
	cmd.Flags().Var(textFlag(&req.Group, "GROUP", ""), "group", "the group, by name or ID; needed in several")
	_ = cmd.RegisterFlagCompletionFunc("group", p.completeGroups)
	return cmd
}

func (p *program) removeNameCommand() *cobra.Command {
	var params api.RemoveAliasParams
	cmd := &cobra.Command{
		Use:               "remove NAME",
		Short:             "Remove an alias",
		ValidArgsFunction: noFiles,
		Args:              exactly(1, "an alias, as wiki"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.Alias, error) {
				return said(c.RemoveAliasWithResponse(ctx, args[0], &params))
			}, func(a api.Alias) error {
				_, err := fmt.Fprintf(p.out, "%s stands for %s no longer.\n", clean(a.Full), clean(a.Target))
				return err
			})
		},
	}
	cmd.Flags().Var(textFlag(&params.Group, "GROUP", ""), "group", "the group, by name or ID; needed in several")
	_ = cmd.RegisterFlagCompletionFunc("group", p.completeGroups)
	return cmd
}

// exactly refuses any other number of arguments, and says what is wanted.
func exactly(n int, wanted string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{errors.New("want " + wanted)}
		}
		return nil
	}
}
