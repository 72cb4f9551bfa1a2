package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"landbridge/console/api"
)

// maxAncestors bounds the way from this process to the session in which it was started.
const maxAncestors = 32

// operatorConnection finds the SSH connection by which the operator is on this host: from
// the environment of this process or, as sudo clears that, of one of those that started
// it. It is the zero value where there is none, as on a console.
func operatorConnection() api.OperatorConnection {
	if c, ok := parseSSH(os.Getenv("SSH_CONNECTION")); ok {
		return c
	}
	pid := os.Getppid()
	for range maxAncestors {
		if pid <= 1 {
			break
		}
		if c, ok := sessionOf(pid); ok {
			return c
		}
		pid = parentOf(pid)
	}
	return api.OperatorConnection{}
}

// sessionOf reads the SSH connection from the environment of a process.
func sessionOf(pid int) (api.OperatorConnection, bool) {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return api.OperatorConnection{}, false
	}
	for _, v := range bytes.Split(environ, []byte{0}) {
		if value, ok := strings.CutPrefix(string(v), "SSH_CONNECTION="); ok {
			return parseSSH(value)
		}
	}
	return api.OperatorConnection{}, false
}

// parentOf returns the process that started another, or 0.
func parentOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// pid (comm) state ppid …; comm may hold anything, brackets too (proc_pid_stat(5)).
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}

// parseSSH reads SSH_CONNECTION (ssh(1)): the client's address and port, then the server's.
func parseSSH(value string) (api.OperatorConnection, bool) {
	fields := strings.Fields(value)
	if len(fields) != 4 {
		return api.OperatorConnection{}, false
	}
	return api.OperatorConnection{Local: fields[2], Remote: fields[0]}, true
}
