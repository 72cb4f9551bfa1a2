//go:build manpages

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// asInit writes the manual's pages into a directory: what is built with this tag does nothing else.
func asInit(args []string) (exit int, done bool) {
	if len(args) != 2 {
		fmt.Fprintln(os.Stderr, "want one argument: the directory for the manual's pages")
		return exitUsage, true
	}
	for name, text := range manPages((&program{}).root()) {
		if err := os.WriteFile(filepath.Join(args[1], name), []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitFailed, true
		}
	}
	return exitOK, true
}
