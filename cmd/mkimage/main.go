package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"landbridge/image"
)

func main() {
	o := image.Options{Progress: os.Stderr}
	var epoch int64
	flag.StringVar(&o.Program, "program", "bin/landbridge-image", "Landbridge, built with the tag image")
	flag.StringVar(&o.Init, "initramfs", "bin/initramfs", "the first process of the initramfs")
	flag.StringVar(&o.Version, "version", "unknown", "its version")
	flag.Int64Var(&epoch, "time", 0, "what every time stamp says, in seconds since 1970")
	flag.StringVar(&o.Cache, "cache", ".cache/image", "where packages are kept")
	flag.StringVar(&o.Out, "out", "out/image", "where the image is put")
	flag.StringVar(&o.UpdateKey, "update-key", "", "the key that signs updates, made where there is none; the development key")
	flag.StringVar(&o.Changes, "changes", "", "what is new, for who updates")
	flag.Parse()
	o.Time = time.Unix(epoch, 0).UTC()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := image.Build(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "mkimage: %v\n", err)
		os.Exit(1)
	}
}
