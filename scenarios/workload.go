package scenarios

import (
	"fmt"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/scenarios/openb"
)

// fileWorkload names a trace of nodes and pods that come and go.
type fileWorkload struct {
	OpenB *fileOpenB `json:"openb"`
}

type fileOpenB struct {
	Nodes   string `json:"nodes"`
	Pods    string `json:"pods"`
	Speedup *int64 `json:"speedup"` // seconds of the trace that go into one
}

// speedupMax is how much faster than it was a trace may be played.
const speedupMax = 1_000_000

// staysMin is how long a pod is there at least, however fast the trace is played: a
// deletion may not overtake the creation.
const staysMin = time.Second

// workloadNodes adds the nodes of a trace to those of the groups.
func (r *reader) workloadNodes() {
	if r.in.Spec.Workload == nil {
		return
	}
	const at = "spec.workload"
	o := r.in.Spec.Workload.OpenB
	if o == nil {
		r.fail(at, "names no trace: want openb: {nodes: FILE, pods: FILE}")
		return
	}
	file, ok := r.beside(at+".openb.nodes", o.Nodes)
	if !ok {
		return
	}
	nodes, err := openb.ReadNodes(file)
	if err != nil {
		r.include(at+".openb.nodes", err)
		return
	}
	if len(r.scn.Nodes)+len(nodes) > nodesMax {
		r.fail(at+".openb.nodes", "has %d nodes; want at most %d in all", len(nodes), nodesMax)
		return
	}
	for i := range nodes {
		r.scn.Nodes = append(r.scn.Nodes, nodes[i].Object())
	}
}

// beside is a file that is named beside the scenario.
func (r *reader) beside(field, name string) (path string, ok bool) {
	if name == "" {
		r.fail(field, "is required: the name of a CSV file beside the scenario")
		return "", false
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(r.file), name)
	}
	return name, true
}

// workloadPods adds the arrivals and departures of a trace to the time line. Those after
// the end of the run are left out, with a warning.
func (r *reader) workloadPods() {
	if r.in.Spec.Workload == nil || r.in.Spec.Workload.OpenB == nil {
		return
	}
	const at = "spec.workload.openb"
	o := r.in.Spec.Workload.OpenB
	speedup := int64(1)
	if o.Speedup != nil {
		if speedup = *o.Speedup; speedup < 1 || speedup > speedupMax {
			r.fail(at+".speedup", "want 1 to %d: how many seconds of the trace go into one of the run", speedupMax)
			return
		}
	}
	file, ok := r.beside(at+".pods", o.Pods)
	if !ok {
		return
	}
	pods, err := openb.ReadPods(file)
	if err != nil {
		r.include(at+".pods", err)
		return
	}
	line, late := kinds.FindLine(r.root, at), 0
	when := func(sec int64) time.Duration {
		return time.Duration(sec/speedup)*time.Second + time.Duration(sec%speedup)*time.Second/time.Duration(speedup)
	}
	for i := range pods {
		p := &pods[i]
		if len(r.scn.Steps)+2 > stepsMax {
			r.fail(at+".pods", "the time line would have more than %d steps", stepsMax)
			return
		}
		if when(p.CreatedSec) > r.scn.Duration {
			late++
			continue
		}
		pod := p.Object(metav1.NamespaceDefault)
		r.scn.Steps = append(r.scn.Steps, Step{At: when(p.CreatedSec), Line: line, Action: Apply{Objects: []kinds.Object{pod}}})
		if p.DeletedSec == openb.Never {
			continue
		}
		if gone := max(when(p.DeletedSec), when(p.CreatedSec)+staysMin); gone <= r.scn.Duration {
			r.scn.Steps = append(r.scn.Steps, Step{At: gone, Line: line, Action: Delete{Ref: kinds.RefOf(pod), Grace: -1}})
		}
	}
	if late == len(pods) {
		r.fail(at+".pods", "every pod comes after the end of the run (spec.duration is %v); want a longer run, or a larger speedup", r.scn.Duration)
	} else if late > 0 {
		r.scn.Warnings = append(r.scn.Warnings, fmt.Sprintf("%s: %d of %d pods come after the end of the run and are left out", file, late, len(pods)))
	}
}
