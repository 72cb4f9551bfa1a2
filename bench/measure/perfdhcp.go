package measure

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"landbridge/bench/load"
	"landbridge/internal/netlab"
)

// Clients is a host that plays many DHCP clients, by Kea's perfdhcp. That speaks as a relay
// agent; the kernel's packet filter turns what it sends into what the clients themselves would
// broadcast, each from its own MAC, and what they are answered back.
type Clients struct{ host *netlab.Host }

const (
	clientsAddr = "192.0.2.2" // of the host itself, which no server sees
	absentAddr  = "192.0.2.1" // to which perfdhcp sends
)

// translation is nft(8)'s: from the UDP header on, giaddr lies at bit 256, hops at 88, and chaddr
// at 288. A UDP checksum of 0 says that there is none (RFC 768).
const translation = `table netdev clients {
  chain out {
    type filter hook egress device eth0 priority 0
    udp dport 67 ether daddr set ff:ff:ff:ff:ff:ff @ll,48,48 set @th,288,48 ip saddr set 0.0.0.0 ip daddr set 255.255.255.255 \
      @th,88,8 set 0 @th,256,32 set 0 udp sport set 68 udp checksum set 0
  }
  chain in {
    type filter hook ingress device eth0 priority 0
    udp dport 68 meta pkttype set host ip daddr set ` + clientsAddr + ` udp dport set 67 udp checksum set 0
  }
}
`

// NewClients makes the clients' host, on a wire.
func NewClients(ctx context.Context, lan *netlab.LAN) (*Clients, error) {
	h := lan.Host("clients")
	for _, args := range [][]string{
		{"ip", "addr", "add", clientsAddr + "/24", "dev", "eth0"},
		{"ip", "neigh", "replace", absentAddr, "lladdr", "02:00:00:00:00:01", "dev", "eth0"},
		{"ethtool", "-K", "eth0", "tx", "off"}, // else the kernel adds the checksum later
	} {
		if _, err := h.Run(ctx, args[0], args[1:]...); err != nil {
			return nil, err
		}
	}
	c := h.Command(ctx, "nft", "-f", "-")
	c.Stdin = strings.NewReader(translation)
	_, err := output(c)
	return &Clients{h}, err
}

// FirstMAC is the MAC of the first client; each other's is one more.
const FirstMAC = 0x000c01020304

// Exchanges is what became of DISCOVER, OFFER, REQUEST and ACK of many clients.
type Exchanges struct {
	Sent, Acked int
	Lost        float64 // share of DISCOVERs and REQUESTs that went without an answer in time
	Times       []time.Duration
}

// Latency sums up the times from DISCOVER to ACK.
func (e Exchanges) Latency() load.Latency { return load.Summarize(e.Times) }

// Lease has so many clients in turn ask for addresses, rate exchanges begun a second, for some whole seconds.
func (c *Clients) Lease(ctx context.Context, clients, rate int, length time.Duration) (Exchanges, error) {
	ctx, cancel := context.WithTimeout(ctx, length+slack)
	defer cancel()
	cmd := c.host.Command(ctx, "perfdhcp", "-4", "-l", clientsAddr, "-r", strconv.Itoa(rate), "-R", strconv.Itoa(clients),
		"-p", strconv.Itoa(int(length/time.Second)), "-W", "300000", "-x", "t", absentAddr)
	out, err := output(cmd)
	const someLost = 3 // exit status
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == someLost {
		err = nil
	}
	if err != nil {
		return Exchanges{}, err
	}
	return parsePerfdhcp(string(out))
}

// parsePerfdhcp reads what perfdhcp says: of DISCOVER and OFFER first, then of REQUEST and ACK.
func parsePerfdhcp(text string) (e Exchanges, err error) {
	numbers := func(key string) (all []int) {
		for _, m := range regexp.MustCompile(`(?m)^`+key+`: (\d+)$`).FindAllStringSubmatch(text, -1) {
			n, _ := strconv.Atoi(m[1])
			all = append(all, n)
		}
		return all
	}
	sent, got := numbers("sent packets"), numbers("received packets")
	if len(sent) != 2 || len(got) != 2 || got[1] == 0 {
		return e, fmt.Errorf("perfdhcp: %w: %s", ErrNothing, text[:min(len(text), 400)])
	}
	e.Sent, e.Acked = sent[0], got[1]
	e.Lost = 1 - float64(got[0]+got[1])/float64(sent[0]+sent[1])
	_, stamps, _ := strings.Cut(text, "Timestamps for packets: DISCOVER-OFFER")
	offers, acks, _ := strings.Cut(stamps, "Timestamps for packets: REQUEST-ACK")
	e.Times = pair(parseStamps(offers), parseStamps(acks))
	return e, nil
}

// stamp is when something was sent, and when it was answered.
type stamp struct{ sent, received float64 }

func parseStamps(text string) (all []stamp) {
	for _, m := range regexp.MustCompile(`sent / received: ([0-9.]+) / ([0-9.]+)`).FindAllStringSubmatch(text, -1) {
		sent, serr := strconv.ParseFloat(m[1], 64)
		received, rerr := strconv.ParseFloat(m[2], 64)
		if serr == nil && rerr == nil {
			all = append(all, stamp{sent, received})
		}
	}
	return all
}

// pair finds what each exchange took in all: a REQUEST goes out as its OFFER comes in, so the
// last OFFER before it is its own.
func pair(offers, acks []stamp) (times []time.Duration) {
	slices.SortFunc(offers, func(a, b stamp) int { return int((a.received - b.received) * 1e6) })
	slices.SortFunc(acks, func(a, b stamp) int { return int((a.sent - b.sent) * 1e6) })
	next := 0
	for _, a := range acks {
		found := -1
		for next < len(offers) && offers[next].received <= a.sent {
			found = next
			next++
		}
		if found >= 0 {
			times = append(times, time.Duration((a.received-offers[found].sent)*float64(time.Second)))
		}
	}
	return times
}
