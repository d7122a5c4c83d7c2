package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/turnstile"
)

// APIServerName is the common name of the API server's certificate towards agents.
const APIServerName = "kube-apiserver-kubelet-client"

// Port is where agents listen unless they are told otherwise.
const Port = 10250

// Limits of the endpoint.
const (
	SessionsMax   = 512              // logs that are followed, execs, attaches and port-forwards at a time: 429 beyond
	headerBytes   = 1 << 20          // of a request: a command is in its path's query
	headerTimeout = 30 * time.Second // for them to arrive
	idleTimeout   = 90 * time.Second // of a connection without a request
	IdleMax       = 4 * time.Hour    // of a session in which nothing is said
	lingerMax     = 5 * time.Second  // for the client to take the rest when a session is over

	// Connections of one address, and of all; a pod can open some, too.
	connectionsPerAddrMax = SessionsMax + 64
	connectionsMax        = 2 * connectionsPerAddrMax

	openMax = 30 * time.Second // for the client to open the streams it announced
)

// Place is where a pod is on this host, and one of its containers if one was asked for.
type Place struct {
	UID   string
	Netns string // path of its network namespace; empty for the host's
	IP    string // where it is reached by others; empty for the loopback device

	Run         runtime.ID // the present run of the container, or its last
	Log         string     // path of the present run's log
	PreviousLog string     // of the run before; empty for none
}

// Pods are those of this node. Its methods are called from any goroutine.
type Pods interface {
	// Find tells where a pod is; container is empty if only the pod is meant. The error
	// is told the client as it is, with a 404.
	Find(namespace, name, container string) (Place, error)
	// List gives the pods of this node, which are not written to.
	List() []*corev1.Pod
}

// Config says who may ask. All is required.
type Config struct {
	// Certificate is asked at each handshake, so that it may be renewed.
	Certificate func() (*tls.Certificate, error)
	ClientCAs   *x509.CertPool // who signs clients' certificates
	ClientNames []string       // common names of clients, such as APIServerName
	Report      func(error)    // hears of failures nobody else can be told of
}

func (c *Config) validate() error {
	switch {
	case c.Certificate == nil:
		return errors.New("agent endpoint: Certificate: want a function")
	case c.ClientCAs == nil:
		return errors.New("agent endpoint: ClientCAs: want the cluster's authority")
	case len(c.ClientNames) == 0 || slices.Contains(c.ClientNames, ""):
		return fmt.Errorf("agent endpoint: ClientNames %q: want names such as %s", c.ClientNames, APIServerName)
	case c.Report == nil:
		return errors.New("agent endpoint: Report: want a function")
	}
	return nil
}

// Server is the endpoint.
type Server struct {
	cfg      Config
	pods     Pods
	runtime  *runtime.Client
	http     *http.Server
	sessions chan struct{}
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
}

// New makes a server of the pods that the runtime's client runs.
func New(cfg Config, pods Pods, client *runtime.Client) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, pods: pods, runtime: client, sessions: make(chan struct{}, SessionsMax)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s,
		MaxHeaderBytes:    headerBytes,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          log.New(reports(cfg.Report), "", 0),
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // a connection is taken over, so no HTTP/2
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			NextProtos:     []string{"http/1.1"},
			ClientAuth:     tls.RequireAndVerifyClientCert,
			ClientCAs:      cfg.ClientCAs,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cfg.Certificate() },
		},
	}
	return s, nil
}

// reports makes an error of each line that net/http logs.
type reports func(error)

// Write implements io.Writer.
func (r reports) Write(line []byte) (int, error) {
	r(fmt.Errorf("agent endpoint: %s", strings.TrimSpace(string(line))))
	return len(line), nil
}

// Serve answers on a listener, which it closes, until Close.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.ServeTLS(turnstile.New(l, connectionsMax, connectionsPerAddrMax), "", "")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close ends the server and all sessions.
func (s *Server) Close() error {
	s.cancel()
	return s.http.Close()
}

// refusal is an answer other than 200.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return r.text }

func refuse(code int, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// ServeHTTP implements http.Handler; it must be reached over TLS.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := s.admit(r)
	if err == nil {
		err = s.route(w, r)
	}
	if err == nil {
		return
	}
	known, ok := errors.AsType[*refusal](err)
	if !ok {
		known = &refusal{http.StatusInternalServerError, err.Error()}
	}
	http.Error(w, known.text, known.code)
}

// admit refuses whoever is not the API server. That the certificate is of the cluster's
// authority was found in the handshake.
func (s *Server) admit(r *http.Request) error {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return refuse(http.StatusUnauthorized, "want a client certificate")
	}
	if name := r.TLS.VerifiedChains[0][0].Subject.CommonName; !slices.Contains(s.cfg.ClientNames, name) {
		return refuse(http.StatusForbidden, "%q may not use a node's endpoint: want a certificate of the API server", name)
	}
	return nil
}

// route finds what a path asks for. Nothing is cleaned: a path that is not literally
// right is wrong.
func (s *Server) route(w http.ResponseWriter, r *http.Request) error {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch parts[0] {
	case "healthz":
		_, _ = io.WriteString(w, "ok")
		return nil
	case "pods":
		return s.list(w)
	}
	handle, depth := s.logs, 4
	switch parts[0] {
	case "containerLogs":
	case "exec":
		handle = s.exec
	case "attach":
		handle = s.attach
	case "portForward":
		handle, depth = s.portForward, 3
	case "proxy":
		handle, depth = s.proxy, 3
	default:
		return refuse(http.StatusNotFound, "there is no %.100q here", r.URL.Path)
	}
	to, err := s.target(parts, depth)
	if err != nil {
		return err
	}
	select {
	case s.sessions <- struct{}{}:
	default:
		return refuse(http.StatusTooManyRequests, "%d sessions are open on this node, the most", SessionsMax)
	}
	defer func() { <-s.sessions }()
	return handle(w, r, to)
}

// target is whom a request is about.
type target struct {
	namespace, pod, container string
	Place
}

func (s *Server) target(parts []string, depth int) (*target, error) {
	if len(parts) != depth && (parts[0] != "proxy" || len(parts) < depth+1) {
		return nil, refuse(http.StatusBadRequest, "path /%.300s: want %d parts", strings.Join(parts, "/"), depth)
	}
	t := &target{namespace: parts[1], pod: parts[2]}
	if problems := validation.IsDNS1123Label(t.namespace); len(problems) > 0 {
		return nil, refuse(http.StatusBadRequest, "namespace %.100q: %s", t.namespace, problems[0])
	}
	if problems := validation.IsDNS1123Subdomain(t.pod); len(problems) > 0 {
		return nil, refuse(http.StatusBadRequest, "pod %.100q: %s", t.pod, problems[0])
	}
	if depth == 4 {
		t.container = parts[3]
		if problems := validation.IsDNS1123Label(t.container); len(problems) > 0 {
			return nil, refuse(http.StatusBadRequest, "container %.100q: %s", t.container, problems[0])
		}
	}
	var err error
	if t.Place, err = s.pods.Find(t.namespace, t.pod, t.container); err != nil {
		return nil, refuse(http.StatusNotFound, "%s", err)
	}
	return t, nil
}

// list answers with the pods of this node.
func (s *Server) list(w http.ResponseWriter) error {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: []corev1.Pod{}}
	for _, p := range s.pods.List() {
		list.Items = append(list.Items, *p)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(&list) // the client has gone
	return nil
}
