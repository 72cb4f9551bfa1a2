// Package throughput remembers how fast traffic was: each second of five minutes, and each minute of a day, in 14 KB.
//
// It is not for counting: [History] is told by how much counts have grown, by whoever looks at them every second or so.
package throughput
