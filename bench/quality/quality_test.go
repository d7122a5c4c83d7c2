package quality

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/bench/playback"
	"seatrial.dev/seatrial/scenarios/openb"
)

// TestNoPolicyPacksBelowTheBound plays drawn workloads under every policy.
func TestNoPolicyPacksBelowTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &playback.Workload{Name: "drawn", Nodes: drawNodes(t, 6)}
		for i, p := range drawPods(t, 20) {
			w.Arrivals = append(w.Arrivals, playback.Arrival{Pod: p, At: time.Duration(i) * time.Second, Gone: playback.Stays})
		}
		policy := rapid.SampledFrom(playback.Policies()).Draw(t, "policy")
		cfg, err := named(t, policy).Config(w, 1)
		require.NoError(t, err)
		o, err := playback.Run(context.Background(), w, cfg, playback.Options{Seed: 1})
		require.NoError(t, err)
		s := fullest(o)
		pods, used := s.placed()
		require.Equal(t, len(w.Arrivals)-o.Pending, len(pods))
		least, err := Bound(w.Nodes, pods)
		require.NoError(t, err)
		require.GreaterOrEqual(t, used, least, policy)
		v, err := Of(w, o)
		require.NoError(t, err)
		for _, name := range []string{AllocatedCPU, AllocatedMem, AllocatedGPU, StrandedCPU, StrandedMem, StrandedGPU, Fragmentation, Pending} {
			require.True(t, v[name] >= 0 && v[name] <= 100+1e-9, "%s is %g", name, v[name])
		}
		require.True(t, v[Fairness] > 0 && v[Fairness] <= 1+1e-9)
	})
}

func named(t require.TestingT, name string) playback.Policy {
	p, _, err := playback.Named(name)
	require.NoError(t, err)
	return p
}

// even is n nodes of four cpus, and pods of one that never leave.
func even(nodes, pods int) *playback.Workload {
	w := &playback.Workload{Name: "even"}
	for i := range nodes {
		n := openb.Node{Name: fmt.Sprintf("n-%d", i), CPUMilli: 4000, MemMiB: 1 << 20}
		w.Nodes = append(w.Nodes, n.Object())
	}
	for i := range pods {
		p := openb.Pod{Name: fmt.Sprintf("p-%d", i), CPUMilli: 1000, MemMiB: 1}
		w.Arrivals = append(w.Arrivals, playback.Arrival{Pod: p.Object("default"), At: time.Duration(i) * time.Second, Gone: playback.Stays})
	}
	return w
}

func TestCompactionFindsTheLeastCell(t *testing.T) {
	for trial := range uint64(3) {
		least, ok, err := compact(context.Background(), even(10, 20), named(t, playback.DefaultPolicy), trial)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, 5, least)
	}
	_, ok, err := compact(context.Background(), even(4, 20), named(t, playback.DefaultPolicy), 1)
	require.NoError(t, err)
	require.False(t, ok)
}

func TestPendingPodsWaitAndCount(t *testing.T) {
	w := even(1, 5)
	w.Arrivals[0].Gone = 10 * time.Second // its place is the fifth pod's
	cfg, err := named(t, playback.DefaultPolicy).Config(w, 1)
	require.NoError(t, err)
	o, err := playback.Run(context.Background(), w, cfg, playback.Options{Seed: 1})
	require.NoError(t, err)
	v, err := Of(w, o)
	require.NoError(t, err)
	require.Equal(t, 0.0, v[Pending])
	require.Equal(t, 1.0, v[Packing])
	require.Equal(t, 100.0, v[AllocatedCPU])
	require.Equal(t, 0.0, v[WaitP50])
	require.InDelta(t, 6, v[WaitP99], 10) // with its back-off
	require.Greater(t, v[WaitP99], 5.0)
}

func TestWhatIsLeftBesideAFullResourceIsStranded(t *testing.T) {
	w := even(2, 4)
	cfg, err := named(t, "MostAllocated").Config(w, 1)
	require.NoError(t, err)
	o, err := playback.Run(context.Background(), w, cfg, playback.Options{Seed: 1})
	require.NoError(t, err)
	v, err := Of(w, o)
	require.NoError(t, err)
	require.Equal(t, 0.0, v[StrandedCPU])
	require.InDelta(t, 50, v[StrandedMem], 0.01) // of the node whose cpu is full
	require.Equal(t, 4.0, v[Skew])
}

func TestStatistics(t *testing.T) {
	e := student([]float64{1, 2, 3, 4, 5})
	require.InDelta(t, 3, e.Mean, 1e-12)
	require.InDelta(t, 1.9632, e.High-e.Mean, 1e-3) // 2.7764 · 1.5811 / √5
	require.Equal(t, Estimate{Mean: 7, Low: 7, High: 7, Each: []float64{7}}, student([]float64{7}))
	require.Equal(t, 9.0, percentile([]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, 0.9))
	require.Equal(t, 0.0, percentile(nil, 0.5))
	require.InDelta(t, 1, jain([]float64{2, 2, 2}), 1e-12)
	require.InDelta(t, 0.25, jain([]float64{0, 0, 3, 0}), 1e-12)
	b := bootstrap([]float64{1, 2, 3}, 0.9, 1)
	require.Equal(t, 3.0, b.Mean)
	require.True(t, b.Low >= 1 && b.High <= 3)
}

func TestComparison(t *testing.T) {
	c := &Comparison{Policies: []playback.Policy{named(t, "Default"), named(t, "MostAllocated")}, Seeds: []uint64{1, 2, 3}, Trials: 2,
		Workload: func(uint64) (*playback.Workload, error) { return even(4, 8), nil }}
	r, err := c.Run(context.Background())
	require.NoError(t, err)
	var b strings.Builder
	r.Write(&b)
	require.Equal(t, `even: 4 nodes, 8 pods; 3 seeds
measure                                  Default      MostAllocated
packing           × the least      2.000 ± 0.000    1.000 ± 0.000 *
`, firstLines(b.String(), 3))
	dir := t.TempDir()
	require.NoError(t, r.Plot(dir))
	require.FileExists(t, dir+"/packing.svg")

	c.Seeds = nil
	_, err = c.Run(context.Background())
	require.EqualError(t, err, "0 seeds: want 1 to 1000")
}

func firstLines(s string, n int) string {
	return strings.Join(strings.SplitAfter(s, "\n")[:n], "")
}
