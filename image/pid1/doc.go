// Package pid1 is the first process of the appliance's image, and the only one beside
// Landbridge itself.
//
// It is for what a machine needs before and after its one program: modules, file systems, the
// management network, time, a supervisor, the power button, and the decision whether a new slot
// is kept. It is not for anything about groups or hosts: that is the program's.
//
//	Main        what the program does as /init; as /sbin/modprobe it loads a module for the kernel
//	openState   the state partition: checked, mended, mounted, grown; made anew only where it never was one
//	seed        what the appliance was given for its first start, and where it is kept (volumes, fw_cfg)
//	networkData the networks in which a cloud says that the machine is
//	metadata    the cloud's service that is asked for it, where nothing else has it
//	Network     the management port: DHCP (RFC 2131) or static
//	Supervisor  runs the program, again and again
//	first       what is done once: administrator, group
//	Screen      what people see on the screen and the serial line
//	rescue      the menu there
//	updates     orders of the program about the slots (packages updating, slots), and their record
//	gate        decides whether the version that runs is well
//
// # The way of a start
//
//	kernel -> initramfs (cmd/initramfs), which mounts the slot as root -> mounts -> modules -> state (checked, mounted, grown) -> configuration -> network
//	       -> the program, supervised, and the rescue console -> well for a while: this slot is the primary
//
// A slot on trial that isn't well within five minutes, or whose program ends again and again, is given
// up by a restart; a watchdog ends one that hangs. The record says what became of it.
//
// Nothing here gives up: what fails is shown on the screen and in the log, and the rest goes on.
// A PID 1 that returns is a kernel panic, which restarts the machine with its primary slot.
package pid1
