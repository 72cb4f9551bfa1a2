// Init is the first process of the appliance's image; see package image/pid1.
package main

import (
	"os"

	"landbridge/image/pid1"
)

func main() { os.Exit(pid1.Main(os.Args)) }
