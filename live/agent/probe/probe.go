package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Limits of an answer.
const (
	BodyBytesMax   = 10 << 10 // of an HTTP answer that is looked at
	OutputBytesMax = 10 << 10 // of a program's output
	redirectsMax   = 10
)

// userAgent is by what servers know probes of Kubernetes.
const userAgent = "kube-probe/1.37"

// Target is what is asked.
type Target struct {
	Container *corev1.Container
	IP        string // the pod's
	// Exec runs a program in the container and answers its exit code.
	Exec func(ctx context.Context, command []string, output io.Writer) (code int, err error)
}

// Run runs a probe within the context's time.
func Run(ctx context.Context, h *corev1.ProbeHandler, t Target) (ok bool, output string) {
	switch {
	case h.Exec != nil:
		return execProbe(ctx, h.Exec.Command, t)
	case h.HTTPGet != nil:
		return httpProbe(ctx, h.HTTPGet, t)
	case h.TCPSocket != nil:
		return tcpProbe(ctx, h.TCPSocket, t)
	case h.GRPC != nil:
		return grpcProbe(ctx, h.GRPC, t)
	}
	return false, "missing probe handler"
}

// bounded keeps the first bytes of what is written to it.
type bounded struct {
	mu   sync.Mutex // output and errors come from two goroutines
	text bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p[:min(len(p), b.most-b.text.Len())])
	return len(p), nil
}

func (b *bounded) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func execProbe(ctx context.Context, command []string, t Target) (bool, string) {
	out := bounded{most: OutputBytesMax}
	code, err := t.Exec(ctx, command, &out)
	switch {
	case ctx.Err() != nil:
		return false, fmt.Sprintf("command timed out: %q", strings.Join(command, " "))
	case err != nil:
		return false, err.Error()
	}
	return code == 0, out.String()
}

// port finds a named port of the container.
func (t *Target) port(p intstr.IntOrString) (int, error) {
	if p.Type == intstr.Int {
		return p.IntValue(), checkPort(p.IntValue())
	}
	for i := range t.Container.Ports {
		if t.Container.Ports[i].Name == p.StrVal {
			return int(t.Container.Ports[i].ContainerPort), nil
		}
	}
	n, err := strconv.Atoi(p.StrVal)
	if err != nil {
		return 0, fmt.Errorf("couldn't find port: %v", p.String())
	}
	return n, checkPort(n)
}

func checkPort(n int) error {
	if n < 1 || n > 65535 {
		return fmt.Errorf("invalid port number: %d", n)
	}
	return nil
}

func (t *Target) address(host string, p intstr.IntOrString) (string, error) {
	port, err := t.port(p)
	if err != nil {
		return "", err
	}
	if host == "" {
		host = t.IP
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// request makes the request of a probe or hook.
func (t *Target) request(ctx context.Context, g *corev1.HTTPGetAction) (*http.Request, error) {
	at, err := t.address(g.Host, g.Port)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(g.Path)
	if err != nil {
		u = &url.URL{Path: g.Path}
	}
	u.Scheme, u.Host = strings.ToLower(string(g.Scheme)), at
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	if !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	for _, h := range g.HTTPHeaders {
		if strings.EqualFold(h.Name, "Host") {
			req.Host = h.Value
			continue
		}
		if strings.EqualFold(h.Name, "User-Agent") || strings.EqualFold(h.Name, "Accept") {
			req.Header.Del(h.Name)
			if h.Value == "" {
				req.Header[http.CanonicalHeaderKey(h.Name)] = nil
				continue
			}
		}
		req.Header.Add(h.Name, h.Value)
	}
	return req, nil
}

// client makes one request and keeps no connection. Certificates are not looked at: it
// is the container's answer that counts, and where it is, is known.
func client(followOtherHosts bool) *http.Client {
	dialer := &net.Dialer{Control: lingerless}
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: dialer.DialContext,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if !followOtherHosts && req.URL.Hostname() != via[0].URL.Hostname() || len(via) >= redirectsMax {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}

// lingerless lets a connection be forgotten at once, so that many probes do not fill the
// host with ports that wait.
func lingerless(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		// Where it fails the ports merely wait.
		_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 1})
	})
}

func httpProbe(ctx context.Context, g *corev1.HTTPGetAction, t Target) (bool, string) {
	req, err := t.request(ctx, g)
	if err != nil {
		return false, err.Error()
	}
	resp, err := client(false).Do(req)
	if err != nil {
		return false, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, BodyBytesMax))
	if err != nil {
		return false, err.Error()
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 400 {
		return true, string(body)
	}
	return false, fmt.Sprintf("HTTP probe failed with statuscode: %d", resp.StatusCode)
}

func tcpProbe(ctx context.Context, a *corev1.TCPSocketAction, t Target) (bool, string) {
	at, err := t.address(a.Host, a.Port)
	if err != nil {
		return false, err.Error()
	}
	conn, err := (&net.Dialer{Control: lingerless}).DialContext(ctx, "tcp", at)
	if err != nil {
		return false, err.Error()
	}
	conn.Close()
	return true, ""
}

func grpcProbe(ctx context.Context, a *corev1.GRPCAction, t Target) (bool, string) {
	at, err := t.address("", intstr.FromInt32(a.Port))
	if err != nil {
		return false, err.Error()
	}
	service := ""
	if a.Service != nil {
		service = *a.Service
	}
	conn, err := grpc.NewClient("passthrough:///"+at, grpc.WithUserAgent(userAgent), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false, err.Error()
	}
	defer conn.Close()
	ctx = metadata.NewOutgoingContext(ctx, metadata.New(nil))
	resp, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
	switch {
	case err == nil && resp.GetStatus() == healthv1.HealthCheckResponse_SERVING:
		return true, fmt.Sprintf("service %s has status SERVING", service)
	case err == nil:
		return false, fmt.Sprintf("service unhealthy (responded with %q)", resp.GetStatus().String())
	}
	switch status.Code(err) {
	case codes.Unimplemented:
		return false, "this server does not implement the grpc health protocol (grpc.health.v1.Health): " + err.Error()
	case codes.DeadlineExceeded:
		return false, fmt.Sprintf("timeout: health rpc did not complete within %v", timeLeft(ctx))
	}
	return false, "error: health rpc probe failed: " + err.Error()
}

func timeLeft(ctx context.Context) time.Duration {
	d, _ := ctx.Deadline()
	return time.Until(d).Round(time.Millisecond).Abs()
}

// Hook runs a handler of a container's lifecycle.
func Hook(ctx context.Context, h *corev1.LifecycleHandler, t Target) error {
	switch {
	case h.Exec != nil:
		out := bounded{most: OutputBytesMax}
		code, err := t.Exec(ctx, h.Exec.Command, &out)
		if err != nil {
			return err
		}
		if code != 0 {
			return fmt.Errorf("command '%s' exited with %d: %s", strings.Join(h.Exec.Command, " "), code, out.String())
		}
		return nil
	case h.HTTPGet != nil:
		req, err := t.request(ctx, h.HTTPGet)
		if err != nil {
			return err
		}
		resp, err := client(true).Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode >= 400 {
			return fmt.Errorf("HTTP lifecycle hook failed with statuscode: %d", resp.StatusCode)
		}
		return nil
	case h.Sleep != nil:
		wait := time.NewTimer(time.Duration(h.Sleep.Seconds) * time.Second)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		return nil
	case h.TCPSocket != nil:
		return nil // it never did anything, and is kept for old objects
	}
	return errors.New("invalid handler: want exec, httpGet or sleep")
}
