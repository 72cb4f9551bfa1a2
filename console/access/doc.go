// Package access decides who may do what in the console: users and their roles, passwords,
// sessions, the setup code of the first start, lock-out, and the log of what was done.
//
// It is not for pages, routes or sockets: package console asks it with what a request
// carries, and packages console and console/web hand it what a person typed.
//
//	Service     all of it, over one state file
//	Identity    who a request is from; FromContext finds it
//	Role        what somebody may do: viewer, operator, administrator
//	Session     a login, as the browser's cookie names it
//	Error       a refusal, with what it means for who asked
//
// The way of a request at the HTTPS door: package console puts an Identity that is nobody
// but an address into its context, and asks Authenticate with cookie or token, which
// returns the Identity of a user. Authorize then holds it against the operation's role. A
// request at the Unix socket is an administrator's from the beginning.
//
// # What is kept
//
// In the state file, bucket "access": users with the argon2id hash of their password
// (RFC 9106; 7 MiB, five passes, as OWASP's password storage cheat sheet has it), and the
// setup code until there is an administrator. Sessions are kept under the SHA-256 of their
// cookie, so they outlive a restart, and who reads the file can't log in with it: a session
// begins and ends on disk before its answer goes out, and when it was used is on disk
// a minute later at most, which is all that a kill forgets.
//
// # What strangers can take
//
// One password is hashed at a time, and after each the hasher rests as long as it worked:
// half of one processor and 7 MiB (of passwords set by older versions 19) is all that logins can take, whoever tries. Few wait
// their turn, the rest is told to come again. After five failures an address, and a user,
// wait twice as long for each further try; the tables of that are bounded.
package access
