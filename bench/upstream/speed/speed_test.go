package speed

import (
	"context"
	"regexp"
	"testing"

	"seatrial.dev/seatrial/bench/schedperf"
)

// kube-scheduler places the pods of small workloads through our API server. Preempt is
// not among them: a victim may be gone before kube-scheduler asks for its removal, and
// then nothing wakes the pod that waits for it, but a timer of five minutes.
func TestRemoteRunsWorkloads(t *testing.T) {
	suite, err := schedperf.Read("../../workloads/basic.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range suite.Match(regexp.MustCompile("^(Fill|Zones|Spread|Apart|Volumes)/small$")) {
		t.Run(w.Name, func(t *testing.T) {
			c, err := NewRemote(0)
			if err != nil {
				t.Fatal(err)
			}
			results, err := schedperf.Run(context.Background(), w, c, nil)
			if err != nil {
				t.Error(err)
			}
			for _, r := range results {
				t.Logf("%.0f pods/s", r.PodsPerSecond)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
