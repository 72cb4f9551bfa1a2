// Package iface makes the network devices by which an appliance is attached to
// its segment, and puts the host's network back as it was.
//
// It is for: the TAP (frames in and out, in batches), the bridge that joins the
// TAP with a LAN port in router mode, the TAP's own address in interface mode, the
// host's presence on the wire of a port of its own in hybrid mode, and questions about the host's network that must be answered before anything
// is changed (is this port fit, does this prefix overlap a route). It is not for
// deciding what to do with a frame (router), nor for choosing a mode (appliance).
//
// # Main types
//
//   - [TAP]: the device. Its file descriptor is the only thing that keeps it, so
//     it goes with the process, however that ends. It reads and writes [frame.Packet].
//   - [Bridge]: the LAN port and the TAP on one bridge, or several TAPs that share it. A
//     bridge outlives a killed process, so it carries a marker; so does the VLAN of a LAN port
//     that was made for it (vlan.go).
//   - [Presence]: the virtual address on a port that the host uses for itself, and routes by
//     that port. They outlive a killed process, so they carry a mark.
//   - [Wire]: frames of one EtherType on such a port.
//   - [PortWatch], [SilenceWatch]: what becomes of a port, and neighbours that don't answer.
//   - [PortError], [CapabilityError]: why something was refused, in words for the
//     operator.
//
// # The three attachments
//
//	interface mode                        router mode
//
//	   host's IP stack                      TAP        eth1 (LAN port)
//	         |                               |            |
//	        TAP   address/prefix length      +--- lbbr0 --+      no address at all
//	         |    MTU of the group           |                   MTU of the LAN port
//	      router                           router
//
//	hybrid mode
//
//	   host's IP stack --------------- eth0   its own addresses, routes and MTU, as they were;
//	         |                               address/32, scope link
//	        TAP   address/prefix length      HOST/32 src address proto 76, for each host
//	         |    MTU of the group             that is on this wire
//	      router
//
// In router mode the devices keep the MTU of the LAN port, and so do hosts: the router
// enforces the group's on what leaves by the tunnel. The host that the appliance runs on has no address on the bridge.
//
// The TAP's bridge port neither learns nor takes unknown unicast or multicast:
// the one MAC behind it, the gateway MAC, is a static entry of the bridge. What
// two hosts of the LAN say to each other therefore never reaches the router.
//
// In hybrid mode the more special route wins: the TAP gets what isn't on the wire. That the
// address is on both devices is what makes the kernel answer ARP for it on the wire, and
// lets a TCP connection go on when its route changes from one to the other. The scope keeps
// the kernel from choosing it as a source for anything else. Without a presence, or after the
// port has gone, all goes by the TAP.
//
// # Offload
//
// The kernel hands over frames of up to 64 KiB that are yet to be cut into segments,
// with checksums yet to be computed, and takes such frames. What is left to be done stands
// in a virtio header before each. Kernels that offer less are found out when the TAP is
// opened, step by step:
//
//	checksums, TCP and UDP segmentation, each way     Linux 6.2 and later
//	without UDP segmentation                          older ones
//	without ECN in TCP segmentation, without TCP      refused by no Linux that we know
//	  segmentation, without checksums, without the header
//
// [TAP.Takes] says what may be written; [TAP.WriteBatch] does the rest itself. What was
// lost is logged once.
//
// Read frames lie in an arena, one behind the other, each with the headroom and
// tailroom of a [frame.Packet], so that the tunnel works on them where they are:
//
//	virtio 10 | Ethernet 14 | IP packet | tailroom 128 | to the next 64 bytes | virtio 10 | …
//
// # Marker
//
// Every device that we make carries an alias (ip link shows it):
//
//	landbridge:<owner>                          a TAP
//	landbridge:<owner> port=eth1 down nf=1      a bridge: its LAN port; the port was
//	                                            down before (else up); the value that
//	                                            bridge-nf-call-iptables had, if changed
//	landbridge:<owner> port=eth1 down           a VLAN: what it is a VLAN of, which was down
//	                                            before
//
// <owner> names the state directory. [Recover] finds the bridges of its owner and
// undoes them; [CreateBridge] takes over one that already fits, so that a restart
// after kill -9 doesn't touch the LAN port. Names tell nothing: a device gets the first
// that is free, lb0 and lbbr0 or the next, so several appliances live on one machine.
//
// A port that a [Presence] is on isn't ours to mark. Its address is: by its label (ip addr
// shows it; a long port name is cut off), /32 and scope link together:
//
//	eth0:lb        a presence
//	eth0:lb1       rp_filter of the port had the value 1 (or 0) before, and is 2 now
//
// and its routes by protocol 76. They don't say whose they are. They are a live appliance's
// if a device with an alias as above has the same address: the TAP gets it first and loses it
// last. Else [Recover] removes them.
//
// # Namespaces and threads
//
// All functions work in the network namespace of the calling thread. A caller in
// a namespace of its own locks its thread (runtime.LockOSThread) for the call. A TAP or
// Bridge, once made, may be used and closed from any thread; only the restoring of
// bridge-nf-call-iptables needs the right namespace.
package iface
