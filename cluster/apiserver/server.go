package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/audit"
)

// Cluster is a world's cluster as the HTTP front needs it: its API runs on one
// goroutine.
type Cluster interface {
	// Do runs f on the cluster's own goroutine at its present time, and returns when
	// f has. What f writes is fed to Observe before Do returns. The error is ctx's,
	// or says that the world has ended.
	Do(ctx context.Context, f func(now time.Time, a *api.API)) error
}

// Logs is what a Cluster has besides if its containers have logs.
type Logs interface {
	// Logs returns what a container has written; the reader ends when ctx does. The
	// pod is the stored object, read only; opts names the container.
	Logs(ctx context.Context, pod *corev1.Pod, opts *corev1.PodLogOptions) (io.ReadCloser, error)
}

// Config is what may be chosen of a server. The zero value lets everyone in.
type Config struct {
	// Authenticate says who makes a request; an error is a 401. Nil: everyone is
	// system:anonymous.
	Authenticate Authenticate
	// Authorize says whether he may. Nil: he may, and reviews say so.
	Authorize Authorize
	// Admit looks at what a user is about to write. Nil: all is well.
	Admit Admit
	// Paths are served besides the API, by their exact paths, to whom Authorize
	// allows the HTTP method in lower case on the path. They have no time limit.
	Paths map[string]http.Handler
	// Virtual are resources that are created but never stored, such as reviews and
	// tokens.
	Virtual []Virtual
	// Version is what /version says. Nil: the Kubernetes release whose API this is.
	Version *version.Info
	// Limits bound what a client can ask; zero fields mean those of DefaultLimits.
	Limits Limits
	// Audit hears of every request that has been answered, on the request's goroutine
	// and with the machine's time. Nil: none is written down.
	Audit func(*audit.Record)
	// Report hears of a panic in a request, which the client sees as a 500. Nil: it
	// is only counted.
	Report func(panicked any, stack []byte)
}

// Server serves the API of one cluster. It is an http.Handler, safe for concurrent
// use.
type Server struct {
	cluster   Cluster
	cfg       Config
	limits    Limits
	resources *resources
	owners    *owners
	hub       hub
	inFlight  chan struct{}
	costly    chan struct{}
	watchers  atomic.Int64
	streams   atomic.Int64
	panics    atomic.Int64
	docs      documents
	closed    chan struct{}
	closeOnce sync.Once
	epochMu   sync.Mutex
	epoch     chan struct{} // closed by Reset
}

// New returns a server for a cluster. The caller must let the cluster call Observe.
func New(c Cluster, cfg Config) *Server {
	if cfg.Authenticate == nil {
		cfg.Authenticate = anonymous
	}
	if cfg.Authorize == nil {
		cfg.Authorize = alwaysAllow
		cfg.Virtual = append(Reviews(c, auth.AlwaysAllow{}, &auth.Front{}), cfg.Virtual...)
	}
	limits := cfg.Limits.withDefaults()
	s := &Server{cluster: c, cfg: cfg, limits: limits, resources: newResources(cfg.Virtual),
		owners: newOwners(), inFlight: make(chan struct{}, limits.InFlightMax), costly: make(chan struct{}, limits.CostlyMax), closed: make(chan struct{}), epoch: make(chan struct{})}
	s.hub.init(limits.WatchWindow, limits.WatchBytes)
	limitPatches()
	return s
}

// Close ends all watches; requests after it get a 503.
func (s *Server) Close() { s.closeOnce.Do(func() { close(s.closed) }) }

// Reset ends all watches, so that clients list anew: for a world that has been set
// back to an earlier time, or has lost its state. The world calls it on its own
// goroutine, before it serves the next Do.
func (s *Server) Reset() {
	s.epochMu.Lock()
	defer s.epochMu.Unlock()
	close(s.epoch)
	s.epoch = make(chan struct{})
}

// ended is closed at the next Reset.
func (s *Server) ended() <-chan struct{} {
	s.epochMu.Lock()
	defer s.epochMu.Unlock()
	return s.epoch
}

// Panics is how many requests have panicked so far.
func (s *Server) Panics() int64 { return s.panics.Load() }

// HTTPServer is an http.Server with the limits of this one; Serve or ServeTLS it.
// HTTP/2 is spoken over TLS.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{Handler: s, MaxHeaderBytes: s.limits.HeaderBytesMax, ReadHeaderTimeout: s.limits.HeaderTimeout, IdleTimeout: s.limits.IdleTimeout}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{s: s, w: w, r: r, conn: http.NewResponseController(w)}
	c.newAuditID()
	defer c.audit(time.Now())
	c.deadline()
	defer c.noDeadline() // the next request has the same connection
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(p) // net/http's own way to cut a connection
		}
		s.panics.Add(1)
		if s.cfg.Report != nil {
			s.cfg.Report(p, debug.Stack())
		}
		if c.started {
			panic(http.ErrAbortHandler) // too late for a status
		}
		c.fail(apierrors.NewInternalError(fmt.Errorf("this request caused apiserver to panic: look in the report for details (%s %s)", r.Method, r.URL.Path)))
	}()
	select {
	case <-s.closed:
		c.fail(apierrors.NewServiceUnavailable("the API server is shutting down"))
		return
	default:
	}
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

// deadline gives the client a time for what is written next. A connection that is
// none, as in a test, has no deadlines.
func (c *call) deadline() {
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.s.limits.RequestTimeout + c.s.limits.WriteTimeout))
}

// noDeadline lets the client wait: over HTTP/2 a deadline ends a stream that is
// written to later, not only one that cannot be written to.
func (c *call) noDeadline() { _ = c.conn.SetWriteDeadline(time.Time{}) }

// serve finds out who asks for what, whether he may, and lets it be done.
func (c *call) serve() error {
	if err := c.negotiate(); err != nil {
		return err
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	unserved := c.resolve() // told to those alone who might do it if it were served
	if err := c.authorize(); err != nil {
		return err
	}
	if unserved != nil {
		return unserved
	}
	if c.isLong() {
		return c.route()
	}
	select {
	case c.s.inFlight <- struct{}{}:
	default:
		return apierrors.NewTooManyRequests("too many requests, please try again later.", 1)
	}
	defer func() { <-c.s.inFlight }()
	ctx, cancel := context.WithTimeout(c.r.Context(), c.s.limits.RequestTimeout)
	defer cancel()
	c.r = c.r.WithContext(ctx)
	return c.route()
}

// do runs f on the cluster's goroutine.
func (c *call) do(f func(now time.Time, a *api.API)) error {
	var panicked any
	var stack []byte
	err := c.s.cluster.Do(c.r.Context(), func(now time.Time, a *api.API) {
		defer func() { // the world's goroutine must live on
			if panicked = recover(); panicked != nil {
				stack = debug.Stack()
			}
		}()
		c.now = now
		f(now, a)
	})
	switch {
	case panicked != nil:
		panic(fmt.Sprintf("%v\n%s", panicked, stack))
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	}
	return apierrors.NewServiceUnavailable(err.Error())
}
