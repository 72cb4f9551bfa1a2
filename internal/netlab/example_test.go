package netlab_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// A public host, and a site behind a NAT at the end of a slow and lossy line, with an
// appliance's two ports and a host on the cluster's wire.
func Example() {
	if os.Geteuid() != 0 {
		fmt.Println("60% of 5 pings answered, at least") // the lab needs root
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	lab := netlab.New(slog.New(slog.DiscardHandler))
	defer lab.Close()

	wan := lab.WAN("203.0.113.0/24")
	d := wan.Host("d")
	a := wan.Site("a", netlab.Behind(netlab.PortRestricted),
		netlab.Link{Delay: 10 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.01, Rate: 100e6})
	box := a.Host("box")
	wire := a.Wire("cluster")
	wire.Plug(box, "lan0")
	wire.Host("a1") // a1.StartDHCP(ctx, netlab.Dhclient, "eth0") where something leases
	if err := lab.Err(); err != nil {
		fmt.Println(err)
		return
	}

	answered := 0
	for range 5 {
		if _, err := box.Run(ctx, "ping", "-c1", "-W1", d.Port("eth0").Addr().String()); err == nil {
			answered++
		}
	}
	if answered >= 3 {
		fmt.Println("60% of 5 pings answered, at least")
	}
	// Output: 60% of 5 pings answered, at least
}

// BenchmarkCable reports what TCP gets out of a plain and of a managed cable.
func BenchmarkCable(b *testing.B) {
	for _, link := range []netlab.Link{{}, {Managed: true}} {
		b.Run(fmt.Sprintf("managed=%v", link.Managed), func(b *testing.B) {
			lab := netlab.ForTest(b)
			wan := lab.WAN("203.0.113.0/24")
			from, to := wan.Host("from", link), wan.Host("to")
			l, err := to.Listen("tcp4", to.Port("eth0").Addr().String()+":5001")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			received := make(chan int, 1)
			size := 1 << 20
			go func() {
				n := 0
				if conn, err := l.Accept(); err == nil {
					buf := make([]byte, 1<<20)
					for n < b.N*size {
						got, err := conn.Read(buf)
						if err != nil {
							break
						}
						n += got
					}
					conn.Close()
				}
				received <- n
			}()
			conn, err := from.Dial(b.Context(), "tcp4", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			b.SetBytes(int64(size))
			b.ResetTimer()
			buf := make([]byte, size)
			for range b.N {
				if _, err := conn.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
			if n := <-received; n != b.N*size {
				b.Fatalf("%d bytes of %d arrived", n, b.N*size)
			}
		})
	}
}
