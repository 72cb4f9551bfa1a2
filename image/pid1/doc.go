// Package pid1 is the first process of the appliance's image, and the only one beside
// Landbridge itself.
//
// It is for what a machine needs before and after its one program: modules, file systems, the
// management network, time, a supervisor, the power button, and the decision whether a new slot
// is kept. It is not for anything about groups or hosts: that is the program's.
//
//	Main        what /init does; as /sbin/modprobe it loads a module for the kernel
//	Modules     loads kernel modules by what hardware says of itself (modalias)
//	Disk        the partitions, by their labels: state, system, slots
//	Slots       GRUB's environment block: which slot is primary, which is tried
//	Config      what the appliance was given for its first start
//	Network     the management port: DHCP (RFC 2131) or static
//	Supervisor  runs the program, again and again
//	Screen      what a person sees on the screen and the serial line
//
// # The way of a start
//
//	kernel -> mounts -> modules -> state (checked, mounted, grown) -> configuration -> network
//	       -> the program, supervised -> well for a while: this slot is the primary
//
// Nothing here gives up: what fails is shown on the screen and in the log, and the rest goes on.
// A PID 1 that returns is a kernel panic, which restarts the machine with its primary slot.
package pid1
