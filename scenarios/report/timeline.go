package report

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// Limits of a time line: what a page can show and a person can look at. The trace
// has everything.
const (
	lanesMax  = 2000    // nodes and pods each
	spansMax  = 500_000 // of all lanes together
	pointsMax = 1500    // of the plot, after thinning
	remarks   = 1000    // events for people
)

// The states of a lane. The page gives each a colour.
const (
	nodeReady    = "Ready"
	nodeNotReady = "NotReady"
	nodeUnknown  = "Unknown"
	nodeCordoned = "Cordoned"

	podPending     = "Pending"
	podStarting    = "Starting"
	podNotReady    = "NotReady"
	podReady       = "Ready"
	podWaiting     = "BackOff"
	podTerminating = "Terminating"
	podSucceeded   = "Succeeded"
	podFailed      = "Failed"
)

// podStates are the states in the order in which the plot stacks them.
var podStates = []string{podReady, podNotReady, podStarting, podPending, podWaiting, podTerminating, podSucceeded, podFailed}

// span is a stretch of time in one state; times in milliseconds.
type span struct {
	From  int64  `json:"a"`
	To    int64  `json:"b"`
	State string `json:"s"`
}

// lane is one node or pod over time.
type lane struct {
	Name  string `json:"name"`
	On    string `json:"on,omitempty"` // the node of a pod
	Spans []span `json:"spans"`
	ended bool
}

// point is how many pods are in each state of podStates at a time.
type point struct {
	At     int64   `json:"t"`
	Counts []int32 `json:"n"`
}

// remark is an Event of the cluster.
type remark struct {
	At     int64  `json:"t"`
	Object string `json:"o"`
	Reason string `json:"r"`
	Text   string `json:"m"`
	Bad    bool   `json:"w,omitempty"`
}

// timeline gathers, from the writes of a run, what its page shows.
type timeline struct {
	nodes, pods   []*lane
	byRef         map[kinds.Ref]*lane
	spans         int
	omitted       int // lanes left out
	counts        []int32
	points        []point
	remarks       []remark
	remarksMissed int
}

func newTimeline() *timeline {
	return &timeline{byRef: map[kinds.Ref]*lane{}, counts: make([]int32, len(podStates))}
}

func millis(d time.Duration) int64 { return d.Milliseconds() }

// watch takes one write of the run.
func (t *timeline) watch(now time.Duration, e store.Event) {
	switch o := e.Object.(type) {
	case *corev1.Node:
		t.set(&t.nodes, now, e, nodeState(o), "")
	case *corev1.Pod:
		state := podState(o)
		old, _ := e.Old.(*corev1.Pod)
		if old != nil {
			t.count(podState(old), -1)
		}
		if e.Type != store.Deleted {
			t.count(state, +1)
		}
		t.plot(now)
		t.set(&t.pods, now, e, state, o.Spec.NodeName)
	case *corev1.Event:
		t.remark(now, o)
	}
}

func (t *timeline) count(state string, by int32) {
	t.counts[slices.Index(podStates, state)] += by
}

// plot adds a point; of points of one millisecond only the last is kept, and when
// there are too many every other one goes.
func (t *timeline) plot(now time.Duration) {
	p := point{millis(now), slices.Clone(t.counts)}
	if n := len(t.points); n > 0 && t.points[n-1].At == p.At {
		t.points[n-1] = p
		return
	}
	t.points = append(t.points, p)
	if len(t.points) > 4*pointsMax {
		kept := t.points[:0]
		for i := 1; i < len(t.points); i += 2 {
			kept = append(kept, t.points[i])
		}
		t.points = kept
	}
}

// set moves an object's lane into a state.
func (t *timeline) set(lanes *[]*lane, now time.Duration, e store.Event, state, on string) {
	l := t.byRef[e.Ref]
	if l == nil || l.ended {
		if e.Type == store.Deleted {
			return
		}
		if len(*lanes) >= lanesMax || t.spans >= spansMax {
			t.omitted++
			return
		}
		l = &lane{Name: e.Ref.Key.String()}
		t.byRef[e.Ref] = l
		*lanes = append(*lanes, l)
	}
	if on != "" {
		l.On = on
	}
	at := millis(now)
	n := len(l.Spans)
	if e.Type == store.Deleted {
		l.Spans[n-1].To, l.ended = at, true
		return
	}
	if n > 0 && l.Spans[n-1].State == state || t.spans >= spansMax {
		return
	}
	if n > 0 {
		l.Spans[n-1].To = at
	}
	l.Spans = append(l.Spans, span{at, -1, state})
	t.spans++
}

// finish ends the spans that still run.
func (t *timeline) finish(now time.Duration) {
	for _, lanes := range [2][]*lane{t.nodes, t.pods} {
		for _, l := range lanes {
			if last := &l.Spans[len(l.Spans)-1]; last.To < 0 {
				last.To = millis(now)
			}
		}
		slices.SortStableFunc(lanes, func(a, b *lane) int { return strings.Compare(order(a), order(b)) })
	}
	for len(t.points) > pointsMax {
		kept := t.points[:0]
		for i := range t.points {
			if i%2 == 1 || i == len(t.points)-1 {
				kept = append(kept, t.points[i])
			}
		}
		t.points = kept
	}
}

// order groups pods by the name of what made them, then by when they came.
func order(l *lane) string {
	if i := strings.LastIndexByte(l.Name, '-'); i > 0 && l.On != "" {
		return l.Name[:i]
	}
	return l.Name
}

func (t *timeline) remark(now time.Duration, e *corev1.Event) {
	if len(t.remarks) >= remarks {
		t.remarksMissed++
		return
	}
	t.remarks = append(t.remarks, remark{millis(now), strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name,
		e.Reason, e.Message, e.Type == corev1.EventTypeWarning})
}

func nodeState(n *corev1.Node) string {
	ready := nodeUnknown
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			ready = map[corev1.ConditionStatus]string{corev1.ConditionTrue: nodeReady, corev1.ConditionFalse: nodeNotReady}[c.Status]
		}
	}
	switch {
	case ready == "":
		return nodeUnknown
	case ready == nodeReady && n.Spec.Unschedulable:
		return nodeCordoned
	}
	return ready
}

func podState(p *corev1.Pod) string {
	switch {
	case p.Status.Phase == corev1.PodSucceeded:
		return podSucceeded
	case p.Status.Phase == corev1.PodFailed:
		return podFailed
	case p.DeletionTimestamp != nil:
		return podTerminating
	case view.Ready(p):
		return podReady
	}
	for i := range p.Status.ContainerStatuses {
		if w := p.Status.ContainerStatuses[i].State.Waiting; w != nil && (strings.HasSuffix(w.Reason, "BackOff") || strings.HasPrefix(w.Reason, "Err")) {
			return podWaiting
		}
	}
	switch {
	case p.Status.Phase == corev1.PodRunning:
		return podNotReady
	case p.Spec.NodeName != "":
		return podStarting
	}
	return podPending
}
