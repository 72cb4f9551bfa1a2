// Package flood is who is hard on an appliance's console, all at once and for as long as it
// is let: an operator's scripts, and strangers who want it down.
//
//	requests     so many a second, on connections that stay open, by a user who may
//	logins       so many a second, with a wrong password
//	streams      of events, each on a connection of its own, on which little happens
//	slow-loris   connections that send a request's header byte by byte, and come again when closed
//
// It measures nothing but what became of its own requests: see [Counts]. It is a process of its
// own ("bench load flood"), on the host of the appliance, and niced, so that it takes what nobody
// else wants, as if it came from other machines.
package flood
