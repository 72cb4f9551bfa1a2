package overlay

import (
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

const (
	lanService = "_landbridge._udp" // DNS-SD service name (RFC 6763, section 7)
	lanSettle  = 2 * time.Second    // addresses change in bursts
	lanRetry   = 30 * time.Second
	lanEnd     = time.Second // that the service has to end
	maxLAN     = 32          // peers that aren't members to connect to
)

// discover announces us on the LAN and looks for others, by multicast DNS (RFC 6762),
// anew whenever our addresses change: what is announced is fixed when the service
// starts. A LAN without multicast costs a retry now and then.
func (o *Overlay) discover() error {
	sub, err := o.node.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		return err
	}
	o.running.Go(func() {
		defer func() { _ = sub.Close() }()
		var service mdns.Service
		stop := func() {
			if service != nil {
				closeLAN(service)
			}
		}
		defer func() { stop() }()
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-sub.Out():
				timer.Reset(lanSettle)
				continue
			case <-timer.C:
			case <-o.ctx.Done():
				return
			}
			stop()
			var err error
			if service, err = o.startLAN(net.Interfaces); err != nil {
				o.log.Debug("LAN discovery can't start", "err", err)
				timer.Reset(lanRetry)
			}
		}
	})
	return nil
}

// closeLAN ends one run of the service. It isn't waited for without end: where no interface has
// IPv6 (it is off, or the MTU is below 1280), zeroconf.Browse fails without closing
// its channel, and the library's Close waits for who reads that.
func closeLAN(service io.Closer) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = service.Close()
	}()
	select {
	case <-done:
	case <-time.After(lanEnd):
	}
}

var errNoMulticast = errors.New("no interface that is up has multicast")

// startLAN starts one run of the service. Where no interface would do it isn't tried:
// the library writes to standard error then, each time.
func (o *Overlay) startLAN(interfaces func() ([]net.Interface, error)) (mdns.Service, error) {
	list, err := interfaces()
	if err != nil {
		return nil, err
	}
	const wanted = net.FlagUp | net.FlagMulticast
	if !slices.ContainsFunc(list, func(i net.Interface) bool { return i.Flags&wanted == wanted }) {
		return nil, errNoMulticast
	}
	service := mdns.NewMdnsService(o.node, lanService, lanFinder{o})
	if err := service.Start(); err != nil {
		return nil, errors.Join(err, service.Close())
	}
	return service, nil
}

// lanFinder takes what mDNS finds.
type lanFinder struct{ o *Overlay }

// HandlePeerFound implements mdns.Notifee. Anybody on the LAN can say anything here;
// who it is shows when the connection is made.
func (f lanFinder) HandlePeerFound(info peer.AddrInfo) {
	o := f.o
	if !o.enter() {
		return
	}
	defer o.running.Done()
	for _, a := range info.Addrs[:min(len(info.Addrs), maxLearnt)] {
		if o.own.gate.usable(a) {
			o.node.Peerstore().AddAddr(info.ID, a, peerstore.RecentlyConnectedAddrTTL)
		}
	}
	o.dialer.heard(info.ID)
	o.tell(heardEvent{info.ID})
	if o.bestConn(info.ID) == nil && len(o.node.swarm.Peers()) < maxLAN {
		_, _ = o.connect(o.ctx, info.ID)
	}
}
