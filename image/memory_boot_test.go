package image

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// reader is somebody's browser: it keeps its connections, of which it opens six, and what it has once loaded.
type reader struct {
	client *http.Client
	seen   map[string]bool
}

func newReader(o *operator) *reader {
	return &reader{seen: map[string]bool{}, client: &http.Client{Jar: o.client.Jar, Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return o.m.host.Dial(ctx, "tcp", consoleAt) },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxConnsPerHost: 6,
	}}}
}

func (r *reader) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+consoleAt+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s", path, res.Status)
	}
	return text, err
}

// opens gets a page and what that names of assets, all at once.
func (r *reader) opens(ctx context.Context, path string) error {
	text, err := r.get(ctx, path)
	if err != nil {
		return err
	}
	var loading sync.WaitGroup
	failed := make(chan error, 1)
	for _, asset := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllSubmatch(text, -1) {
		name := string(asset[1])
		if r.seen[name] {
			continue
		}
		r.seen[name] = true
		loading.Go(func() {
			if _, err := r.get(ctx, name); err != nil {
				select {
				case failed <- err:
				default: // the first says enough
				}
			}
		})
	}
	loading.Wait()
	close(failed)
	return <-failed
}

// listens takes in what changes, as each page that stands open does, until ctx is done.
func (r *reader) listens(ctx context.Context) error {
	if _, err := r.get(ctx, "/api/v1/events"); ctx.Err() == nil {
		return fmt.Errorf("the stream of events ended: %w", err)
	}
	return nil
}

func TestTheImageServesASiteOf250HostsIn128MBWhileItsConsoleIsBrowsed(t *testing.T) {
	const all, readers, browsed = 250, 3, time.Minute
	disk, _ := builtImage(t)
	user := write(t, "user-data", "name: site-a\nmode: router\nlan-port: eth1\ncreate-group: office\ncreate-prefix: 10.20.0.0/16\n")
	host := netlab.ForTest(t).LAN("none").Host("machine")
	m := boot(t, host, disk, 128, append(outward(), "-fw_cfg", "name=opt/landbridge/user-data,file="+user,
		"-netdev", "tap,id=l,ifname=lan,script=no,downscript=no", "-device", "virtio-net-pci,netdev=l")...)
	t.Logf("the console answers %v after QEMU's start", m.until(t, "console", m.console(consoleAt)))
	o := setUp(t, m)
	m.until(t, "its group", m.shows("Group        office"))
	var before, after api.Status
	status := func(into *api.Status) func(context.Context) error {
		return func(ctx context.Context) error { return o.ask(ctx, http.MethodGet, "/api/v1/status", nil, into) }
	}
	m.until(t, "its status", status(&before))
	t.Logf("resident after the start: %.1f MB", float64(before.Memory.ResidentBytes)/1e6)

	l, s := &ledger{hosts: all, held: map[int]netip.Addr{}}, newHosts(t, host, "lan")
	began := time.Now()
	turns := func(ctx context.Context) {
		var talking sync.WaitGroup
		for w := range talkers {
			talking.Go(func() {
				for n := w; n < all && ctx.Err() == nil; n += talkers {
					if err := l.turn(ctx, t, s, n, false); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		talking.Wait()
	}
	turns(t.Context())
	t.Logf("%d hosts got their leases in %v", len(l.held), time.Since(began).Round(100*time.Millisecond))

	ctx, cancel := context.WithTimeout(t.Context(), browsed)
	defer cancel()
	var beside sync.WaitGroup
	var pages atomic.Int64
	beside.Go(func() {
		for ctx.Err() == nil {
			turns(ctx) // again, each for its own
		}
	})
	for range readers {
		r := newReader(o)
		beside.Go(func() {
			if err := r.listens(ctx); err != nil {
				t.Error(err)
			}
		})
		beside.Go(func() {
			for ctx.Err() == nil {
				for path := range strings.FieldsSeq("/ /leases /members /groups /network /dns /diagnostics /system /api /leases/history") {
					err := r.opens(ctx, path)
					if ctx.Err() != nil {
						return
					}
					if err != nil {
						t.Errorf("%s: %v", path, err)
						return
					}
					pages.Add(1)
				}
			}
		})
	}
	beside.Wait()
	t.Logf("%d browsers at once opened %d pages in %v", readers, pages.Load(), browsed)
	m.until(t, "its status", status(&after))
	t.Logf("resident after that: %.1f MB", float64(after.Memory.ResidentBytes)/1e6)
	said, err := os.ReadFile(m.serial)
	if err != nil || !after.StartedAt.Equal(before.StartedAt) || strings.Contains(string(said), "Out of memory") {
		t.Errorf("its program, started %v, was started again %v (%v); the kernel said:\n%s", before.StartedAt, after.StartedAt, err,
			strings.Join(regexp.MustCompile(`(?m)^\[.*$`).FindAllString(string(said), 50), "\n"))
	}
	l.check(t, o, s)
}
