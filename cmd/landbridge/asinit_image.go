//go:build image

package main

import "landbridge/image/pid1"

// asInit has the program be what the appliance's image calls it as: its first process, or the
// kernel's loader of modules. The image has one program, which takes less than two.
func asInit(args []string) (exit int, done bool) { return pid1.Main(args) }
