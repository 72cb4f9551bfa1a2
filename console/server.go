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
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/netutil"

	"landbridge/console/api"
	"landbridge/console/metrics"
)

// Limits of what a client may take from the appliance.
const (
	maxBody        = 64 << 10 // bytes of a request's body
	maxHeader      = 16 << 10 // bytes of a request's header
	maxRequests    = 64       // being answered at a time; further ones wait
	maxConnections = maxRequests + maxStreams

	headerTimeout  = 5 * time.Second
	readTimeout    = 15 * time.Second
	requestTimeout = 60 * time.Second // joining a group may take long
	writeTimeout   = requestTimeout + 15*time.Second
	idleTimeout    = 2 * time.Minute
	stopTimeout    = 2 * time.Second // for requests in flight when the appliance stops
)

// eventsPath is the one path whose answer goes on.
const eventsPath = "/api/v1/events"

// Server answers API requests from an Appliance. It is an http.Handler; Serve runs it on
// a listener with the limits that it should have.
type Server struct {
	appliance Appliance
	log       *slog.Logger
	echo      *echo.Echo
	requests  chan struct{} // holds one for each that is being answered, streams apart
}

// New makes a server of an appliance.
func New(a Appliance, log *slog.Logger) *Server {
	s := &Server{appliance: a, log: log, echo: echo.New(), requests: make(chan struct{}, maxRequests)}
	s.echo.Logger.SetOutput(io.Discard) // slog is where this program logs
	s.echo.Binder = strictJSON{}
	s.echo.HTTPErrorHandler = s.writeProblem
	s.echo.Use(s.guard)
	api.RegisterHandlers(s.echo, api.NewStrictHandler(&handlers{appliance: a, metrics: metrics.New(a)}, nil))
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Serve answers requests on l until ctx is done, then gives those in flight two seconds
// and returns nil. It closes l. An error means that l failed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
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

// Serve makes a server of a and runs it on l until ctx is done; see Server.Serve.
func Serve(ctx context.Context, l net.Listener, a Appliance, log *slog.Logger) error {
	return New(a, log).Serve(ctx, l)
}

// guard bounds each request in size and time, and turns a panic into a problem: the
// appliance goes on.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		start := time.Now()
		r := c.Request()
		if c.Path() != eventsPath { // that is no work, and goes on
			ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
			defer cancel()
			r = r.WithContext(ctx)
			select {
			case s.requests <- struct{}{}:
				defer func() { <-s.requests }()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBody)
		c.SetRequest(r)
		header := c.Response().Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
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
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return decodeError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return decodeError(errors.New("something follows the object"))
	}
	return nil
}
