package schedperf

import (
	"bufio"
	"fmt"
	"math"
	"math/bits"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Result is what a phase of a workload gave. Times are of the cluster's clock without
// what was skipped; CPU and memory are those of the whole process.
type Result struct {
	Workload      string  `json:"workload"`
	Phase         string  `json:"phase"` // the namespace, or the name, that is measured
	PodsPerSecond float64 `json:"podsPerSecond"`
	Pods          int     `json:"pods"`  // that got a node in the phase
	Nodes         int     `json:"nodes"` // made by createNodes so far
	Seconds       float64 `json:"seconds"`
	// SkippedSeconds is how long everyone waited (for a back-off, mostly).
	SkippedSeconds float64 `json:"skippedSeconds"`
	// Churned is how many objects churn has made or deleted: few, in a phase that is
	// shorter than its interval.
	Churned int `json:"churned,omitempty"`

	// Pods per second in each of Samples equal parts of the phase.
	Samples          int     `json:"samples"`
	PodsPerSecondP50 float64 `json:"podsPerSecondP50"`
	PodsPerSecondP95 float64 `json:"podsPerSecondP95"`
	PodsPerSecondP99 float64 `json:"podsPerSecondP99"`

	// An attempt is a pod taken from the queue, decided on, and what follows written.
	Attempts     uint64  `json:"attempts"`
	AttemptP50us float64 `json:"attemptP50us"`
	AttemptP99us float64 `json:"attemptP99us"`
	QueueP50us   float64 `json:"queueP50us"`
	QueueP99us   float64 `json:"queueP99us"`
	DecideP50us  float64 `json:"decideP50us"`
	DecideP99us  float64 `json:"decideP99us"`
	BindP50us    float64 `json:"bindP50us"`
	BindP99us    float64 `json:"bindP99us"`

	CPUSeconds  float64 `json:"cpuSeconds"`
	MaxRSSBytes int64   `json:"maxRSSBytes"` // of the workload so far

	// Threshold is upstream's own, for its machines; ThresholdOf says of what.
	Threshold   float64 `json:"upstreamThreshold,omitempty"`
	ThresholdOf string  `json:"upstreamThresholdOf,omitempty"`
}

// samplesMax is the number of parts that a phase is cut in; a part is no shorter than
// sampleMin, unless the phase is, and no longer than sampleMax, upstream's own.
const (
	samplesMax = 50
	sampleMin  = time.Millisecond
	sampleMax  = time.Second
)

// phase is being measured.
type phase struct {
	name       string
	namespaces []string
	set        map[string]string
	start      time.Time
	worked     time.Duration
	cpu        time.Duration
	churned    int             // objects, before it
	at         []time.Duration // of each pod that got a node, since the start

	all, queue, decide, bind histogram
}

func newPhase(name string, namespaces []string, set map[string]string, c Cluster) *phase {
	runtime.GC() // what came before is not of this phase
	return &phase{name: name, namespaces: namespaces, set: set, start: c.Now(), worked: c.Worked(), cpu: cpuTime()}
}

// bound counts a pod that has got a node.
func (p *phase) bound(c *PodChange) {
	if slices.Contains(p.namespaces, c.New.Namespace) && hasLabels(c.New, p.set) {
		p.at = append(p.at, max(0, c.Worked-p.worked))
	}
}

func (p *phase) attempts(list []Attempt) {
	for i := range list {
		a := &list[i]
		p.all.add(a.total())
		p.queue.add(a.Queue)
		p.decide.add(a.Decide)
		p.bind.add(a.Bind)
	}
}

func (p *phase) result(c Cluster) Result {
	cpu := cpuTime() - p.cpu
	took := max(c.Worked()-p.worked, 1)
	r := Result{Phase: p.name, Pods: len(p.at), Seconds: took.Seconds(),
		SkippedSeconds: max(0, c.Now().Sub(p.start)-took).Seconds(),
		PodsPerSecond:  float64(len(p.at)) / took.Seconds(), CPUSeconds: cpu.Seconds(), MaxRSSBytes: maxRSS(),
		Attempts: p.all.n}
	rates := p.samples(took)
	r.Samples = len(rates)
	r.PodsPerSecondP50, r.PodsPerSecondP95, r.PodsPerSecondP99 = percentile(rates, 50), percentile(rates, 95), percentile(rates, 99)
	r.AttemptP50us, r.AttemptP99us = p.all.us(50), p.all.us(99)
	r.QueueP50us, r.QueueP99us = p.queue.us(50), p.queue.us(99)
	r.DecideP50us, r.DecideP99us = p.decide.us(50), p.decide.us(99)
	r.BindP50us, r.BindP99us = p.bind.us(50), p.bind.us(99)
	return r
}

// samples cuts the time in parts and returns their rates in ascending order. A part
// without a pod has the rate of the part that ends it, spread over both, as upstream
// does it.
func (p *phase) samples(took time.Duration) []float64 {
	part := min(max(took/samplesMax, sampleMin), sampleMax, took)
	var rates []float64
	i, empty := 0, 0
	for end := part; end <= took; end += part {
		n := 0
		for ; i < len(p.at) && p.at[i] <= end; i++ {
			n++
		}
		empty++
		if n == 0 {
			continue
		}
		rate := float64(n) / (time.Duration(empty) * part).Seconds()
		for ; empty > 0; empty-- {
			rates = append(rates, rate)
		}
	}
	slices.Sort(rates)
	return rates
}

func percentile(sorted []float64, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}

// histogram counts durations in steps of at most a sixteenth of their size.
type histogram struct {
	n      uint64
	counts [64 * histogramSteps]uint64
}

const histogramSteps = 16 // per doubling; a power of two

func (h *histogram) add(d time.Duration) {
	h.n++
	h.counts[bucket(uint64(max(d, 0)))]++
}

func bucket(v uint64) int {
	if v < histogramSteps {
		return int(v)
	}
	shift := bits.Len64(v) - bits.Len64(histogramSteps)
	return (shift+1)*histogramSteps + int(v>>shift) - histogramSteps
}

// middle is the value in the middle of a bucket.
func middle(b int) float64 {
	if b < histogramSteps {
		return float64(b)
	}
	shift := b/histogramSteps - 1
	return (float64(b%histogramSteps+histogramSteps) + 0.5) * math.Exp2(float64(shift))
}

// us is a percentile in microseconds; 0 when nothing was counted.
func (h *histogram) us(p uint64) float64 {
	want, seen := (h.n*p+99)/100, uint64(0)
	for b, c := range h.counts {
		if seen += c; c > 0 && seen >= want {
			return math.Round(middle(b)/10) / 100
		}
	}
	return 0
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// forgetRSS lets maxRSS begin afresh, where the system can.
func forgetRSS() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // where not, the process' own maximum stays
}

// maxRSS is the most memory that the process has had since forgetRSS.
func maxRSS() int64 {
	if f, err := os.Open("/proc/self/status"); err == nil {
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			var kib int64
			if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
				if _, err := fmt.Sscan(rest, &kib); err == nil {
					return kib << 10
				}
			}
		}
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss << 10
}
