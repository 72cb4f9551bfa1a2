package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"landbridge/internal/netlab"
)

// TCP is what a bulk transfer has moved.
type TCP struct {
	BitsPerSecond float64 // at the receiver
	Bytes         float64 // likewise
	Retransmits   int
	CPU           time.Duration // user and system time of the two programs that sent and received
}

// Bulk says what is transferred.
type Bulk struct {
	Length  time.Duration
	Omit    time.Duration // at the begin, before Length: slow start
	Streams int
	Reverse bool  // from To to From
	Rate    int64 // bits per second at most, of each stream; 0: as fast as it goes
}

const iperfPort = 5201

// ServeTCP starts the server for Transfer on a host and returns when it listens. It
// ends with ctx, or with the lab.
func ServeTCP(ctx context.Context, h *netlab.Host) error {
	if err := h.Command(ctx, "iperf3", "-s", "-p", fmt.Sprint(iperfPort)).Start(); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return netlab.WaitFor(wait, "iperf3 to listen", func() (bool, error) {
		out, err := h.Run(wait, "cat", "/proc/net/tcp", "/proc/net/tcp6")
		return strings.Contains(out, fmt.Sprintf(":%04X 0", iperfPort)), err
	})
}

// Transfer moves bytes along a path whose far end ServeTCP serves.
func (p Path) Transfer(ctx context.Context, b Bulk) (TCP, error) {
	const slack = 12 * time.Second
	ctx, cancel := context.WithTimeout(ctx, b.Omit+b.Length+slack)
	defer cancel()
	args := []string{
		"-J", "-C", "cubic", "-c", p.Addr.String(), "-p", fmt.Sprint(iperfPort),
		"-t", fmt.Sprint(b.Length.Seconds()), "-P", fmt.Sprint(b.Streams),
	}
	if b.Omit > 0 {
		args = append(args, "-O", fmt.Sprint(b.Omit.Seconds()))
	}
	if b.Reverse {
		args = append(args, "-R")
	}
	if b.Rate > 0 {
		args = append(args, "-b", fmt.Sprint(b.Rate))
	}
	out, err := p.From.Command(ctx, "iperf3", args...).Output()
	if timedOut(ctx, err) {
		return TCP{}, fmt.Errorf("iperf3 to %v didn't end within %v", p.Addr, b.Omit+b.Length+slack)
	}
	got, perr := parseIperf(out)
	if perr != nil {
		return TCP{}, fmt.Errorf("iperf3 to %v: %w (%w)", p.Addr, perr, err)
	}
	return got, nil
}

// parseIperf reads what iperf3 -J says.
func parseIperf(text []byte) (TCP, error) {
	var said struct {
		Error string
		End   struct {
			Sent struct {
				Retransmits int
			} `json:"sum_sent"`
			Received struct {
				Bytes         float64
				Seconds       float64
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
			CPU struct { // of a core
				Host   float64 `json:"host_total"`
				Remote float64 `json:"remote_total"`
			} `json:"cpu_utilization_percent"`
		}
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return TCP{}, fmt.Errorf("%w: it said %q", err, text)
	}
	if said.Error != "" {
		return TCP{}, fmt.Errorf("%w: %s", ErrNothing, said.Error)
	}
	if said.End.Received.Bytes == 0 {
		return TCP{}, ErrNothing
	}
	return TCP{
		BitsPerSecond: said.End.Received.BitsPerSecond,
		Bytes:         said.End.Received.Bytes,
		Retransmits:   said.End.Sent.Retransmits,
		CPU:           time.Duration((said.End.CPU.Host + said.End.CPU.Remote) / 100 * said.End.Received.Seconds * float64(time.Second)),
	}, nil
}
