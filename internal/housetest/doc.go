// Package housetest keeps the rules of the house that the compiler doesn't: who may
// import whom (docs/architecture.md), that each package says in a doc.go what it is
// for, that files stay short, that log fields come from one list (docs/logging.md),
// and that links between documents lead somewhere.
//
// It has tests only. They read the sources and need no network and no tools.
package housetest
