package main

import "context"

func (d *demo) measure(ctx context.Context) {}
