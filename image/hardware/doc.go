// Package hardware finds what the appliance's image needs of a machine's hardware: drivers and partitions.
//
// It is for the two first processes of the image, that of its initramfs (cmd/initramfs) and that of the
// appliance (package pid1). It is not for what they do with it.
//
//	Modules    loads kernel modules by what hardware says of itself (modalias), with what they need
//	Partition  the device of a partition, by its name in the GPT
//	Parameter  a parameter of the kernel's command line
//
// The tables of modules are those that package image writes: modules.dep and modules.alias, by name.
package hardware
