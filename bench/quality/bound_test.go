package quality

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/scenarios/openb"
)

func drawNodes(t *rapid.T, most int) []*corev1.Node {
	var list []*corev1.Node
	for i := range rapid.IntRange(1, most).Draw(t, "nodes") {
		n := openb.Node{Name: fmt.Sprintf("n-%d", i), CPUMilli: 1000 * rapid.Int64Range(2, 8).Draw(t, "cpu"), MemMiB: 1024 * rapid.Int64Range(2, 8).Draw(t, "mem"),
			GPUs: rapid.Int64Range(0, 2).Draw(t, "gpus"), Model: "T4"}
		list = append(list, n.Object())
	}
	return list
}

func drawPods(t *rapid.T, most int) []*corev1.Pod {
	var list []*corev1.Pod
	for i := range rapid.IntRange(1, most).Draw(t, "pods") {
		p := openb.Pod{Name: fmt.Sprintf("p-%d", i), CPUMilli: 500 * rapid.Int64Range(0, 6).Draw(t, "cpu"), MemMiB: 512 * rapid.Int64Range(0, 6).Draw(t, "mem")}
		if rapid.Bool().Draw(t, "gpu") {
			p.GPUs, p.GPUMilli = 1, rapid.SampledFrom([]int64{250, 500, 600, 1000}).Draw(t, "milli")
		}
		list = append(list, p.Object("default"))
	}
	return list
}

// TestTheBoundIsBelowTheBestPlacement tries all placements of a few pods.
func TestTheBoundIsBelowTheBestPlacement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, pods := drawNodes(t, 4), drawPods(t, 6)
		best, ok := leastNodes(nodes, pods)
		got, err := Bound(nodes, pods)
		if !ok {
			return // whatever the bound says of what cannot be
		}
		require.NoError(t, err)
		require.LessOrEqual(t, got, best)
		require.GreaterOrEqual(t, got, 0)
		rough, err := bound(coarser(typesOf(nodes), 2), pods, 2)
		require.NoError(t, err)
		require.LessOrEqual(t, rough, got)
	})
}

// leastNodes is the least number of nodes that hold the pods, found by trying all.
func leastNodes(nodes []*corev1.Node, pods []*corev1.Pod) (best int, ok bool) {
	left := make([]demand, len(nodes))
	devices := make([][]int64, len(nodes))
	for i, n := range nodes {
		left[i] = capacityOf(n)
		for range int(left[i][slots] / 2) {
			devices[i] = append(devices[i], 1000)
		}
	}
	used := make([]int, len(nodes))
	best = len(nodes) + 1
	var try func(k, open int)
	try = func(k, open int) {
		if open >= best {
			return
		}
		if k == len(pods) {
			best = open
			return
		}
		d := demandOf(pods[k])
		for i := range nodes {
			if d[cpu] > left[i][cpu] || d[memory] > left[i][memory] {
				continue
			}
			take := func(device int) {
				opens := 0
				if used[i] == 0 {
					opens = 1
				}
				used[i]++
				left[i][cpu] -= d[cpu]
				left[i][memory] -= d[memory]
				if device >= 0 {
					devices[i][device] -= int64(d[share])
				}
				try(k+1, open+opens)
				used[i]--
				left[i][cpu] += d[cpu]
				left[i][memory] += d[memory]
				if device >= 0 {
					devices[i][device] += int64(d[share])
				}
			}
			if d[share] == 0 {
				take(-1)
				continue
			}
			for g, free := range devices[i] {
				if free >= int64(d[share]) {
					take(g)
				}
			}
		}
	}
	try(0, 0)
	return best, best <= len(nodes)
}

// TestTheBoundIsExactOfOneResource has pods that can be cut without loss.
func TestTheBoundIsExactOfOneResource(t *testing.T) {
	var nodes []*corev1.Node
	for i := range 10 {
		n := openb.Node{Name: fmt.Sprintf("n-%d", i), CPUMilli: 4000, MemMiB: 1 << 20}
		nodes = append(nodes, n.Object())
	}
	for count, want := range map[int]int{0: 0, 1: 1, 4: 1, 5: 2, 40: 10} {
		var pods []*corev1.Pod
		for i := range count {
			p := openb.Pod{Name: fmt.Sprintf("p-%d", i), CPUMilli: 1000}
			pods = append(pods, p.Object("default"))
		}
		got, err := Bound(nodes, pods)
		require.NoError(t, err)
		require.Equal(t, want, got, "%d pods", count)
	}
	p := openb.Pod{Name: "p", CPUMilli: 5000}
	_, err := Bound(nodes, []*corev1.Pod{p.Object("default")})
	require.EqualError(t, err, "pod default/p fits on no node")
}
