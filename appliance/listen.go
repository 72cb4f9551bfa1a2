package appliance

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// explainListen says why the appliance can't listen at addr, and what to do about it by
// the flag that names the address. Any other error it returns as it is.
func explainListen(err error, transport string, addr netip.AddrPort, flag string) error {
	var failed *net.OpError
	if !errors.As(err, &failed) || failed.Op != "listen" {
		return err
	}
	at := fmt.Sprintf("listen on %s %v", transport, addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %w; another program may use the port: choose another with --%s", at, syscall.EADDRINUSE, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %w; this host has no address %v: name one that it has with --%s, or none, as :%d, to listen at all of them",
			at, syscall.EADDRNOTAVAIL, addr.Addr(), flag, addr.Port())
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: %w; port %d needs root or CAP_NET_BIND_SERVICE: choose one from 1024 on with --%s", at, syscall.EACCES, addr.Port(), flag)
	}
	return fmt.Errorf("%s: %w; choose another address with --%s", at, failed.Err, flag)
}
