package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
)

// TestExtenderOfARun: an extender that leaves only node-2 places all pods of a run there.
func TestExtenderOfARun(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_ = json.NewEncoder(w).Encode(extenderv1.ExtenderFilterResult{NodeNames: &[]string{"node-2"}})
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "scheduler.yaml"), strings.ReplaceAll(`
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
extenders:
- {urlPrefix: URL, filterVerb: filter, nodeCacheCapable: true}
`, "URL", server.URL))
	write(t, filepath.Join(dir, "scn.yaml"), `
apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: extended}
spec:
  duration: 1m
  cluster:
    scheduler: scheduler.yaml
    nodeGroups:
    - {name: node, count: 3}
  manifests:
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      replicas: 5
      selector: {matchLabels: {app: web}}
      template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}
  checks:
  - name: all are where the extender wants them
    atEnd: pods.size() == 5 && pods.all(p, p.spec.nodeName == "node-2")
`)
	out := call(t, dir, "run", "scn.yaml").transcript()
	require.Contains(t, out, "PASS extended", out)
	require.EqualValues(t, 5, asked.Load())
}
