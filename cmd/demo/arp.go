package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
)

const (
	arpQuestions = 2000 // about one known address
	arpTarget    = time.Millisecond
	sweepRate    = 10_000 // requests a second
	sweepRounds  = 2      // of all addresses of the prefix, within 14 s
	arpFrame     = 42     // bytes: Ethernet header and ARP for IPv4
)

// arpKnown measures how soon a host's ARP request for a remote host is answered.
func (d *demo) arpKnown(ctx context.Context, from *host, note noteFunc) error {
	w, err := openWire(from)
	if err != nil {
		return err
	}
	defer w.close()
	remote := d.hosts[2].addr
	if _, err := from.Run(ctx, "ping", "-c", "1", "-W", "2", remote.String()); err != nil {
		return fmt.Errorf("the remote host: %w", err)
	}
	times, err := w.answers(remote, arpQuestions)
	if err != nil {
		return err
	}
	text := quantiles(times)
	note("%s", text)
	if p99 := times[len(times)*99/100]; p99 > arpTarget {
		return fmt.Errorf("%s: the target is %v", text, arpTarget)
	}
	return nil
}

func quantiles(times []time.Duration) string {
	slices.Sort(times)
	at := func(q int) time.Duration { return times[len(times)*q/100].Round(time.Microsecond) }
	return fmt.Sprintf("p50 %v, p99 %v, worst %v of %d", at(50), at(99), times[len(times)-1].Round(time.Microsecond), len(times))
}

// arpSweep has a host ask for every address of the prefix, again and again.
func (d *demo) arpSweep(ctx context.Context, from *host, note noteFunc) error {
	w, err := openWire(from)
	if err != nil {
		return err
	}
	defer w.close()
	before, err := from.box.resolved(ctx)
	if err != nil {
		return err
	}
	cpu, began := d.cpu(), time.Now()
	all := netip.MustParsePrefix(prefix)
	sent := 0
	for range sweepRounds {
		for addr := all.Addr(); all.Contains(addr); addr = addr.Next() {
			if err := w.ask(addr); err != nil {
				return err
			}
			if sent++; sent%20 == 0 {
				<-time.After(time.Until(began.Add(time.Duration(sent) * time.Second / sweepRate)))
			}
		}
	}
	took := time.Since(began)
	used := d.cpu()
	for i := range used {
		used[i] -= cpu[i]
	}
	wrong, err := w.strangers(d.known())
	if err != nil {
		return err
	}
	after, err := from.box.resolved(ctx)
	if err != nil {
		return err
	}
	shares := make([]string, len(used))
	for i, b := range d.boxes {
		shares[i] = fmt.Sprintf("%s %.1f %%", b.Name, 100*used[i].Seconds()/took.Seconds())
	}
	note("%d requests in %v, %d lookups; of a core: %s", sent, took.Round(100*time.Millisecond), after-before, strings.Join(shares, ", "))
	if most := all.Bits(); after-before > 1<<(32-most) || len(wrong) > 0 {
		return fmt.Errorf("%d lookups of %d addresses; answers for addresses that nobody has: %v", after-before, 1<<(32-most), wrong)
	}
	return nil
}

// known returns the addresses for which there may be an answer.
func (d *demo) known() map[netip.Addr]bool {
	known := map[netip.Addr]bool{netip.MustParseAddr(serviceAddr()): true}
	for _, h := range d.hosts {
		known[h.addr] = true
	}
	if d.e != nil {
		if addr, err := d.e.Addr("lb0"); err == nil {
			known[addr.Addr()] = true
		}
	}
	return known
}

// resolved returns how often the appliance has asked the registry.
func (b *box) resolved(ctx context.Context) (uint64, error) {
	var list api.CounterList
	if err := b.landbridgeJSON(ctx, &list, "counters"); err != nil {
		return 0, err
	}
	for _, c := range list.Items {
		if c.Component == "router" && c.Name == "resolves" {
			return c.Value, nil
		}
	}
	return 0, nil
}

// cpu returns the time that each daemon has used so far.
func (d *demo) cpu() []time.Duration {
	used := make([]time.Duration, len(d.boxes))
	for i, b := range d.boxes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.daemon.Process.Pid))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest) // from field 3 on; 14 and 15 are utime and stime, in USER_HZ (proc(5))
		for _, f := range fields[11:13] {
			ticks, _ := strconv.Atoi(f)
			used[i] += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return used
}

// wire asks by ARP on a host's wire, and hears the answers.
type wire struct {
	fd    int
	index int
	frame []byte // the request
}

func openWire(h *host) (*wire, error) {
	w := &wire{frame: make([]byte, arpFrame)}
	err := h.Do(func() error {
		dev, err := net.InterfaceByName(h.device)
		if err != nil {
			return err
		}
		w.index = dev.Index
		copy(w.frame, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		copy(w.frame[6:], dev.HardwareAddr)
		copy(w.frame[12:], []byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1})
		copy(w.frame[22:], dev.HardwareAddr)
		copy(w.frame[28:], h.addr.AsSlice())
		const arp = unix.ETH_P_ARP<<8&0xff00 | unix.ETH_P_ARP>>8 // in network order
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, arp); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
			unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 300_000}),
			unix.Bind(w.fd, &unix.SockaddrLinklayer{Ifindex: w.index, Protocol: arp}))
	})
	if err != nil {
		return nil, fmt.Errorf("the wire of %s: %w", h.Name, err)
	}
	return w, nil
}

func (w *wire) close() { _ = unix.Close(w.fd) }

func (w *wire) ask(target netip.Addr) error {
	copy(w.frame[38:], target.AsSlice())
	return unix.Sendto(w.fd, w.frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index})
}

// answer returns the address of the next answer to us; not ok if none comes within 300 ms.
func (w *wire) answer() (of netip.Addr, ok bool, err error) {
	var buf [2048]byte
	for {
		n, err := unix.Read(w.fd, buf[:])
		switch {
		case err == unix.EAGAIN:
			return of, false, nil
		case err == unix.EINTR:
			continue
		case err != nil:
			return of, false, err
		}
		if isReply := n >= arpFrame && buf[20] == 0 && buf[21] == 2; isReply && [6]byte(buf[32:38]) == [6]byte(w.frame[6:12]) {
			return netip.AddrFrom4([4]byte(buf[28:32])), true, nil
		}
	}
}

// answers asks for one address so often, and returns how long each answer took.
func (w *wire) answers(target netip.Addr, times int) (took []time.Duration, err error) {
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for range times {
		<-pace.C
		began := time.Now()
		if err := w.ask(target); err != nil {
			return nil, err
		}
		for {
			of, ok, err := w.answer()
			if err != nil || !ok {
				return nil, errors.Join(fmt.Errorf("no answer for %v after %d", target, len(took)), err)
			}
			if of == target {
				break
			}
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// strangers returns the addresses that were answered for besides these.
func (w *wire) strangers(known map[netip.Addr]bool) (wrong []netip.Addr, err error) {
	for {
		of, ok, err := w.answer()
		if err != nil || !ok {
			return wrong, err
		}
		if !known[of] {
			wrong = append(wrong, of)
		}
	}
}
