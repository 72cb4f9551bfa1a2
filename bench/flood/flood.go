package flood

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/console/api"
)

// What the console gets, a second or at a time.
const (
	Requests = 1000 // a second
	Logins   = 20   // a second
	Streams  = 500
	Loris    = 100 // connections
)

const (
	askers    = 16 // connections for requests, and for logins
	trickle   = 500 * time.Millisecond
	patience  = 20 * time.Second
	user      = "flood"
	password  = "correct horse battery"
	wrongWord = "battery horse correct"
)

// Counts is what became of a flood.
type Counts struct {
	Answered int64 // requests that got what they asked for
	Failed   int64 // that didn't
	Logins   int64 // with a wrong password, and refused
	LetIn    int64 // that weren't refused
	Streams  int64 // that stood to the end
	Closed   int64 // connections of the slow-loris that the console closed
	Seconds  float64
}

type flood struct {
	url    string // of the console, without a slash at the end
	cookie string

	answered, failed, logins, letIn, streams, closed atomic.Int64
}

// SetUp makes the console's first user with its setup code, and returns the cookie of a session.
func SetUp(ctx context.Context, url, setupCode string) (cookie string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	f := &flood{url: url}
	status, cookies, err := f.send(ctx, newClient(), http.MethodPost, "/api/v1/setup", api.SetupRequest{Code: setupCode, Name: user, Password: password})
	if err != nil {
		return "", fmt.Errorf("set the console up: %w", err)
	}
	if status != http.StatusCreated || len(cookies) == 0 {
		return "", fmt.Errorf("set the console up: it answers with status %d", status)
	}
	return cookies[0].Name + "=" + cookies[0].Value, nil
}

// Run floods the console, as the user whose session has this cookie too, calls ready when all
// streams stand, and goes on until ctx is done.
func Run(ctx context.Context, url, cookie string, ready func()) (Counts, error) {
	f := &flood{url: url, cookie: cookie}
	var all, standing sync.WaitGroup
	standing.Add(Streams)
	for range Streams {
		all.Go(func() { f.stream(ctx, standing.Done) })
	}
	standing.Wait()
	for range Loris {
		all.Go(func() { f.loris(ctx) })
	}
	began := time.Now()
	all.Go(func() { f.atRate(ctx, Requests, f.request) })
	all.Go(func() { f.atRate(ctx, Logins, f.login) })
	ready()
	<-ctx.Done()
	counts := Counts{
		Answered: f.answered.Load(), Failed: f.failed.Load(), Logins: f.logins.Load(), LetIn: f.letIn.Load(),
		Streams: f.streams.Load(), Closed: f.closed.Load(), Seconds: time.Since(began).Seconds(),
	}
	all.Wait()
	return counts, nil
}

// newClient makes one with connections of its own, HTTP/1.1 on each.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     ownCertificate(),
		MaxConnsPerHost:     askers,
		MaxIdleConnsPerHost: askers,
	}}
}

// ownCertificate is for a console whose certificate is its own.
func ownCertificate() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// send asks the console, and returns the status and the cookies; an answer is read to its end.
func (f *flood) send(ctx context.Context, c *http.Client, method, path string, body any) (status int, cookies []*http.Cookie, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, f.url+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if f.cookie != "" {
		r.Header.Set("Cookie", f.cookie)
	}
	res, err := c.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Cookies(), err
}

// atRate calls do so many times a second, at most askers at a time: who is late stays late.
func (f *flood) atRate(ctx context.Context, rate int, do func(context.Context, *http.Client, int)) {
	c := newClient()
	defer c.CloseIdleConnections()
	turns := make(chan int)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer close(turns)
	for range askers {
		asking.Go(func() {
			for n := range turns {
				do(ctx, c, n)
			}
		})
	}
	tick := time.NewTicker(time.Millisecond) // one request at a time, not ten
	defer tick.Stop()
	began := time.Now()
	for n := 0; ; {
		for due := int(time.Since(began).Seconds() * float64(rate)); n < due; n++ {
			select {
			case turns <- n:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// request asks for what pages and scripts ask for.
func (f *flood) request(ctx context.Context, c *http.Client, n int) {
	paths := []string{"/api/v1/status", "/api/v1/peers", "/api/v1/leases?limit=50", "/api/v1/counters"}
	switch status, _, err := f.send(ctx, c, http.MethodGet, paths[n%len(paths)], nil); {
	case ctx.Err() != nil:
	case err != nil || status != http.StatusOK:
		f.failed.Add(1)
	default:
		f.answered.Add(1)
	}
}

func (f *flood) login(ctx context.Context, c *http.Client, _ int) {
	stranger := &flood{url: f.url}
	status, _, err := stranger.send(ctx, c, http.MethodPost, "/api/v1/login", api.Login{Name: user, Password: wrongWord})
	switch {
	case err != nil:
	case status >= 400 && status < 500:
		f.logins.Add(1)
	default:
		f.letIn.Add(1)
	}
}

// stream reads events until ctx is done.
func (f *flood) stream(ctx context.Context, stands func()) {
	stands = sync.OnceFunc(stands)
	defer stands()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/api/v1/events?types=lease", nil)
	if err != nil {
		return
	}
	r.Header.Set("Cookie", f.cookie)
	c := newClient()
	defer c.CloseIdleConnections()
	res, err := c.Do(r)
	if err != nil {
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return
	}
	f.streams.Add(1)
	stands()
	_, _ = io.Copy(io.Discard, res.Body)
	if ctx.Err() == nil {
		f.streams.Add(-1)
	}
}

// loris sends headers that have no end.
func (f *flood) loris(ctx context.Context) {
	for ctx.Err() == nil {
		if f.trickle(ctx) == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(trickle):
		}
	}
}

// trickle is one connection of the slow-loris.
func (f *flood) trickle(ctx context.Context) error {
	d := tls.Dialer{Config: ownCertificate()}
	conn, err := d.DialContext(ctx, "tcp", f.url[len("https://"):])
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	text := "GET / HTTP/1.1\r\nHost: console\r\nX-Long: "
	for n := 0; ; n++ {
		if err := conn.SetReadDeadline(time.Now().Add(trickle)); err != nil {
			return err
		}
		piece := "x"
		if n < len(text) {
			piece = text[n : n+1]
		}
		if _, err := io.WriteString(conn, piece); err != nil {
			break
		}
		// All that it can say is that this takes too long.
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	if ctx.Err() == nil {
		f.closed.Add(1)
	}
	return nil
}
