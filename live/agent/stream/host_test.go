package stream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/agent/stream"
	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/server"
	"seatrial.dev/seatrial/live/testbed/machine"
)

// eventMax is how long a test waits for what must come.
const eventMax = 30 * time.Second

func TestMain(m *testing.M) { os.Exit(machine.Run(m)) }

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *authority) sign(t testing.TB, name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// places are the pods of the endpoint under test.
type places struct {
	mu   sync.Mutex
	list map[string]stream.Place
}

// Find implements stream.Pods.
func (p *places) Find(namespace, name, container string) (stream.Place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.list[namespace+"/"+name+"/"+container]; ok {
		return at, nil
	}
	return stream.Place{}, fmt.Errorf("container not found (%q)", container)
}

// List implements stream.Pods.
func (p *places) List() []*corev1.Pod {
	return []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}}
}

func (p *places) put(name, container string, at stream.Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.list == nil {
		p.list = map[string]stream.Place{}
	}
	p.list["default/"+name+"/"+container] = at
}

// endpoint serves on loopback until the test ends.
func endpoint(t testing.TB, ca *authority, pods stream.Pods, client *runtime.Client) net.Addr {
	cert := ca.sign(t, "system:node:n1")
	s, err := stream.New(stream.Config{
		Certificate: func() (*tls.Certificate, error) { return &cert, nil },
		ClientCAs:   ca.pool(), ClientNames: []string{stream.APIServerName}, Report: func(err error) { t.Log(err) },
	}, pods, client)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, <-done)
	})
	return l.Addr()
}

// control is an API without a plane behind it.
type control struct {
	mu   sync.Mutex
	api  *api.API
	srv  *apiserver.Server
	sent uint64
}

// Do implements apiserver.Cluster.
func (c *control) Do(ctx context.Context, f func(time.Time, *api.API)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	f(time.Now(), c.api)
	for c.sent < c.api.Store().RV() {
		c.sent++
		e, err := c.api.Store().At(c.sent)
		if err != nil {
			return err
		}
		c.srv.Observe(e)
	}
	return nil
}

func (c *control) must(t testing.TB, r api.Request) kinds.Object {
	var o kinds.Object
	var err error
	require.NoError(t, c.Do(context.Background(), func(now time.Time, a *api.API) { o, err = a.Do(now, r) }))
	require.NoError(t, err)
	return o
}

// newControl serves the API over TLS, HTTP/2 included, for a node n1 with an agent.
func newControl(t testing.TB, ca *authority, agent net.Addr, cfg apiserver.Config) (c *control, url string) {
	a, err := api.New(store.New(store.WindowDefault), mathrand.New(mathrand.NewPCG(1, 2)), api.DefaultConfig())
	require.NoError(t, err)
	c = &control{api: a}
	relay, err := server.NewRelay(c, &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{ca.sign(t, stream.APIServerName)}})
	require.NoError(t, err)
	cfg.Report = func(p any, stack []byte) { t.Errorf("panic: %v\n%s", p, stack) }
	c.srv = apiserver.New(relay, cfg)
	front := httptest.NewUnstartedServer(c.srv)
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	t.Cleanup(c.srv.Close)
	c.must(t, api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}))
	host, port, err := net.SplitHostPort(agent.String())
	require.NoError(t, err)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	c.must(t, api.Create(node))
	node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: host}}
	_, err = fmt.Sscan(port, &node.Status.DaemonEndpoints.KubeletEndpoint.Port)
	require.NoError(t, err)
	c.must(t, api.UpdateStatus(node))
	return c, front.URL
}

// pod makes the object of a pod that runs on n1.
func (c *control) pod(t testing.TB, name string, containers ...corev1.Container) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{NodeName: "n1", Containers: containers}}
	for i := range p.Spec.Containers {
		p.Spec.Containers[i].Image = "busybox"
	}
	made := c.must(t, api.Create(p)).(*corev1.Pod).DeepCopy()
	made.Status.Phase = corev1.PodRunning
	c.must(t, api.UpdateStatus(made))
}

// containers is a runtime of its own.
type containers struct {
	t      testing.TB
	client *runtime.Client
	dir    string
	rootfs string
}

func newContainers(t testing.TB) *containers {
	machine.Need(t)
	dir := t.TempDir()
	path, err := machine.Runtime()
	require.NoError(t, err)
	h := &containers{t: t, dir: dir, rootfs: filepath.Join(dir, "rootfs")}
	require.NoError(t, machine.Rootfs(h.rootfs))
	require.NoError(t, os.WriteFile(filepath.Join(h.rootfs, "www/index.html"), []byte("only on localhost\n"), 0o644))
	h.client, err = runtime.Open(runtime.Config{StateDir: filepath.Join(dir, "state"), Binary: path, CgroupRoot: fmt.Sprintf("/seatrial-stream-%d", os.Getpid())})
	require.NoError(t, err)
	go func() {
		for range h.client.Exits() {
		}
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventMax)
		defer cancel()
		require.NoError(t, h.client.Purge(ctx))
		h.client.Close()
	})
	return h
}

// sandbox makes a pod with a network namespace of its own.
func (h *containers) sandbox(uid string) (netns string) {
	name := fmt.Sprintf("seatrial-stream-%d-%s", os.Getpid(), uid)
	for _, args := range [][]string{{"netns", "add", name}, {"-n", name, "link", "set", "lo", "up"}} {
		out, err := exec.Command("ip", args...).CombinedOutput()
		require.NoError(h.t, err, string(out))
	}
	netns = "/var/run/netns/" + name
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventMax)
		defer cancel()
		err := h.client.StopSandbox(ctx, uid)
		out, derr := exec.Command("ip", "netns", "del", name).CombinedOutput()
		require.NoError(h.t, errors.Join(err, derr), string(out))
	})
	_, err := h.client.MakeSandbox(context.Background(), runtime.SandboxSpec{Pod: uid, QoS: "burstable", NetnsPath: netns})
	require.NoError(h.t, err)
	return netns
}

// run starts a script.
func (h *containers) run(spec runtime.ContainerSpec, script string) runtime.ContainerSpec {
	spec.Rootfs, spec.Args, spec.Capabilities = h.rootfs, []string{"sh", "-c", script}, runtime.DefaultCapabilities()
	spec.Env = []string{"PATH=/bin"}
	spec.LogPath = filepath.Join(h.dir, fmt.Sprintf("%s-%s.log", spec.ID.Pod, spec.ID.Local()))
	_, err := h.client.StartContainer(context.Background(), spec)
	require.NoError(h.t, err)
	return spec
}
