//go:build !image && !manpages

package main

// asInit does nothing: only the program of the image is a first process.
func asInit([]string) (exit int, done bool) { return 0, false }
