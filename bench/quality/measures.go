package quality

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/bench/playback"
	"seatrial.dev/seatrial/scenarios/openb"
)

// Measure is one thing that is measured of a run. Doc.go says what each is.
type Measure struct {
	Name   string
	Unit   string
	Better int // +1 when more is better, -1 when less is, 0 when neither
	Digits int // after the point, in the table
	gpus   bool
}

// Names of measures.
const (
	Packing       = "packing"
	NodesUsed     = "nodes-used"
	AllocatedCPU  = "allocated-cpu"
	AllocatedMem  = "allocated-memory"
	AllocatedGPU  = "allocated-gpu"
	StrandedCPU   = "stranded-cpu"
	StrandedMem   = "stranded-memory"
	StrandedGPU   = "stranded-gpu"
	Fragmentation = "fragmentation"
	Pending       = "pending"
	Skew          = "skew"
	WaitP50       = "wait-p50"
	WaitP95       = "wait-p95"
	WaitP99       = "wait-p99"
	Preempted     = "preempted"
	Fairness      = "fairness"
	Cell          = "cell"
)

// Measures lists all, in the order of the table.
func Measures() []Measure {
	return []Measure{
		{Packing, "× the least", -1, 3, false},
		{NodesUsed, "nodes", 0, 0, false},
		{AllocatedCPU, "%", 1, 2, false},
		{AllocatedMem, "%", 1, 2, false},
		{AllocatedGPU, "%", 1, 2, true},
		{StrandedCPU, "%", -1, 2, false},
		{StrandedMem, "%", -1, 2, false},
		{StrandedGPU, "%", -1, 2, true},
		{Fragmentation, "%", -1, 2, true},
		{Pending, "% of pods", -1, 2, false},
		{Skew, "pods", -1, 2, false},
		{WaitP50, "s", -1, 1, false},
		{WaitP95, "s", -1, 1, false},
		{WaitP99, "s", -1, 1, false},
		{Preempted, "pods", -1, 0, false},
		{Fairness, "Jain", 1, 4, false},
		{Cell, "% of nodes", -1, 1, false},
	}
}

// Values are one run's measures by name; those that say nothing of it are absent.
type Values map[string]float64

// Of measures a run of a workload.
func Of(w *playback.Workload, o *playback.Outcome) (Values, error) {
	s := fullest(o)
	pods, used := s.placed()
	least, err := Bound(o.Nodes, pods)
	if err != nil {
		return nil, err
	}
	kinds := w.Mix()
	sh := s.shares(kinds)
	v := Values{
		NodesUsed: float64(used), AllocatedCPU: 100 * sh.allocated[cpu], AllocatedMem: 100 * sh.allocated[memory],
		Pending: 100 * float64(o.Pending) / float64(max(len(o.Fates), 1)),
		Skew:    s.skew(), Preempted: float64(o.Preempted), Fairness: fairness(o),
	}
	if least > 0 {
		v[Packing] = float64(used) / float64(least)
	}
	for r, name := range map[int]string{cpu: StrandedCPU, memory: StrandedMem, share: StrandedGPU} {
		if sh.wanted[r] {
			v[name] = 100 * sh.stranded[r]
		}
	}
	if sh.gpus {
		v[AllocatedGPU], v[Fragmentation] = 100*sh.allocated[share], 100*sh.fragmented
	}
	waits := waits(o)
	v[WaitP50], v[WaitP95], v[WaitP99] = percentile(waits, 0.5), percentile(waits, 0.95), percentile(waits, 0.99)
	return v, nil
}

// waits are how long pods were pending, in seconds.
func waits(o *playback.Outcome) []float64 {
	list := make([]float64, len(o.Fates))
	for i := range o.Fates {
		f := &o.Fates[i]
		list[i] = (served(f, o.End) - f.Came).Seconds()
	}
	return list
}

// served is when a pod had a node, or was gone, or the run was over.
func served(f *playback.Fate, end time.Duration) time.Duration {
	switch {
	case f.Bound != playback.Stays:
		return f.Bound
	case f.Gone != playback.Stays:
		return f.Gone
	}
	return max(end, f.Came)
}

// fairness is Jain's index over the groups of the share of its demand that each got.
func fairness(o *playback.Outcome) float64 {
	var has demand
	for _, n := range o.Nodes {
		c := capacityOf(n)
		for r := range c {
			has[r] += c[r]
		}
	}
	index := map[string]int{}
	var asked, got []float64
	for i := range o.Fates {
		f := &o.Fates[i]
		k, ok := index[groupOf(f.Pod)]
		if !ok {
			k = len(asked)
			index[groupOf(f.Pod)] = k
			asked, got = append(asked, 0), append(got, 0)
		}
		d := demandOf(f.Pod)
		weight := scarcest(&d, &has)
		asked[k] += weight
		if f.Bound != playback.Stays {
			got[k] += weight
		}
	}
	var list []float64
	for k := range asked {
		if asked[k] > 0 {
			list = append(list, got[k]/asked[k])
		}
	}
	return jain(list)
}

// groupOf is whom a pod is counted for.
func groupOf(p *corev1.Pod) string {
	if qos := p.Labels[openb.QoSLabel]; qos != "" {
		return qos
	}
	return p.Namespace
}
