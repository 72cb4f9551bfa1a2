package apifuzz

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Response is what came back.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// noise is what the inside of a program looks like from outside.
var noise = []string{"goroutine ", "runtime error", ".go:", "panic", "/root/", "PRIVATE KEY", "bbolt", "0xc0"}

// Faults says what is wrong with a response to asked, whatever that was: a failure of the
// server, an error that isn't an RFC 9457 problem in words, the inside of the program shown. 503
// is an answer where it says in words what the network can't do now.
func (r Response) Faults(asked Request) []string {
	var all []string
	if r.Status >= 500 && r.Status != http.StatusServiceUnavailable {
		all = append(all, fmt.Sprintf("status %d", r.Status))
	}
	if r.Status < 400 {
		return all
	}
	var problem struct {
		Title, Detail string
		Status        int
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch err := json.Unmarshal(r.Body, &problem); {
	case kind != "application/problem+json":
		all = append(all, fmt.Sprintf("status %d with content type %q", r.Status, kind))
	case err != nil:
		all = append(all, fmt.Sprintf("a problem that isn't JSON: %v", err))
	case problem.Status != r.Status || len(problem.Detail) < 8:
		all = append(all, fmt.Sprintf("status %d, and the problem says %+v", r.Status, problem))
	}
	for _, n := range noise {
		if bytes.Contains(r.Body, []byte(n)) && !bytes.Contains(asked.Body, []byte(n)) && !strings.Contains(asked.Target, n) {
			all = append(all, fmt.Sprintf("its text has %q", n))
		}
	}
	return all
}
