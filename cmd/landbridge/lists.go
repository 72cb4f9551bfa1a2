package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

func (p *program) peersCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "peers",
		Short:             "List the other members and the paths to them",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `List the other members and how their datagrams travel now:

  native      none do: it is on this LAN, where hosts speak past the tunnel
  lan         straight, on a LAN that both share
  direct      straight, over the Internet
  tcp         straight, over TCP, as UDP doesn't pass
  relay       sealed, through another member; the last column says why
  connecting  keys are being agreed on, or no path has answered yet
  -           no session: none was needed for a while, or the member is away

CIPHER is AES-256-GCM, or ChaCha20-Poly1305 where a processor at either end has no
AES instructions, which is slower.

OVERLAY says whether the two can call each other, which needs no session: about
addresses, names and members.`,
		Example: `  sudo landbridge peers
  sudo landbridge peers --json | jq '.items[] | select(.path == "relay")'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.PeerList, error) {
				return said(c.ListPeersWithResponse(ctx))
			}, func(list api.PeerList) error {
				if len(list.Items) == 0 {
					p.remark("There are no other members. Invite one with landbridge group invite.")
					return nil
				}
				return peerTable(list.Items, time.Now()).write(p.out)
			})
		},
	}
}

func peerTable(peers []api.Peer, now time.Time) *table {
	t := &table{columns: []column{
		{title: "NAME", keep: true}, {title: "PATH", keep: true}, {title: "ADDRESS", keep: true},
		{title: "RTT", right: true}, {title: "HEARD", right: true}, {title: "SENT", right: true}, {title: "RECEIVED", right: true},
		{title: "CIPHER"}, {title: "OVERLAY", keep: true}, {title: "MEMBER", keep: true}, {title: "WHY"},
	}}
	for _, peer := range peers {
		path, address := "-", ""
		switch {
		case peer.Native:
			path = "native"
		case peer.Session == api.SessionStateConnecting:
			path = "connecting"
		case peer.Session == api.SessionStateEstablished:
			path = string(peer.Path)
			if peer.Address.IsValid() {
				address = peer.Address.String()
			}
		}
		if peer.Via != "" {
			address = "via " + joined(" ", peer.ViaName, address)
		}
		sent, received, cipher := "", "", ""
		if peer.Session == api.SessionStateEstablished {
			sent, received, cipher = size(peer.TxBytes), size(peer.RxBytes), peer.Cipher
		}
		connected := "away"
		if peer.Connected {
			connected = "connected"
		}
		t.add(peer.Name, path, address, rtt(peer.RttMicroseconds), ago(peer.LastReceived, now), sent, received,
			cipher, connected, short(peer.MemberID), peer.Why)
	}
	return t
}

func (p *program) leasesCommand() *cobra.Command {
	var params api.ListLeasesParams
	var limit int
	cmd := &cobra.Command{
		Use:               "leases [SEARCH]",
		Short:             "List leases; reserve, release, evict, rename and note them",
		GroupID:           "look",
		Args:              oneArgument,
		ValidArgsFunction: noFiles,
		Long: `List the leases that this appliance serves and the addresses that are reserved, by address. SEARCH leaves those that have
this text in their address, host name, hardware address, client identifier or
member, in capitals or not.`,
		Example: `  sudo landbridge leases
  sudo landbridge leases printer
  sudo landbridge leases 10.9.3. --limit 0
  sudo landbridge leases --json | jq -r '.items[] | [.address, .mac] | @tsv'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usageError{fmt.Errorf("--limit %d: want 0 (no limit) or more", limit)}
			}
			if params.State != "" && !params.State.Valid() { // which the API calls otherwise
				return usageError{fmt.Errorf("--only %s: want leased, reserved, expired, declined or all", params.State)}
			}
			params.Search = strings.Join(args, "")
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.LeaseList, error) {
				list, err := leasesLike(ctx, c, params, limit)
				if err == nil {
					err = mistyped(cmd, params.Search, len(list.Items))
				}
				return list, err
			}, p.printLeases)
		},
	}
	f := cmd.Flags()
	f.Var(textFlag(&params.Group, "GROUP", ""), "group", "only leases of this group (name or ID)")
	f.Var(textFlag((*string)(&params.State), "STATE", ""), "only", "only those in this state: leased, reserved, expired, declined, or all")
	f.Var(textFlag((*string)(&params.Kind), "KIND", ""), "kind", "dhcp, static, or own")
	f.Var(textFlag((*string)(&params.Site), "SITE", ""), "site", "here, elsewhere, or all")
	f.Var(textFlag(&params.Member, "MEMBER", ""), "member", "only leases that this member serves")
	f.Var(textFlag((*string)(&params.Sort), "ORDER", ""), "sort", "address, name, mac, end or changed; with a minus in front the other way round")
	cmd.AddCommand(p.leaseCommands()...)
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most `N` leases; 0 for all")
	_ = cmd.RegisterFlagCompletionFunc("group", p.completeGroups)
	return cmd
}

// leasesLike asks for leases until there are limit (0: all).
func leasesLike(ctx context.Context, c *api.Local, params api.ListLeasesParams, limit int) (api.LeaseList, error) {
	all := api.LeaseList{Items: []api.Lease{}}
	err := byPages(limit, func(size int) (got int, next string, err error) {
		params.Limit = &size
		list, err := said(c.ListLeasesWithResponse(ctx, &params))
		all.Items = append(all.Items, list.Items...)
		all.Total, all.Next, params.Cursor, all.Unheard = list.Total, list.Next, list.Next, list.Unheard
		return len(list.Items), list.Next, err
	})
	return all, err
}

// remarkUnheard says whose hosts a list may lack.
func (p *program) remarkUnheard(members []string) {
	if len(members) > 0 {
		p.remark("Hosts of %s may be missing: not reached, or not all told in time. landbridge peers says more.", some(members))
	}
}

// some names the first of many.
func some(names []string) string {
	const shown = 5
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

func (p *program) printLeases(list api.LeaseList) error {
	defer p.remarkUnheard(list.Unheard)
	if len(list.Items) == 0 {
		p.remark("There are no such leases here.")
		return nil
	}
	if err := leaseTable(list.Items, time.Now()).write(p.out); err != nil {
		return err
	}
	if list.Total > len(list.Items) {
		p.remark("%s of %s; --limit 0 shows all.", thousands(len(list.Items)), counted(list.Total, "lease"))
	}
	return nil
}

// clientIDShown is how much of a client identifier a table shows; DUIDs are long.
const clientIDShown = 24

func leaseTable(leases []api.Lease, now time.Time) *table {
	t := &table{columns: []column{
		{title: "ADDRESS", keep: true}, {title: "NAME", keep: true}, {title: "MAC", keep: true},
		{title: "ENDS IN", right: true}, {title: "SERVED BY", keep: true}, {title: "IPV6"}, {title: "STATE"}, {title: "CLIENT ID"}, {title: "NOTE"},
	}}
	for _, l := range leases {
		client := l.ClientID
		if strings.EqualFold(client, "01"+strings.ReplaceAll(l.MAC, ":", "")) {
			client = "" // hardware type and MAC: the MAC says it
		}
		if len(client) > clientIDShown {
			client = client[:clientIDShown] + "…"
		}
		six := ""
		if l.Ipv6Address.IsValid() {
			six = l.Ipv6Address.String()
		}
		t.add(l.Address.String(), l.Name, l.MAC, until(l.End, now), cmp.Or(l.MemberName, short(l.MemberID)), six, leaseWord(l), client, l.Note)
	}
	return t
}

// leaseWord says what is special about a lease.
func leaseWord(l api.Lease) string {
	switch {
	case l.State != api.LeaseStateLeased:
		return string(l.State)
	case l.Reserved:
		return "leased, reserved"
	case l.Kind == api.LeaseKindStatic:
		return "static"
	}
	return ""
}

func (p *program) blocksCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "blocks",
		Short:             "List the blocks of addresses that this appliance holds",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `List the blocks of addresses that this appliance holds:

  held     leases are made from it
  spare    claimed in advance; nothing is leased yet
  lapsed   could not be renewed in time: leases are renewed, none are made
  fenced   another member holds it now`,
		Example: "  sudo landbridge blocks",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.BlockList, error) {
				return said(c.ListBlocksWithResponse(ctx))
			}, func(list api.BlockList) error {
				if len(list.Items) == 0 {
					p.remark("This appliance holds no blocks.")
					return nil
				}
				return blockTable(list.Items, time.Now()).write(p.out)
			})
		},
	}
}

func blockTable(blocks []api.Block, now time.Time) *table {
	t := &table{columns: []column{
		{title: "BLOCK", keep: true}, {title: "STATE", keep: true}, {title: "LEASED", right: true, keep: true},
		{title: "OF", right: true, keep: true}, {title: "EPOCH", right: true, keep: true}, {title: "HELD FOR", right: true},
	}}
	for _, b := range blocks {
		t.add(b.Prefix.String(), string(b.State), fmt.Sprint(b.Used), fmt.Sprint(b.Size), fmt.Sprint(b.Epoch), until(b.Until, now))
	}
	return t
}

func (p *program) countersCommand() *cobra.Command {
	var zeros bool
	cmd := &cobra.Command{
		Use:               "counters",
		Short:             "List what the appliance has counted",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long:              "List what the appliance has counted since it started: frames, datagrams, and what was dropped for which reason.",
		Example: `  sudo landbridge counters
  sudo landbridge counters --zeros`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.CounterList, error) {
				return said(c.ListCountersWithResponse(ctx))
			}, func(list api.CounterList) error {
				t := &table{columns: []column{{title: "COMPONENT", keep: true}, {title: "COUNTER", keep: true}, {title: "VALUE", right: true, keep: true}}}
				for _, c := range list.Items {
					if c.Value > 0 || zeros {
						t.add(c.Component, c.Name, fmt.Sprint(c.Value))
					}
				}
				return t.write(p.out)
			})
		},
	}
	cmd.Flags().BoolVar(&zeros, "zeros", false, "also counters that are zero")
	return cmd
}
