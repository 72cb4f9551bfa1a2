// Mkimage builds the bootable image of the appliance; package image says how.
//
//	mkimage -program FILE -version TEXT -time SECONDS [-cache DIR] [-out DIR] [-update-key FILE] [-changes TEXT]
//
// It is for the Makefile, which knows version and time of the commit.
package main
