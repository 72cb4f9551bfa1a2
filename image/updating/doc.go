// Package updating is what the image's first process and the program tell each other about updates,
// and about the machine: files in a directory that only root has, and which is gone with each restart.
//
// It is for handing over orders and reports, whole. It is not for doing what they say: PID 1 does that
// (package pid1), and the program shows it (package appliance).
//
//	Desk     the directory; where there is none, this machine isn't the image
//	Order    order: what the program wants done: a bundle put into the other slot, or that started
//	Report   report: which version is in which slot, what is being done, how the last update ended
//	Warnings warnings: what PID 1 finds isn't well with the machine, as its screen shows it
//
// The program places an order by a rename, and PID 1, which looks each second, takes it by removing it.
// PID 1 tells by a rename, too, so that who reads a report reads one.
package updating
