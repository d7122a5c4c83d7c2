package playback

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/scenarios/openb"
)

const (
	smallNodes = "../../scenarios/traces/small-nodes.csv"
	smallPods  = "../../scenarios/traces/small-pods.csv"
)

// TestTranscripts plays the small trace; -rewrite writes what came of it.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			policy := DefaultPolicy
			d.MaybeScanArgs(t, "policy", &policy)
			w, err := OpenB(smallNodes, smallPods)
			require.NoError(t, err)
			if d.HasArg("crowded") {
				w = w.Crowded(1)
			}
			p, _, err := Named(policy)
			if err != nil {
				return err.Error() + "\n"
			}
			cfg, err := p.Config(w, 1)
			require.NoError(t, err)
			o, err := Run(context.Background(), w, cfg, Options{Seed: 1, Explain: true})
			require.NoError(t, err)
			require.Len(t, o.Explanations, o.Decisions)
			var b strings.Builder
			fmt.Fprintf(&b, "%d decisions, %d pending, %d preempted, end %v\n", o.Decisions, o.Pending, o.Preempted, o.End)
			if o.FirstStuck != "" {
				fmt.Fprintf(&b, "first without a node: %s\n", o.FirstStuck)
			}
			for i := range o.Fates {
				f := &o.Fates[i]
				fmt.Fprintf(&b, "%s came %v, bound %s to %s, gone %s\n", f.Pod.Name, f.Came, when(f.Bound), f.Node, when(f.Gone))
			}
			return b.String()
		})
	})
}

func when(at time.Duration) string {
	if at == Stays {
		return "never"
	}
	return at.String()
}

// TestARunIsAFunctionOfItsSeed makes the same run twice, with explanations and without.
func TestARunIsAFunctionOfItsSeed(t *testing.T) {
	for _, policy := range Policies() {
		w, err := Synthetic(Shape{Nodes: 8, Pods: 150, GPUs: 0.5, Load: 1.2}, 3)
		require.NoError(t, err)
		cfg, err := configOf(policy, w, 3)
		require.NoError(t, err)
		var fates [][]Fate
		for _, explain := range []bool{true, false} {
			o, err := Run(context.Background(), w, cfg, Options{Seed: 3, Explain: explain})
			require.NoError(t, err)
			fates = append(fates, o.Fates)
		}
		require.Equal(t, fates[0], fates[1], policy)
	}
}

// TestExplanationsNameTheNodesThatPodsGot reads every explanation of a run.
func TestExplanationsNameTheNodesThatPodsGot(t *testing.T) {
	for _, policy := range []string{DefaultPolicy, "Random", "FragmentationAware"} {
		w, err := OpenB(smallNodes, smallPods)
		require.NoError(t, err)
		cfg, err := configOf(policy, w, 1)
		require.NoError(t, err)
		o, err := Run(context.Background(), w, cfg, Options{Seed: 1, Explain: true})
		require.NoError(t, err)
		chosen := map[string]string{}
		for _, b := range o.Explanations {
			e := b.Explanation()
			chosen[e.Pod] = e.Chosen
			require.Len(t, e.Nodes, len(w.Nodes))
		}
		for i := range o.Fates {
			require.Equal(t, o.Fates[i].Node, chosen["default/"+o.Fates[i].Pod.Name], policy)
		}
	}
}

// TestAPodThatWaitsForADeviceGetsIt has room in sum and on no device, until a pod leaves.
func TestAPodThatWaitsForADeviceGetsIt(t *testing.T) {
	n := openb.Node{Name: "n", CPUMilli: 8000, MemMiB: 8192, GPUs: 2, Model: "T4"}
	w := &Workload{Name: "devices", Nodes: []*corev1.Node{n.Object()}}
	for i, gone := range []time.Duration{100 * time.Second, Stays, Stays} {
		p := openb.Pod{Name: fmt.Sprintf("p-%d", i), CPUMilli: 1000, MemMiB: 1, GPUs: 1, GPUMilli: 600}
		w.Arrivals = append(w.Arrivals, Arrival{Pod: p.Object("default"), At: time.Duration(i) * time.Second, Gone: gone})
	}
	cfg, err := configOf(DefaultPolicy, w, 1)
	require.NoError(t, err)
	o, err := Run(context.Background(), w, cfg, Options{Seed: 1})
	require.NoError(t, err)
	require.Equal(t, 100*time.Second, o.Fates[2].Bound)
	require.Equal(t, 4, o.Decisions)
	require.Contains(t, o.FirstStuck, "1 Insufficient GPU on any device")
}
