package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/netutil"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/console/metrics"
	"landbridge/console/web"
	"landbridge/internal/budget"
)

// Limits of what a client may take from the appliance.
const (
	maxBody        = 64 << 10 // bytes of a request's body
	maxHeader      = 16 << 10 // bytes of a request's header
	maxRequests    = 64       // being answered at a time, at the socket and of users at the door; further ones wait
	maxConnections = maxRequests + maxStreams

	headerTimeout  = 5 * time.Second
	readTimeout    = 15 * time.Second
	requestTimeout = 60 * time.Second // joining a group may take long
	writeTimeout   = requestTimeout + 15*time.Second
	idleTimeout    = 2 * time.Minute
	stopTimeout    = 2 * time.Second // for requests in flight when the appliance stops
)

// What the console logs of requests, whoever sends them: so many lines at once, and then one each time.
const (
	logBurst = 20
	logEvery = 10 * time.Second
)

// eventsPath is where events are streamed.
const eventsPath = "/api/v1/events"

// Server answers requests from an Appliance, to those whom users knows. Serve runs it on
// the Unix socket, ServeHTTPS at the door for persons, each with the limits that it
// should have.
type Server struct {
	users      *access.Service
	log        *slog.Logger
	api        *echo.Echo               // what the document has
	pages      *echo.Echo               // everything else
	web        *web.Pages               // which are on it
	operations map[string]api.Operation // by method and pattern, as "GET /api/v1/status"
	origins    *http.CrossOriginProtection
	door       *atomic.Pointer[Door] // nil inside: there is none

	// Of requests at the socket, of users at the door and of strangers there; and of files that are imported,
	// at the socket and at the door.
	inside, outside, strangers, insideImports, imports *places
}

// New makes a server of an appliance and its users.
func New(a Appliance, users *access.Service, log *slog.Logger) *Server {
	log = budget.Log(log, logEvery, logBurst)
	s := &Server{users: users, log: log, operations: make(map[string]api.Operation),
		origins: http.NewCrossOriginProtection(), door: new(atomic.Pointer[Door]),
		inside: insidePlaces(), outside: userPlaces(), strangers: strangerPlaces(), insideImports: importPlaces(), imports: importPlaces()}
	s.api, s.pages = s.newEcho(), s.newEcho()
	for _, op := range api.Operations() {
		s.operations[op.Method+" "+op.Path] = op
	}
	guarded := api.Guarded(&handlers{appliance: a, users: users, door: s.door, metrics: metrics.New(a)}, s.ask)
	api.RegisterHandlers(s.api, api.NewStrictHandler(guarded, nil))
	s.web = web.New(web.Options{API: guarded, Log: log, Who: who, Problem: problemOf})
	s.web.Register(s.pages)
	return s
}

// newEcho makes a router whose requests are somebody's, bounded, and answered in words.
func (s *Server) newEcho() *echo.Echo {
	e := echo.New()
	e.Logger.SetOutput(io.Discard) // slog is where this program logs
	e.Binder = strictJSON{}
	e.HTTPErrorHandler = s.writeProblem
	e.Use(s.guard, s.identify)
	return e
}

// ServeHTTP answers a request that came by the Unix socket, whose sender may do everything.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r, access.ForSocket()) }

// serve answers a request from id, which it may show to be somebody else's.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, id access.Identity) {
	r = r.WithContext(access.NewContext(r.Context(), id))
	if path := r.URL.Path; strings.HasPrefix(path, "/api/") || path == "/metrics" || path == "/healthz" {
		s.api.ServeHTTP(w, r)
		return
	}
	s.pages.ServeHTTP(w, r)
}

// Serve answers requests on l until ctx is done, then gives those in flight two seconds
// and returns nil. It closes l. An error means that l failed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := s.newHTTPServer(ctx, s)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(netutil.LimitListener(l, maxConnections)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the console on %v: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the console on %v: %w", l.Addr(), err)
	}
	return nil
}

// newHTTPServer makes a server with the limits that both doors have.
func (s *Server) newHTTPServer(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// guard sets what all answers have, and turns a panic into a problem: the appliance goes on.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		start := time.Now()
		r := c.Request()
		web.SetHeaders(c.Response().Header())
		defer func() {
			if v := recover(); v == http.ErrAbortHandler { //nolint:errorlint // net/http compares so
				panic(v) // an answer that broke off; net/http ends the connection
			} else if v != nil {
				s.log.Error("console request panicked", "method", r.Method, "path", r.URL.Path,
					"err", fmt.Sprint(v), "stack", string(debug.Stack()))
				err = errors.New("a fault in the appliance: its log has the details; please report it")
			}
			s.log.Debug("console request", "method", r.Method, "path", r.URL.Path, "took", time.Since(start))
		}()
		return next(c)
	}
}

// strictJSON reads request bodies: one JSON value without unknown fields, and nothing that
// isn't called JSON. A form, which any site's page can have a browser send, is refused.
type strictJSON struct{}

// Bind reads the body into v. No body is an object without fields.
func (strictJSON) Bind(v any, c echo.Context) error {
	r := c.Request()
	if r.ContentLength == 0 {
		return nil
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if charset := parameters["charset"]; err != nil || kind != echo.MIMEApplicationJSON || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return echo.ErrUnsupportedMediaType
	}
	if r.Header.Get(echo.HeaderContentEncoding) != "" {
		return echo.ErrUnsupportedMediaType
	}
	d := json.NewDecoder(&rowCounter{from: r.Body, most: maxReservations})
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return decodeError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return decodeError(errors.New("something follows the object"))
	}
	return nil
}

// rowCounter passes a body on, and fails where it has more rows than most in the lists of its one
// object: so that they are counted before they become values, which take 30 times the memory.
type rowCounter struct {
	from           io.Reader
	most           int
	rows, depth    int
	quoted, escape bool
}

// Read reads from the body.
func (c *rowCounter) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	for _, char := range b[:n] {
		switch {
		case c.escape:
			c.escape = false
		case c.quoted:
			c.escape, c.quoted = char == '\\', char != '"'
		case char == '"':
			c.quoted = true
		case char == '{', char == '[':
			c.depth++
		case char == '}', char == ']':
			c.depth--
		case char == ',' && c.depth == 2:
			c.rows++
		}
	}
	if c.rows >= c.most {
		var wrong checker
		wrong.add("items", "want at most %d", c.most)
		return 0, wrong.err()
	}
	return n, err
}
