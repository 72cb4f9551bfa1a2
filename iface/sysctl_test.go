package iface

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// Where other bridges may need it, iptables goes on seeing bridged frames, and the
// operator is told why.
func TestBesideOtherBridgesTheFirewallIsLeftAndTheReasonTold(t *testing.T) {
	inNamespace(t)
	if err := os.WriteFile(nfCallIPTables, []byte("1"), 0); err != nil {
		t.Skip("this kernel has no br_netfilter")
	}
	addLAN(t, "lan0")
	other := netlink.NewLinkAttrs()
	other.Name = "docker0"
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: other}))
	var lines bytes.Buffer
	cfg := bridgeConfig(openTAP(t), "lan0")
	cfg.Log = slog.New(slog.NewTextHandler(&lines, nil))
	b, err := CreateBridge(cfg)
	must(t, err)
	defer b.Close()
	if got := lines.String(); !strings.Contains(got, "iptables") || !strings.Contains(got, "other bridges") || strings.Contains(got, "nil") {
		t.Errorf("the log says %s", got)
	}
	if got, err := os.ReadFile(nfCallIPTables); err != nil || string(got) != "1\n" {
		t.Errorf("it was changed: %q, %v", got, err)
	}
}
