// Package oldkernel has a thread, and the processes that it starts, see a kernel or a
// device that lacks what newer ones have. Tests run the real program so, to see that it
// gets on without.
//
//	runtime.LockOSThread() // and never unlock it: the thread stays as it is until its end
//	err := oldkernel.Enter(oldkernel.UDPSegment(), oldkernel.TAPHeader())
//	cmd.Start()            // what the thread starts inherits it
//
// It is done by a filter of system calls (seccomp(2), classic BPF), which answers in the
// kernel's stead: most of a [Lack] is "this option of setsockopt(2) is ENOPROTOOPT". What hangs on
// memory that a filter can't see goes to a supervisor in this process
// (SECCOMP_RET_USER_NOTIF), which changes the caller's memory before the kernel reads it.
//
// What is supervised ([TAPHeader], [JoinedSends]) may be called by a thread of this process only
// if Go's scheduler is told (syscall.Syscall, not RawSyscall): else garbage collection waits for the thread,
// and the thread for the supervisor, which waits for garbage collection.
//
// It needs CAP_SYS_ADMIN, Linux 5.19 and x86-64 or arm64.
package oldkernel
