package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	proxyutil "k8s.io/apimachinery/pkg/util/proxy"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Limits of what is asked of agents.
const (
	agentDialMax    = 10 * time.Second // for a connection, TLS included
	agentAnswerMax  = 60 * time.Second // for the first byte of an answer
	agentHeaderMax  = 1 << 20          // of an answer's headers
	agentRefusalMax = 8 << 10          // of the text of a refusal
)

// Relay is a cluster with what the agents of its nodes can be asked for: it implements
// the HTTP front's Logs and Streams. What is asked goes to the agent's endpoint as the
// API server's own request, after the front has decided whether the user may; nothing of
// the user's credentials goes with it, for a node is trusted less than the server.
type Relay struct {
	apiserver.Cluster
	tls *tls.Config
}

var (
	_ apiserver.Logs    = (*Relay)(nil)
	_ apiserver.Streams = (*Relay)(nil)
)

// NewRelay wraps a cluster. The configuration has the authority of agents' certificates
// (RootCAs) and the API server's own certificate (Certificates or GetClientCertificate).
func NewRelay(cluster apiserver.Cluster, config *tls.Config) (*Relay, error) {
	if config == nil || config.RootCAs == nil {
		return nil, errors.New("relay to agents: want the authority that signs their certificates")
	}
	if len(config.Certificates) == 0 && config.GetClientCertificate == nil {
		return nil, errors.New("relay to agents: want a client certificate, which they ask for")
	}
	return &Relay{Cluster: cluster, tls: config}, nil
}

// transport makes connections to one node's agent. Each request has its own: the agent
// is asked rarely, and mostly for a stream.
func (r *Relay) transport(node string) *http.Transport {
	config := r.tls.Clone()
	config.NextProtos = []string{"http/1.1"} // a stream takes the connection over
	config.MinVersion = tls.VersionTLS12
	// Who must answer is a node, not an address: whoever got hold of its address is
	// not believed, other nodes included.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error { return isAgent(state, config.RootCAs, node) }
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: agentDialMax}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    agentDialMax,
		ResponseHeaderTimeout:  agentAnswerMax,
		MaxResponseHeaderBytes: agentHeaderMax,
		DisableCompression:     true,
		DisableKeepAlives:      true,
	}
}

// isAgent says whether a connection's other end is the agent of a node.
func isAgent(state tls.ConnectionState, roots *x509.CertPool, node string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the agent has no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	leaf := state.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return err
	}
	if want := auth.NodePrefix + node; leaf.Subject.CommonName != want {
		return fmt.Errorf("the agent's certificate is of %q: want %q", leaf.Subject.CommonName, want)
	}
	return nil
}

// Logs implements the HTTP front's Logs.
func (r *Relay) Logs(ctx context.Context, pod *corev1.Pod, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	node, err := r.node(ctx, pod.Spec.NodeName)
	if err != nil {
		return nil, err
	}
	to, err := agentURL(node, "/containerLogs/"+pod.Namespace+"/"+pod.Name+"/"+opts.Container, logQuery(opts))
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	answer, err := r.transport(node.Name).RoundTrip(req)
	if err != nil {
		return nil, unreachable(err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, agentRefusalMax))
	if err != nil {
		return nil, unreachable(err)
	}
	return nil, refusedBy(answer.StatusCode, strings.TrimSpace(string(text)))
}

func logQuery(o *corev1.PodLogOptions) url.Values {
	q := url.Values{}
	flag := func(name string, v bool) {
		if v {
			q.Set(name, "true")
		}
	}
	number := func(name string, v *int64) {
		if v != nil {
			q.Set(name, strconv.FormatInt(*v, 10))
		}
	}
	flag("follow", o.Follow)
	flag("previous", o.Previous)
	flag("timestamps", o.Timestamps)
	number("sinceSeconds", o.SinceSeconds)
	number("tailLines", o.TailLines)
	number("limitBytes", o.LimitBytes)
	if o.SinceTime != nil {
		q.Set("sinceTime", o.SinceTime.UTC().Format(time.RFC3339Nano))
	}
	if o.Stream != nil {
		q.Set("stream", *o.Stream)
	}
	return q
}

// node reads a node.
func (r *Relay) node(ctx context.Context, name string) (*corev1.Node, error) {
	var o kinds.Object
	var err error
	derr := r.Do(ctx, func(_ time.Time, a *api.API) { o, err = a.Get(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: name}}) })
	switch {
	case derr != nil:
		return nil, apierrors.NewServiceUnavailable(derr.Error())
	case err != nil:
		return nil, err
	}
	return o.(*corev1.Node), nil
}

func agentURL(node *corev1.Node, path string, q url.Values) (*url.URL, error) {
	at, err := apiserver.HostPort(node)
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "https", Host: at, Path: path, RawQuery: q.Encode()}, nil
}

// unreachable is what users of Kubernetes know for a node that does not answer.
func unreachable(err error) error {
	return status(http.StatusInternalServerError, metav1.StatusReasonInternalError, "error dialing backend: "+err.Error())
}

// refusedBy is an agent's refusal.
func refusedBy(code int, text string) error {
	switch code {
	case http.StatusBadRequest:
		return apierrors.NewBadRequest(text)
	case http.StatusNotFound:
		return status(code, metav1.StatusReasonNotFound, text)
	case http.StatusTooManyRequests:
		return apierrors.NewTooManyRequests(text, 1)
	}
	return status(http.StatusInternalServerError, metav1.StatusReasonInternalError, fmt.Sprintf("the agent answered %d: %s", code, text))
}

func status(code int, reason metav1.StatusReason, text string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: text}}
}

// Stream implements the HTTP front's Streams.
func (r *Relay) Stream(w http.ResponseWriter, req *http.Request, t *apiserver.Target) error {
	to, err := agentTarget(req, t)
	if err != nil {
		return err
	}
	var failed error
	var transport http.RoundTripper = r.transport(t.Node.Name)
	if t.Subresource == "proxy" {
		// A page's links lead to the proxy, as the page does.
		transport = &proxyutil.Transport{PathPrepend: strings.TrimSuffix(req.URL.EscapedPath(), "/"+t.Path), RoundTripper: transport}
	}
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL, p.Out.Host = to, to.Host
			p.Out.Header = handedOn(p.Out.Header, t.Subresource == "proxy")
		},
		ModifyResponse: func(answer *http.Response) error {
			if t.Subresource != "proxy" && answer.StatusCode >= 300 && answer.StatusCode < 400 {
				return fmt.Errorf("the agent answered %d: a node may not send a user elsewhere", answer.StatusCode)
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = unreachable(err) },
	}
	proxy.ServeHTTP(w, req)
	return failed
}

// agentTarget is where a request goes.
func agentTarget(req *http.Request, t *apiserver.Target) (*url.URL, error) {
	switch {
	case t.Pod == nil:
		return nodeTarget(req, t)
	case t.Subresource == "proxy":
		scheme := ""
		if t.TLS {
			scheme = "https:"
		}
		to, err := agentURL(t.Node, fmt.Sprintf("/proxy/%s/%s/%s%d/", t.Pod.Namespace, t.Pod.Name, scheme, t.Port), t.Query)
		if err != nil {
			return nil, err
		}
		rest, err := url.PathUnescape(t.Path)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		to.RawPath = to.Path + t.Path
		to.Path += rest
		to.RawQuery = req.URL.RawQuery
		return to, nil
	case t.Subresource == "portforward":
		return agentURL(t.Node, "/portForward/"+t.Pod.Namespace+"/"+t.Pod.Name, t.Query)
	}
	return agentURL(t.Node, "/"+t.Subresource+"/"+t.Pod.Namespace+"/"+t.Pod.Name+"/"+t.Container, t.Query)
}

// nodeTarget lets users read from a node's endpoint. Streams have subresources of their
// own: who may read of a node must not get into its pods by this way.
func nodeTarget(req *http.Request, t *apiserver.Target) (*url.URL, error) {
	first, _, _ := strings.Cut(t.Path, "/")
	if !slices.Contains([]string{"healthz", "pods", "containerLogs"}, first) || req.Method != http.MethodGet || req.Header.Get("Upgrade") != "" {
		return nil, status(http.StatusForbidden, metav1.StatusReasonForbidden,
			fmt.Sprintf("%s of %q: of a node can be read healthz, pods and containerLogs/NAMESPACE/POD/CONTAINER", req.Method, t.Path))
	}
	rest, err := url.PathUnescape(t.Path)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	to, err := agentURL(t.Node, "/"+rest, t.Query)
	if err == nil {
		to.RawPath = "/" + t.Path
	}
	return to, err
}

// streamHeaders are those of a stream's beginning that an agent needs.
var streamHeaders = []string{"Connection", "Upgrade", "X-Stream-Protocol-Version", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Protocol", "Content-Type", "Accept"}

// bearerProtocol begins the name of a WebSocket protocol that is a token.
const bearerProtocol = "base64url.bearer.authorization.k8s.io."

// handedOn is what goes on of a request's headers. A proxy hands on all that is not the
// user's credentials or about who he is.
func handedOn(h http.Header, proxy bool) http.Header {
	out := http.Header{}
	for name, values := range h {
		lower := strings.ToLower(name)
		secret := lower == "authorization" || strings.HasPrefix(lower, "impersonate-") || strings.HasPrefix(lower, "x-remote-")
		if proxy && !secret || slices.Contains(streamHeaders, name) {
			out[name] = slices.Clone(values)
		}
	}
	if protocols := out["Sec-Websocket-Protocol"]; protocols != nil {
		var kept []string
		for p := range strings.SplitSeq(strings.Join(protocols, ","), ",") {
			if p = strings.TrimSpace(p); !strings.HasPrefix(p, bearerProtocol) {
				kept = append(kept, p)
			}
		}
		out.Set("Sec-Websocket-Protocol", strings.Join(kept, ", "))
	}
	if proxy {
		out.Del("Cookie") // of the API server's address, not of the pod
	}
	return out
}
