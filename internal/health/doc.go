// Package health keeps what isn't as it should be, in words that an operator can act on.
//
// It is not for finding troubles, which each room does for itself, nor for showing them: what a
// room finds is put into words once, as a [Finding], and everybody shows that as it is: the
// status, the doctor, the console, the command line and the log.
//
//   - [Finding]: what is wrong, and what to do about it.
//   - [Trouble]: a finding that lasts, and which one it is, of which part of the appliance.
//   - [Book]: the troubles that there are. [Part] is one group's share of it.
//   - [Vigil]: which of the troubles that are seen have lasted long enough to be told. Pure.
package health
