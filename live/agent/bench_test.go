package agent_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

const benchPod = `
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 0
  volumes:
  - name: kube-api-access
    projected:
      sources:
      - {serviceAccountToken: {path: token, expirationSeconds: 3607}}
      - {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}
  containers:
  - {name: c, command: [sleep, "100000"], volumeMounts: [{name: kube-api-access, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]}
`

// BenchmarkStart is one pod after the other, from its appearance on the node to Running
// in the API, with the volume that every pod has.
func BenchmarkStart(b *testing.B) {
	h := newHost(b)
	var took []time.Duration
	i := 0
	for b.Loop() {
		name := fmt.Sprintf("p%d", i)
		i++
		began := time.Now()
		h.run(fmt.Sprintf(benchPod, name))
		h.untilPhase(name, corev1.PodRunning)
		took = append(took, time.Since(began))
		b.StopTimer()
		h.delete(name)
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*9/10].Microseconds())/1000, "p90-ms")
}

// BenchmarkFullNode is 110 pods at once.
func BenchmarkFullNode(b *testing.B) {
	const pods = 110
	h := newHost(b)
	for b.Loop() {
		began := time.Now()
		for i := range pods {
			h.run(fmt.Sprintf(benchPod, fmt.Sprintf("p%d", i)))
		}
		took := make([]time.Duration, pods)
		h.Until("all run", func() bool {
			left := 0
			for i := range pods {
				if took[i] == 0 {
					if p := h.pod(fmt.Sprintf("p%d", i)); p != nil && p.Status.Phase == corev1.PodRunning {
						took[i] = time.Since(began)
					} else {
						left++
					}
				}
			}
			return left == 0
		})
		b.ReportMetric(time.Since(began).Seconds(), "all-s")
		slices.Sort(took)
		b.ReportMetric(took[pods/2].Seconds(), "half-s")
		b.StopTimer()
		for i := range pods {
			h.Write(api.Delete(kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Namespace: "default", Name: fmt.Sprintf("p%d", i)}}, ""))
		}
		h.Until("all are gone", func() bool {
			for i := range pods {
				if h.pod(fmt.Sprintf("p%d", i)) != nil {
					return false
				}
			}
			return true
		})
		b.StartTimer()
	}
}
