package stream

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
)

// proxyHeaderMax is how much of headers a pod may answer.
const proxyHeaderMax = 1 << 20

// proxy hands an HTTP request on to a port of a pod, reached at its own address from
// within its network namespace: the host may have no route to it.
func (s *Server) proxy(w http.ResponseWriter, r *http.Request, t *target) error {
	_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/proxy/"), "/") // namespace
	_, rest, _ = strings.Cut(rest, "/")                                                // pod
	portText, rest, _ := strings.Cut(rest, "/")
	scheme := "http"
	if text, secure := strings.CutPrefix(portText, "https:"); secure {
		scheme, portText = "https", text
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return refuse(http.StatusBadRequest, "port %.100q: want 1 to 65535", portText)
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return refuse(http.StatusBadRequest, "path %.300q: %s", rest, err)
	}
	host := t.IP
	if host == "" {
		host = "127.0.0.1"
	}
	to := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: proxyHeaderMax,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialPod(ctx, t.Netns, []string{host}, uint16(port))
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // no authority signs for pods
	}
	p := &httputil.ReverseProxy{
		Transport:     to,
		FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL = &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, portText), Path: "/" + path, RawPath: "/" + rest, RawQuery: r.URL.RawQuery}
			pr.Out.Host = pr.Out.URL.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "error trying to reach the pod: "+err.Error(), http.StatusServiceUnavailable)
		},
	}
	p.ServeHTTP(w, r)
	return nil
}
