package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
	"landbridge/internal/group"
)

// settingsFlags are the flags of group set; those that are given replace what was set.
type settingsFlags struct {
	lease                 time.Duration
	renew, rebind         int
	domain                string
	search, dns, ntp      []string
	routes, excluded      []string
	allowed, denied       []string
	ipv6                  string
	onlyAllowed, defaults bool
	yes                   bool
}

// How long a change waits for members in touch to have it, and how often it looks.
const (
	takeUpWait  = 3 * time.Second
	takeUpRetry = 100 * time.Millisecond
)

// nobodyNew is what it means to serve allowed hosts alone, where none is.
const nobodyNew = "no host is allowed, so every host that isn't registered at its appliance loses its address when its lease ends"

func servesNobodyNew(c api.GroupSettingsChange) bool { return c.OnlyAllowed && len(c.Allowed) == 0 }

// rebindFlag is a flag that takes whole percents, or the default as it is known.
type rebindFlag int

// Type returns the name of the value.
func (r *rebindFlag) Type() string { return "PERCENT" }

func (r *rebindFlag) String() string { return strconv.Itoa(int(*r)) }

// Set reads percents.
func (r *rebindFlag) Set(v string) error {
	if v == "87.5" {
		*r = 0
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return errors.New("want whole percents of a lease, or 87.5, the default")
	}
	*r = rebindFlag(n)
	return nil
}

func (p *program) groupSetCommand() *cobra.Command {
	var f settingsFlags
	cmd := &cobra.Command{
		Use:               "set [GROUP]",
		Short:             "Change what hosts of a group are told and given, while it runs",
		Args:              oneArgument,
		ValidArgsFunction: p.completeGroups,
		Long: `Change a group's settings: how long leases are, what hosts are told by DHCP, which
addresses they aren't given, and which hosts are served. Each flag that is given takes the
place of what was set; with an empty value, of nothing. Without flags the settings are shown.

All members take a change up while they run: within seconds those that are connected, others as
they come back. Hosts know of it from their next renewal on.

Prefix, zone, hold time and MTU can't be changed: every member's blocks, names and
tunnels are made of them. Make a new group with others beside this one, and move the
appliances to it.

Run this on the appliance that created the group.`,
		Example: `  sudo landbridge group set --lease-time 15m --search office.example,example.com
  sudo landbridge group set office --exclude 10.9.0.2-10.9.0.49,10.9.3.0/26
  sudo landbridge group set --route "192.168.7.0/24 via 10.9.0.77" --ntp 10.9.0.9
  sudo landbridge group set --deny 52:54:00:12:34:56
  sudo landbridge group set --exclude ""
  sudo landbridge group set --ipv6 auto`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.lease%time.Second != 0 {
				return usageError{fmt.Errorf("--lease-time %v: want whole seconds, as 90s, 30m, 24h or 7d", f.lease)}
			}
			return p.withGroup(cmd.Context(), strings.Join(args, ""), func(ctx context.Context, m memberships, g api.Group) error {
				s, err := m.GroupSettings(ctx, g.ID)
				if err != nil {
					return err
				}
				changed := f.change(s, cmd.Flags().Changed)
				if changed == nil {
					return p.printSettings(s)
				}
				was := api.GroupSettingsChange{OnlyAllowed: s.OnlyAllowed, Allowed: s.Allowed}
				if servesNobodyNew(*changed) && !servesNobodyNew(was) && !f.yes {
					return usageError{errors.New(nobodyNew + ". Nothing is changed: name hosts with --allow, or give --yes if that is what you want")}
				}
				if s, err = m.SetGroupSettings(ctx, g.ID, *changed); err != nil {
					return refusedSettings(err)
				}
				if err := p.printSettings(takenUp(ctx, m, s)); err != nil {
					return err
				}
				p.remark("\nHosts know of it from their next renewal on: within %s, where they can be reached.", age(time.Duration(s.NoticeSeconds)*time.Second))
				return nil
			})
		},
	}
	f.define(cmd)
	return cmd
}

func (f *settingsFlags) define(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.Var((*durationFlag)(&f.lease), "lease-time", "for how long a host gets its address: "+span(group.MinLeaseTime, group.MaxLeaseTime)+", half of the hold time at most; 0s for what the group was created with")
	fs.IntVar(&f.renew, "renew", 0, "after how much of its lease a host asks to renew it, in `PERCENT`; 0 for 50")
	fs.Var((*rebindFlag)(&f.rebind), "rebind", "after how much of it a host asks any server, in `PERCENT`; 87.5, the default, or whole ones")
	fs.Var(textFlag(&f.domain, "NAME", ""), "domain", "domain that hosts take for theirs")
	for _, list := range []struct {
		to          *[]string
		name, usage string
	}{
		{&f.search, "search", "`DOMAINS` in which hosts look names up, in this order"},
		{&f.dns, "dns", "DNS servers that hosts ask besides the appliance, `ADDRESSES`"},
		{&f.ntp, "ntp", "time servers, `ADDRESSES`"},
		{&f.routes, "route", "`ROUTES` that hosts are told whose segment has the gateway, each as \"192.168.7.0/24 via 10.9.0.77\""},
		{&f.excluded, "exclude", "`ADDRESSES` that no host is given but by a reservation, each as 10.9.0.2, 10.9.0.2-10.9.0.49 or 10.9.0.64/26"},
		{&f.allowed, "allow", "hardware `ADDRESSES` of hosts that every appliance serves"},
		{&f.denied, "deny", "hardware `ADDRESSES` of hosts that none does"},
	} {
		fs.StringSliceVar(list.to, list.name, nil, list.usage)
	}
	fs.BoolVar(&f.onlyAllowed, "only-allowed", false, "serve allowed hosts alone, and those registered at their appliance")
	fs.Var(textFlag(&f.ipv6, "PREFIX", ""), "ipv6", "the group's IPv6 prefix, a /64 or /48 of a unique local one, as fd12:3456:789a::/64; auto for a random one")
	fs.BoolVar(&f.defaults, "defaults", false, "set nothing but what is given beside it")
	fs.BoolVar(&f.yes, "yes", false, "go on where --only-allowed leaves registered hosts alone, as no host is allowed")
}

// change is the settings with what was given; nil where nothing was.
func (f *settingsFlags) change(s api.GroupSettings, given func(string) bool) *api.GroupSettingsChange {
	c := &api.GroupSettingsChange{Version: s.Version}
	some := f.defaults
	if !f.defaults {
		*c = api.GroupSettingsChange{
			Version: s.Version, LeaseSeconds: s.LeaseSeconds, RenewPercent: s.RenewPercent, RebindPercent: s.RebindPercent, Domain: s.Domain,
			Search: s.Search, DNSServers: s.DNSServers, NtpServers: s.NtpServers, Routes: s.Routes, Excluded: s.Excluded,
			Allowed: s.Allowed, Denied: s.Denied, OnlyAllowed: s.OnlyAllowed, Ipv6Prefix: s.Ipv6Prefix,
		}
	}
	for name, set := range map[string]func(){
		"lease-time": func() { c.LeaseSeconds = int64(f.lease / time.Second) },
		"renew":      func() { c.RenewPercent = f.renew }, "rebind": func() { c.RebindPercent = f.rebind },
		"domain": func() { c.Domain = f.domain }, "search": func() { c.Search = f.search }, "dns": func() { c.DNSServers = f.dns },
		"ntp": func() { c.NtpServers = f.ntp }, "route": func() { c.Routes = f.routes }, "exclude": func() { c.Excluded = f.excluded },
		"allow": func() { c.Allowed = f.allowed }, "deny": func() { c.Denied = f.denied }, "only-allowed": func() { c.OnlyAllowed = f.onlyAllowed },
		"ipv6": func() { c.Ipv6Prefix = f.ipv6 },
	} {
		if given(name) {
			set()
			some = true
		}
	}
	if !some {
		return nil
	}
	return c
}

// refusedSettings names what is wrong as the command line does, with a daemon and without.
func refusedSettings(err error) error {
	var refused interface{ Fields() []api.FieldError }
	if errors.As(err, &refused) {
		return inFlags(&api.Problem{Detail: err.Error(), Errors: refused.Fields()})
	}
	return err
}

// takenUp waits for members in touch to have the settings that were just made.
func takenUp(ctx context.Context, m memberships, s api.GroupSettings) api.GroupSettings {
	late := time.After(takeUpWait)
	for slices.ContainsFunc(s.Behind, func(b api.MemberBehind) bool { return b.Underway }) {
		select {
		case <-ctx.Done():
			return s
		case <-late:
			return s
		case <-time.After(takeUpRetry):
		}
		now, err := m.GroupSettings(ctx, s.Group)
		if err != nil { // they are changed all the same
			return s
		}
		s.Behind = now.Behind
	}
	return s
}

func (p *program) printSettings(s api.GroupSettings) error {
	if p.json {
		return p.printJSON(s)
	}
	return writeSettings(p.out, s)
}

// writeSettings prints a group's settings for a person.
func writeSettings(w io.Writer, s api.GroupSettings) error {
	t := &sheet{}
	version := "as the group was created"
	if s.Version > 0 {
		version = fmt.Sprintf("version %d, %s", s.Version, s.Made.Local().Format("2006-01-02 15:04"))
	}
	now := s.InForce
	t.row("Settings", version)
	t.row("Leases", fmt.Sprintf("%s, renewed after %s, by any server after %s", lasts(now.LeaseSeconds), lasts(now.RenewSeconds), lasts(now.RebindSeconds)))
	t.row("Domain", now.Domain)
	t.row("Search", strings.Join(now.Search, ", "))
	for _, list := range []struct {
		name string
		all  []string
	}{{"DNS", s.DNSServers}, {"NTP", s.NtpServers}, {"Routes", s.Routes}, {"Excluded", s.Excluded}, {"Allowed", s.Allowed}, {"Denied", s.Denied}} {
		if len(list.all) > 0 {
			t.row(list.name, strings.Join(list.all, ", "))
		}
	}
	if s.Ipv6Prefix != "" {
		t.row("IPv6", s.Ipv6Prefix)
	}
	if s.OnlyAllowed {
		served := "allowed and registered hosts alone"
		if len(s.Allowed) == 0 {
			served = "registered hosts alone: " + nobodyNew
		}
		t.row("Served", served)
	}
	var underway []string
	for _, m := range s.Behind {
		if m.Underway {
			underway = append(underway, clean(m.Name))
			continue
		}
		t.row("Not at", clean(m.Name)+": "+m.Why)
	}
	if len(underway) > 0 {
		t.row("On its way", "to "+strings.Join(underway, ", "))
	}
	if s.Leftovers > 0 {
		t.row("Still leased", leftoverText(s))
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

func lasts(seconds int64) string { return age(time.Duration(seconds) * time.Second) }

// leftoverText names the excluded addresses that hosts still have.
func leftoverText(s api.GroupSettings) string {
	all := make([]string, 0, len(s.Leftover))
	for _, l := range s.Leftover {
		text := l.Address.String()
		if l.Name != "" {
			text += " (" + clean(l.Name) + ")"
		}
		all = append(all, text)
	}
	if more := s.Leftovers - len(s.Leftover); more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}
