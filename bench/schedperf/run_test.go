package schedperf

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// TestSmallWorkloads runs every small workload of this repository, from the file to the
// JSON.
func TestSmallWorkloads(t *testing.T) {
	files, err := filepath.Glob("../workloads/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		s, err := Read(file)
		require.NoError(t, err)
		for _, w := range s.Match(regexp.MustCompile("/small$")) {
			t.Run(w.Name, func(t *testing.T) { runSmall(t, w) })
		}
	}
}

func runSmall(t *testing.T, w *Workload) {
	require.Empty(t, w.Missing)
	require.Empty(t, w.Warnings)
	var table bytes.Buffer
	results, err := Measure(context.Background(), &table, []*Workload{w}, StartLocal, nil)
	require.NoError(t, err)
	require.Len(t, results, 1, "%s", &table)
	r := results[0]
	require.Equal(t, w.Name, r.Workload)
	require.Contains(t, table.String(), w.Name)
	require.Positive(t, r.Pods)
	require.Positive(t, r.Nodes)
	require.InDelta(t, float64(r.Pods)/r.Seconds, r.PodsPerSecond, 1e-6*r.PodsPerSecond)
	require.GreaterOrEqual(t, r.Attempts, uint64(r.Pods))
	require.GreaterOrEqual(t, r.AttemptP99us, r.AttemptP50us)
	require.Positive(t, r.MaxRSSBytes)

	path := filepath.Join(t.TempDir(), "x.json")
	require.NoError(t, WriteJSON(path, results))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var list []map[string]any
	require.NoError(t, json.Unmarshal(text, &list))
	for _, field := range []string{"workload", "podsPerSecond", "pods", "nodes", "attemptP50us", "attemptP99us", "cpuSeconds", "maxRSSBytes"} {
		require.Contains(t, list[0], field)
	}
}

// workloadOf reads one workload with these operations.
func workloadOf(t *testing.T, ops string) *Workload {
	text := "- name: A\n  workloads: [{name: a}]\n  workloadTemplate:\n" + ops
	s, err := readSuite("../workloads/x.yaml", []byte(text))
	require.NoError(t, err)
	return s.Workloads[0]
}

// TestFailures: a workload that cannot end says why, in no time; the others still run.
func TestFailures(t *testing.T) {
	const nodes = "  - {opcode: createNodes, count: 1}\n"
	const measured = "  - {opcode: createPods, count: 1, collectMetrics: true}\n"
	for ops, want := range map[string]string{
		measured: "not there after 10m0s: 1 pods in the namespace namespace-0 at the stage Scheduled; there are 0",
		nodes + measured + "  - {opcode: barrier, namespaces: [none]}\n":                                                                                                      "there is no namespace none",
		nodes + "  - {opcode: stopCollectingMetrics}\n" + measured:                                                                                                            "nothing is being measured",
		nodes + "  - {opcode: startCollectingMetrics, name: x, namespaces: [a]}\n" + measured:                                                                                 "the phase x is being measured already",
		nodes + measured + "  - {opcode: startCollectingMetrics, name: x, namespaces: [a]}\n":                                                                                 "the phase x is never stopped",
		nodes + "  - {opcode: stopCollectingProfile, type: CPU}\n" + measured:                                                                                                 "no profile is being taken",
		"  - {opcode: createPods, count: 1, collectMetrics: true, steadyState: true, duration: 1ms}\n":                                                                        "no pod at all got a node in 1ms",
		"  - {opcode: createNodes, count: 2, nodeTemplatePath: templates/node.yaml}\n  - {opcode: createNodes, count: 1, nodeTemplatePath: templates/node.yaml}\n" + measured: "already exists",
	} {
		good := workloadOf(t, nodes+measured)
		var table bytes.Buffer
		results, err := Measure(context.Background(), &table, []*Workload{workloadOf(t, ops), good}, StartLocal, nil)
		require.ErrorContains(t, err, want)
		require.Contains(t, table.String(), "failed: ")
		require.Equal(t, good.Name, results[len(results)-1].Workload)
	}
	lacking := &Workload{Name: "x", Missing: []string{"a thing"}}
	var table bytes.Buffer
	results, err := Measure(context.Background(), &table, []*Workload{lacking}, StartLocal, nil)
	require.NoError(t, err)
	require.Empty(t, results)
	require.Equal(t, "x: not run, for this is missing:\n    a thing\n", table.String())
	_, err = Run(context.Background(), lacking, nil, nil)
	require.ErrorContains(t, err, "x needs what is not there: a thing")

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Measure(ended, &table, []*Workload{workloadOf(t, nodes+measured)}, StartLocal, nil)
	require.ErrorIs(t, err, context.Canceled)
}

// TestWaitingIsSkipped: a second of sleep takes no time, and is told.
func TestWaitingIsSkipped(t *testing.T) {
	w := workloadOf(t, "  - {opcode: createNodes, count: 1}\n  - {opcode: startCollectingMetrics, name: x, namespaces: [a]}\n"+
		"  - {opcode: createPods, count: 3, namespace: a}\n  - {opcode: sleep, duration: 100s}\n  - {opcode: stopCollectingMetrics}\n")
	var told int
	var table bytes.Buffer
	results, err := Measure(context.Background(), &table, []*Workload{w}, StartLocal, func(s Status) { told = max(told, s.Scheduled) })
	require.NoError(t, err)
	require.Equal(t, 3, results[0].Pods)
	require.Equal(t, 3, told)
	require.InDelta(t, 100, results[0].SkippedSeconds+results[0].Seconds, 1)
	require.Less(t, results[0].Seconds, 50.0)
	require.True(t, strings.HasSuffix(strings.Split(table.String(), "\n")[2], "A/a (x)"))
}

// TestTimersAreWaitedForNoLonger: ten updates, a hundred a second, take a tenth of a
// second and not the limit.
func TestTimersAreWaitedForNoLonger(t *testing.T) {
	w := workloadOf(t, "  - {opcode: createNodes, count: 1}\n  - {opcode: createPods, count: 10, namespace: a, podTemplatePath: templates/pod-gated.yaml, skipWaitToCompletion: true}\n"+
		"  - {opcode: startCollectingMetrics, name: x, namespaces: [a]}\n"+
		"  - {opcode: updateAny, count: 10, namespace: a, templatePath: templates/pod-gate-open.yaml, updatePerSecond: 100}\n"+
		"  - {opcode: barrier}\n  - {opcode: stopCollectingMetrics}\n")
	var table bytes.Buffer
	results, err := Measure(context.Background(), &table, []*Workload{w}, StartLocal, nil)
	require.NoError(t, err)
	require.Equal(t, 10, results[0].Pods)
	require.InDelta(t, 0.1, results[0].SkippedSeconds+results[0].Seconds, 0.05)
}

// TestSamples cuts a second: ten pods in its first half, none for a while, then one.
func TestSamples(t *testing.T) {
	p := &phase{}
	for i := range 10 {
		p.at = append(p.at, time.Duration(i)*50*time.Millisecond)
	}
	p.at = append(p.at, 999*time.Millisecond)
	rates := p.samples(time.Second)
	require.Len(t, rates, samplesMax)
	require.Less(t, rates[0], 3.0, "one pod in the second half")
	require.InDelta(t, 50, rates[len(rates)-1], 1, "one pod in the first fiftieth")
	require.Zero(t, percentile(nil, 50))
	require.Equal(t, 1.0, percentile([]float64{1}, 99))
	require.Equal(t, 2.0, percentile([]float64{1, 2, 3, 4}, 50))
}

// TestHistogram: a value and the middle of its bucket differ by a sixteenth at most, and
// buckets are in order. Repeat a failure with the -rapid.seed that is printed.
func TestHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64Range(0, math.MaxInt64).Draw(t, "v")
		m := middle(bucket(v))
		if math.Abs(m-float64(v)) > float64(v)/histogramSteps+1e-9 {
			t.Fatalf("%d is told as %f", v, m)
		}
		if w := rapid.Uint64Range(v, math.MaxInt64).Draw(t, "w"); bucket(w) < bucket(v) {
			t.Fatalf("%d is in bucket %d, %d in bucket %d", v, bucket(v), w, bucket(w))
		}
	})
	var h histogram
	require.Zero(t, h.us(50))
	for i := range 100 {
		h.add(time.Duration(i) * time.Microsecond)
	}
	require.InEpsilon(t, 49, h.us(50), 0.07)
	require.InEpsilon(t, 98, h.us(99), 0.07)
}

// TestTally follows pods through their lives by namespace and labels.
func TestTally(t *testing.T) {
	red := map[string]string{"colour": "red"}
	y := newTally([]operation{&barrier{LabelSelector: red}, &barrier{}})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Labels: red}}
	tried, on := pod.DeepCopy(), pod.DeepCopy()
	tried.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse}}
	on.Spec.NodeName = "n"
	other := on.DeepCopy()
	other.Labels = nil
	for _, c := range []struct {
		change PodChange
		want   [4]int // scheduled and attempted of all, then of the red
	}{
		{PodChange{New: pod}, [4]int{}},
		{PodChange{Old: pod, New: tried}, [4]int{0, 1, 0, 1}},
		{PodChange{Old: tried, New: on}, [4]int{1, 0, 1, 0}},
		{PodChange{New: other}, [4]int{2, 0, 1, 0}},
		{PodChange{Old: on}, [4]int{1, 0, 0, 0}},
	} {
		y.change(&c.change)
		all, reds := y.of("a", nil), y.of("a", red)
		require.Equal(t, c.want, [4]int{all.scheduled, all.attempted, reds.scheduled, reds.attempted})
	}
	require.Equal(t, &count{}, y.of("b", nil))
}
