// Command web is a small web server that says which pod answers.
//
//	/            the pod, its version and what the downward API told it, a line each
//	/healthz     200 ok, or 503 after POST /fail, until POST /heal
//	/slow?ms=N   answers after N milliseconds
//
// On SIGTERM it is no longer healthy, goes on answering for --drain, then ends with 0.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// slowMax is how long /slow may be asked to take.
const slowMax = time.Minute

// told are the variables by which a manifest tells a pod about itself.
var told = [...]string{"VERSION", "POD_NAME", "POD_NAMESPACE", "POD_IP", "NODE_NAME", "SERVICE_ACCOUNT", "MESSAGE"}

type server struct {
	host   string
	failed atomic.Bool
}

func main() {
	listen := flag.String("listen", ":8080", "address to listen on")
	drain := flag.Duration("drain", time.Second, "how long to go on answering after SIGTERM")
	flag.Parse()
	if err := run(*listen, *drain); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

func run(listen string, drain time.Duration) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	s := &server{host: host}
	h := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ended := make(chan error, 1)
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	go func() { ended <- h.Serve(l) }()
	fmt.Println("listening on", l.Addr())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stop() // a second signal ends it at once
	fmt.Println("asked to stop, draining for", drain)
	s.failed.Store(true)
	time.Sleep(drain)
	last, cancel := context.WithTimeout(context.Background(), slowMax)
	defer cancel()
	if err := h.Shutdown(last); err != nil {
		return err
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *server) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /{$}", s.name)
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if s.failed.Load() {
			http.Error(w, "failed", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	m.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
		d := time.Duration(ms) * time.Millisecond
		if err != nil || d < 0 || d > slowMax {
			http.Error(w, fmt.Sprintf("ms %q: want a number from 0 to %d", r.URL.Query().Get("ms"), slowMax.Milliseconds()), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(d):
			s.name(w, r)
		case <-r.Context().Done():
		}
	})
	m.HandleFunc("POST /fail", func(http.ResponseWriter, *http.Request) { s.failed.Store(true) })
	m.HandleFunc("POST /heal", func(http.ResponseWriter, *http.Request) { s.failed.Store(false) })
	return m
}

func (s *server) name(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "HOSTNAME=%s\n", s.host)
	for _, key := range told {
		if value, ok := os.LookupEnv(key); ok {
			fmt.Fprintf(w, "%s=%s\n", key, value)
		}
	}
	fmt.Fprintf(w, "CLIENT=%s\n", r.RemoteAddr)
}
