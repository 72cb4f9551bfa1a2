package console

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/console/web"
)

// What strangers at the door, who have shown no valid credential, may take together: little, so
// that neither root at the socket nor users ever wait for them.
const (
	maxStranger     = 8 << 10          // bytes of a request's body: name, password and code have long enough ones
	strangerTimeout = 10 * time.Second // for the whole of a request, its body and its answer
)

// insidePlaces are those of the Unix socket.
func insidePlaces() *places {
	return newPlaces(limits{most: maxRequests, each: maxRequests, queue: maxConnections, eachQueue: maxConnections, patience: requestTimeout})
}

// userPlaces are those of users at the door. One address leaves some to the others.
func userPlaces() *places {
	return newPlaces(limits{most: maxRequests, each: maxRequests * 3 / 4, queue: maxConnections, eachQueue: maxConnections, patience: strangerTimeout})
}

// strangerPlaces are those of strangers at the door. A browser asks for all that the log-in page
// is made of at once, so there is a queue.
func strangerPlaces() *places {
	return newPlaces(limits{most: 32, each: 4, queue: 256, eachQueue: 32, patience: 2 * time.Second})
}

// importPlaces are those of files that are imported, one at a time: they take some ten times their
// size of memory.
func importPlaces() *places {
	return newPlaces(limits{most: 1, each: 1, queue: 8, eachQueue: 8, patience: strangerTimeout})
}

// isImport reports whether a request has a file to import as its body, of somebody who may: others get no
// further than any request that is refused.
func isImport(c echo.Context, id access.Identity) bool {
	return id.Role >= access.Operator && c.Request().Method == http.MethodPost && (c.Path() == importPath || c.Path() == web.ImportPath)
}

// limits say how many requests are answered at a time, and wait: of all, and of each source.
type limits struct {
	most, each       int
	queue, eachQueue int
	patience         time.Duration // for which one waits
}

// places are those of requests that are being answered. Further ones wait for a moment; those that
// don't get one then, or are too many to wait, are refused. It is safe for concurrent use.
type places struct {
	limits
	all     chan struct{} // holds one for each that is answered
	mu      sync.Mutex
	here    int                // that are answered or wait
	sources map[string]*source // of which any is here
}

// source is the requests of one address.
type source struct {
	here   int
	places chan struct{}
}

func newPlaces(l limits) *places {
	return &places{limits: l, all: make(chan struct{}, l.most), sources: make(map[string]*source)}
}

// take waits for a place. free gives it back.
func (p *places) take(ctx context.Context, from string) (free func(), err error) {
	s, err := p.enter(from)
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(p.patience)
	defer patience.Stop()
	for i, place := range []chan struct{}{s.places, p.all} {
		select {
		case place <- struct{}{}:
			continue
		case <-patience.C:
			err = busy("as many requests are being answered as there can be")
			if i == 0 {
				err = tooMany("the requests that your address has sent before aren't answered yet")
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
		if i > 0 {
			<-s.places
		}
		p.leave(from, s)
		return nil, err
	}
	return func() { <-p.all; <-s.places; p.leave(from, s) }, nil
}

func (p *places) enter(from string) (*source, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sources[from]
	switch {
	case s != nil && s.here >= p.each+p.eachQueue:
		return nil, tooMany("too many requests come from your address at once")
	case p.here >= p.most+p.queue:
		return nil, busy("as many requests wait as may")
	case s == nil:
		s = &source{places: make(chan struct{}, p.each)}
		p.sources[from] = s
	}
	s.here++
	p.here++
	return s, nil
}

func (p *places) leave(from string, s *source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.here--
	if s.here--; s.here == 0 {
		delete(p.sources, from)
	}
}

// retryAfter is when one that was refused for want of a place may come again.
const retryAfter = 2 * time.Second

func busy(text string) error {
	return &Error{status: statusUnavailable, retry: retryAfter, err: errors.New(text + ": try again in a moment")}
}

func tooMany(text string) error {
	return &Error{status: http.StatusTooManyRequests, retry: retryAfter, err: errors.New(text + ": try again in a moment")}
}

// admit waits until it is a request's turn, and bounds it in size and time as is due to whom it is
// from; its body is read only then. A user's request for a stream, which is no work, takes no place
// and as long as it likes. free must be called when the request is answered.
func (s *Server) admit(c echo.Context, id access.Identity, op api.Operation) (free func(), err error) {
	r := c.Request()
	if op.Stream && id.Known() {
		ctx, cancel := context.WithCancel(r.Context())
		c.SetRequest(r.WithContext(ctx))
		return cancel, nil
	}
	at, most, within := s.strangers, int64(maxStranger), strangerTimeout
	if id.Known() {
		at, most, within = s.outside, maxBody, requestTimeout
		if isUpload(c, id) {
			most, within = maxUpload, uploadTimeout
			allowUpload(c)
		}
	}
	if id.How == access.BySocket {
		at = s.inside
	}
	if isImport(c, id) {
		at, most = s.imports, maxImport
		if id.How == access.BySocket {
			at = s.insideImports
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), within)
	leave, err := at.take(ctx, id.Source())
	if err != nil {
		cancel()
		if r.ProtoMajor == 1 { // else net/http waits for the rest of the body before it answers
			c.Response().Header().Set("Connection", "close")
		}
		return nil, err
	}
	if !id.Known() { // a place isn't held by who sends or reads slowly
		now, out := time.Now(), http.NewResponseController(c.Response())
		_, _ = out.SetReadDeadline(now.Add(within/2)), out.SetWriteDeadline(now.Add(within)) // a test's recorder has none
	}
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(c.Response(), r.Body, most)
	c.SetRequest(r)
	return func() { leave(); cancel() }, nil
}
