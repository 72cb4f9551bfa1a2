// Package netlab builds networks out of Linux namespaces, in a few lines: hosts, LANs,
// NATs and a WAN whose links delay, lose, reorder and slow down. Tests, the demo, the soak and
// the benchmarks run on it. It needs root, and changes nothing outside of what it makes.
//
//	lab := netlab.ForTest(t)                 // or netlab.New(log); defer lab.Close()
//	wan := lab.WAN("203.0.113.0/24")
//	d := wan.Host("d")                       // a public host
//	a := wan.Site("a", netlab.Behind(netlab.PortRestricted),
//		netlab.Link{Delay: 10 * time.Millisecond, Loss: 0.01, Rate: 100e6})
//	box := a.Host("box")                     // eth0: an address behind the NAT, default route
//	wire := a.Wire("cluster")                // Ethernet without addresses
//	wire.Plug(box, "lan0")                   // box's second port; it has no address
//	a1 := wire.Host("a1")                    // eth0 on the wire, no address:
//	lease, err := a1.StartDHCP(ctx, netlab.Dhclient, "eth0")
//	out, err := a1.Run(ctx, "ping", "-c1", "10.9.0.1")
//	err = a.Uplink().Cut()                   // a black hole; Mend ends it
//
// # What is made
//
//	            wan (a router: no broadcast, no private address crosses it)
//	  p1 |              | p2               | p3      each cable is a veth pair, or
//	     |              |                  |         two TAPs with a pump between them
//	eth0 |         wan0 |             wan0 |
//	     d           a-nat               b-nat       netfilter in a namespace
//	               lan0 |             lan0 |
//	   - - - - - - - - -|- - - - - - - - - | - - -
//	    wires:  [bridge "a"]  [bridge "a-cluster"]   one namespace for all bridges,
//	   - - - - - - - | - - - - - | - - | - - - - -   where no address is
//	            eth0 |      lan0 |     | eth0
//	                 +--- box ---+    a1
//
// [Lab] owns it all. A [Host] is a process asleep that is the first of a PID namespace,
// with a network, mount and UTS namespace of its own. A [LAN] is a bridge. A [Site] is a
// NAT router and the LAN behind it. A [Port] is a device of a host and the cable in it,
// which can be cut, unplugged, moved and slowed down while it is in use. Builders return
// when frames flow, and return no errors: see [New]. [Missing] tells what this machine
// lacks.
//
// # What a host sees
//
// The machine's file system, but with layers of its own, in memory, over /etc and
// /var/lib, an empty /run, its own /proc and /sys, and an empty /etc/resolv.conf. So a
// DHCP client may do as it pleases. [Host.Dir] is a scratch directory. /tmp and all the
// rest are the machine's. [Host.Command] runs programs in all these namespaces, [Host.Do]
// and [Host.Dial] run code of this process in the network namespace alone.
//
// # What stays behind
//
// Nothing. The kernel kills the first process of each host when the thread of this process
// that started it ends, however it ends, and with it all processes of the host's PID
// namespace; the other namespaces, their devices and mounts have no name and go with them.
// TAPs go with their descriptors. No name, file, route, sysctl or device is made in the
// machine's own namespaces.
//
// # What it is not
//
// Not a model of queues inside the Internet: a link has one queue, at its rate. Not IPv6
// in the WAN. NATs don't hairpin, and their mappings live until [Site.ForgetMappings];
// connection tracking has the kernel's timeouts.
package netlab
