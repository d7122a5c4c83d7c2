package play_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/play"
	"seatrial.dev/seatrial/live/server"
	"seatrial.dev/seatrial/scenarios"
)

const scenario = `apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: no-nodes}
spec:
  duration: 3s
  cluster: {nodeGroups: [{name: worker, count: 2}]}
  manifests:
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      replicas: 2
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec: {containers: [{name: c, image: web}]}
  timeline:
  - {at: 1s, scale: {object: deployment/default/web, replicas: 5}}
  - {at: 1500ms, delete: {object: pod/default/nobody}}
  - {at: 2s, setImage: {object: deployment/default/web, image: web:2}}
  checks:
  - name: two pods
    eventually: pods.size() == 2
    by: 900ms
  - name: then five
    eventually: pods.size() >= 5
    from: 1s
    by: 2s
  - name: never ten
    always: pods.size() < 10
  - name: this does not hold
    always: pods.size() < 5
  - name: of the new image
    atEnd: pods.exists(p, p.spec.containers[0].image == "web:2")
`

// The controllers of a real server make pods that no node takes: that is enough to see
// that manifests, steps, checks and failures of steps are carried out and judged.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "no-nodes.yaml")
	text := scenario
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	scn, err := scenarios.Read(file)
	require.NoError(t, err)
	require.NoError(t, play.Check(scn))
	watched := 0
	v, state := play.Run(t.Context(), scn, serve(t), nil, play.Options{Seed: 7, Watch: func(time.Duration, uint64, store.Event) { watched++ }})
	require.NoError(t, v.Err)
	held := map[string]bool{}
	for _, c := range v.Checks {
		held[c.Name] = c.Held
	}
	require.Equal(t, map[string]bool{"two pods": true, "then five": true, "never ten": true, "this does not hold": false, "of the new image": true}, held)
	require.Len(t, v.Steps, 1)
	require.ErrorContains(t, v.Steps[0].Err, "not found")
	require.Greater(t, watched, 10)
	require.NotNil(t, state)
	require.Regexp(t, `^FAIL no-nodes seed=7 time=3s events=\d+ wall=`, v.String(), "no hash: no two runs are the same")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v, _ = play.Run(ctx, scn, serve(t), nil, play.Options{})
	require.ErrorIs(t, v.Err, scenarios.ErrStopped)
}

// serve runs a server until the test ends.
func serve(t *testing.T) *client.Client {
	cfg := server.Preset()
	cfg.Dir, cfg.Listen, cfg.Advertise, cfg.GossipPort = t.TempDir(), "0.0.0.0:0", hostAddr(t), freePort(t)
	cfg.Problem = func(err error) { t.Log(err) }
	s, err := server.Open(t.Context(), cfg)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	login, err := clientcmd.BuildConfigFromFlags("", filepath.Join(cfg.Dir, "admin.kubeconfig"))
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(login.CertData, login.KeyData)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(login.CAData))
	c, err := client.New(client.Config{Server: login.Host, CA: pool, Certificate: &pair})
	require.NoError(t, err)
	return c
}

func hostAddr(t *testing.T) netip.Addr {
	list, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr()
		}
	}
	t.Fatal("this machine has no address but those of the loopback: ", list)
	return netip.Addr{}
}

func freePort(t *testing.T) uint16 {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}
