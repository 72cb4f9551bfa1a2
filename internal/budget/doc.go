// Package budget bounds what others can have this program do: lines in its log, writes to its disk.
//
// It is not for packets, whose bounds are where they are counted, nor for memory.
//
//	Budget  a token bucket that counts who asked in vain
//	Log     a log of which somebody else decides how much it says
package budget
