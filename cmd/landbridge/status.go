package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

func (p *program) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "status",
		Short:             "Show how the appliance is",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Show how the appliance is: its name and mode, where it listens and as what others
see it, its groups, its memory, and what isn't as it should be.`,
		Example: `  sudo landbridge status
  sudo landbridge status --json | jq .health`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.Status, error) {
				return said(c.GetStatusWithResponse(ctx))
			}, func(st api.Status) error {
				return writeStatus(p.out, st, time.Now())
			})
		},
	}
}

// sheet prints named values below one another.
type sheet struct{ b strings.Builder }

func (s *sheet) row(name, value string) {
	if value != "" {
		fmt.Fprintf(&s.b, "%-15s%s\n", name, clean(value))
	}
}

func (s *sheet) rows(name string, values []string) {
	for i, v := range values {
		if i > 0 {
			name = ""
		}
		s.row(name, v)
	}
}

// writeStatus prints a status for a person.
func writeStatus(w io.Writer, st api.Status, now time.Time) error {
	s := &sheet{}
	up := time.Duration(st.UptimeSeconds) * time.Second
	s.row("Appliance", st.Name)
	s.row("Member ID", st.MemberID)
	s.row("Version", fmt.Sprintf("%s, up %s", st.Version, age(up)))
	if len(st.Groups) > 1 { // each says how it is attached
		s.row("Mode", string(st.Mode))
	} else {
		s.row("Mode", joined(", ", string(st.Mode), attachment(st.Attachment)))
		s.rows("On the LAN", alsoThere(st.Attachment))
	}
	s.rows("Listens", st.Listen)
	s.rows("Seen as", texts(st.Observed))
	s.rows("Reachable", api.Places(st.Addresses))
	s.row("Memory", fmt.Sprintf("%s resident, %s heap, %d goroutines", size(st.Memory.ResidentBytes), size(st.Memory.HeapBytes), st.Memory.Goroutines))
	for _, g := range st.Groups {
		s.b.WriteByte('\n')
		groupStatus(s, g, now)
		if len(st.Groups) > 1 {
			s.row("Attached by", attachment(g.Attachment))
			s.rows("On the LAN", alsoThere(g.Attachment))
		}
	}
	if len(st.Groups) == 0 {
		s.b.WriteByte('\n')
		s.row("Group", "none: create one with landbridge group create, or join one with landbridge join")
	}
	s.b.WriteByte('\n')
	health(s, st.Health, now)
	_, err := io.WriteString(w, s.b.String())
	return err
}

func attachment(a api.Attachment) string {
	address := ""
	if a.Address.IsValid() {
		address = a.Address.String()
	}
	mtu := ""
	if a.MTU > 0 {
		mtu = fmt.Sprint(a.MTU)
	}
	return joined(", ",
		labelled("LAN port", a.LanPort), labelled("bridge", a.Bridge), labelled("TAP", a.Tap),
		labelled("address", address), labelled("gateway MAC", a.GatewayMAC), labelled("MTU", mtu))
}

// alsoThere lists what else on the LAN gives addresses or takes packets.
func alsoThere(a api.Attachment) (all []string) {
	for _, o := range a.OtherDhcpServers {
		offers := ""
		if o.Offers.IsValid() {
			offers = "offers " + o.Offers.String()
		}
		all = append(all, joined(", ", "DHCP server "+o.Address.String(), o.MAC, offers))
	}
	for _, g := range a.OtherGateways {
		all = append(all, joined(", ", "gateway "+g.MAC, labelled("noticed by", strings.ReplaceAll(string(g.Sign), "-", " ")), g.Address.String()))
	}
	return all
}

func groupStatus(s *sheet, g api.GroupStatus, now time.Time) {
	role := ""
	if g.Authority {
		role = "this appliance keeps the CA key"
	}
	s.row("Group", joined(", ", g.Name, role))
	s.row("  ID", g.ID)
	s.row("  Prefix", g.Prefix.String())
	s.row("  Zone", g.Zone)
	s.row("  Services", g.ServiceAddress.String()+" (DHCP, DNS)")
	s.row("  Members", fmt.Sprintf("%d of %d reachable, descriptor version %d", g.MembersConnected, g.MembersKnown, g.DescriptorVersion))
	s.row("  Leases", thousands(g.LeasesServed)+" served here")
	s.row("  Blocks", fmt.Sprintf("%d held, %d of them spare", g.BlocksHeld, g.BlocksSpare))
	if !g.CertificateExpires.IsZero() {
		left := until(g.CertificateExpires, now)
		if left != "over" {
			left = "in " + left
		}
		s.row("  Certificate", fmt.Sprintf("expires %s (%s)", g.CertificateExpires.UTC().Format("2006-01-02 15:04 UTC"), left))
	}
}

func health(s *sheet, items []api.HealthItem, now time.Time) {
	if len(items) == 0 {
		s.row("Health", "all well")
		return
	}
	s.row("Health", counted(len(items), "thing")+" to look at")
	for _, h := range items {
		seen := "for " + ago(h.Since, now)
		if h.Count > 1 {
			seen += fmt.Sprintf(", %d times", h.Count)
		}
		fmt.Fprintf(&s.b, "  %-13s%s: %s (%s)\n", h.Level, clean(h.Component), clean(h.Text), seen)
		if h.Remedy != "" {
			fmt.Fprintf(&s.b, "  %-13s-> %s\n", "", clean(h.Remedy))
		}
	}
}

func texts(addrs []netip.AddrPort) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
