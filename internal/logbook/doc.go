// Package logbook keeps the last lines of a log in memory, beside wherever they are printed,
// so that a person can read them later without access to the machine.
//
// It is not for printing (package log/slog) nor for keeping lines over a restart.
//
//	Book    the lines: a bounded number of them, of bounded size; the oldest go first
//	Beside  a slog.Handler that passes each record on, and keeps it
//	Since   the lines after one
//
// Each line has a number that rises by one. A line is kept when the handler behind takes records of its level.
package logbook
