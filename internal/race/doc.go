// Package race says whether the program was built with Go's race detector, for tests: it makes some ten times
// as slow, and has the standard library allocate what it would reuse.
package race
