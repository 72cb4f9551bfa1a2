// Package netlab builds networks.
package netlab
