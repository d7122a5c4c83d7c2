package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// within is longer than any answer takes that comes.
const within = 10 * time.Second

func run(t *testing.T, h corev1.ProbeHandler, target Target, limit time.Duration) (bool, string) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return Run(ctx, &h, target)
}

func portOf(t *testing.T, addr string) int {
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return n
}

func TestHTTP(t *testing.T) {
	forever := make(chan struct{})
	handler := http.NewServeMux()
	handler.HandleFunc("/code/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		w.WriteHeader(n)
	})
	handler.HandleFunc("/told", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Host, r.Header.Get("X-A"), r.UserAgent(), r.URL.RawQuery)
	})
	handler.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
	})
	handler.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/code/500", http.StatusFound) })
	handler.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1<<20)) })
	handler.HandleFunc("/slow", func(http.ResponseWriter, *http.Request) { <-forever })
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	defer close(forever)
	target := Target{IP: "127.0.0.1", Container: &corev1.Container{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: int32(portOf(t, plain.Listener.Addr().String()))}}}}
	get := func(path string, edit ...func(*corev1.HTTPGetAction)) (bool, string) {
		a := &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("web")}
		for _, e := range edit {
			e(a)
		}
		return run(t, corev1.ProbeHandler{HTTPGet: a}, target, within)
	}
	for code, want := range map[int]bool{200: true, 204: true, 399: true, 400: false, 404: false, 500: false} {
		ok, output := get(fmt.Sprintf("/code/%d", code))
		require.Equal(t, want, ok, code)
		if !want {
			require.Equal(t, fmt.Sprintf("HTTP probe failed with statuscode: %d", code), output)
		}
	}
	ok, output := get("told?q=1", func(a *corev1.HTTPGetAction) {
		a.HTTPHeaders = []corev1.HTTPHeader{{Name: "Host", Value: "shop"}, {Name: "X-A", Value: "1"}}
	})
	require.True(t, ok)
	require.Equal(t, "shop 1 kube-probe/1.37 q=1", output)
	ok, _ = get("/away")
	require.True(t, ok, "a redirect to another host is an answer")
	ok, _ = get("/here")
	require.False(t, ok, "one to the same is followed")
	_, output = get("/long")
	require.Len(t, output, BodyBytesMax)
	ok, _ = get("/code/200", func(a *corev1.HTTPGetAction) {
		a.Scheme, a.Port = corev1.URISchemeHTTPS, intstr.FromInt(portOf(t, secure.Listener.Addr().String()))
	})
	require.True(t, ok, "no certificate is looked at")
	_, output = get("/", func(a *corev1.HTTPGetAction) { a.Port = intstr.FromString("none") })
	require.Contains(t, output, "couldn't find port: none")
	_, output = get("/", func(a *corev1.HTTPGetAction) { a.Port = intstr.FromInt(1 << 17) })
	require.Contains(t, output, "invalid port number")
	ok, output = run(t, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/slow", Port: intstr.FromString("web")}}, target, 20*time.Millisecond)
	require.False(t, ok)
	require.Contains(t, output, "deadline exceeded")

	require.NoError(t, Hook(t.Context(), &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/code/200", Port: intstr.FromString("web")}}, target))
	require.ErrorContains(t, Hook(t.Context(), &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/code/500", Port: intstr.FromString("web")}}, target), "500")
}

func TestTCPAndGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, checks := grpc.NewServer(), health.NewServer()
	healthv1.RegisterHealthServer(s, checks)
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	target := Target{IP: "127.0.0.1", Container: &corev1.Container{}}
	port := int32(portOf(t, l.Addr().String()))
	ok, _ := run(t, corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}, target, within)
	require.True(t, ok)
	ask := func(service string, limit time.Duration) (bool, string) {
		return run(t, corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port, Service: &service}}, target, limit)
	}
	ok, output := ask("", within)
	require.True(t, ok, output)
	checks.SetServingStatus("db", healthv1.HealthCheckResponse_NOT_SERVING)
	ok, output = ask("db", within)
	require.False(t, ok)
	require.Equal(t, `service unhealthy (responded with "NOT_SERVING")`, output)
	ok, _ = ask("unknown", within)
	require.False(t, ok)

	dead, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port = int32(portOf(t, dead.Addr().String()))
	dead.Close()
	ok, output = run(t, corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}, target, within)
	require.False(t, ok)
	require.Contains(t, output, "connection refused")
	ok, output = ask("", 50*time.Millisecond)
	require.False(t, ok)
	require.Contains(t, output, "timeout")
}

func TestExecAndHooks(t *testing.T) {
	target := Target{Exec: func(ctx context.Context, command []string, output io.Writer) (int, error) {
		switch command[0] {
		case "hang":
			<-ctx.Done()
			return 0, ctx.Err()
		case "broken":
			return 0, errors.New("no such container")
		}
		_, _ = io.WriteString(output, strings.Repeat("x", OutputBytesMax+1))
		n, err := strconv.Atoi(command[0])
		return n, err
	}}
	probe := func(command string, limit time.Duration) (bool, string) {
		return run(t, corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{command}}}, target, limit)
	}
	ok, output := probe("0", within)
	require.True(t, ok)
	require.Len(t, output, OutputBytesMax)
	ok, _ = probe("1", within)
	require.False(t, ok)
	_, output = probe("broken", within)
	require.Equal(t, "no such container", output)
	_, output = probe("hang", 10*time.Millisecond)
	require.Equal(t, `command timed out: "hang"`, output)
	_, output = run(t, corev1.ProbeHandler{}, target, within)
	require.Equal(t, "missing probe handler", output)

	hook := func(command string) error {
		return Hook(t.Context(), &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{command}}}, target)
	}
	require.NoError(t, hook("0"))
	require.ErrorContains(t, hook("2"), "command '2' exited with 2")
	require.ErrorContains(t, hook("broken"), "no such container")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, Hook(ctx, &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 3600}}, target), "it ends with the time it has")
	require.Error(t, Hook(t.Context(), &corev1.LifecycleHandler{}, target))
}
