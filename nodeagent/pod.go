package nodeagent

import (
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// stage is where a pod stands on this node.
type stage uint8

const (
	stageRun  stage = iota // is to be running
	stageStop              // its containers are being stopped
	stageEnd               // nothing of it runs, nor will again
)

type sandboxState uint8

const (
	sandboxNone sandboxState = iota
	sandboxMaking
	sandboxUp
	sandboxStopping
)

// pod is what the agent knows of one pod.
type pod struct {
	timer

	uid    types.UID
	api    *corev1.Pod // as last seen
	seenAt time.Time   // first seen: probes tick from here
	stage  stage
	gone   bool // the API no longer has it: clean up, write nothing

	// The resources it holds until it ends.
	requests resources
	holds    bool

	sandbox   sandboxState
	sandboxAt time.Time // not before
	mount     backoff   // of its volumes
	ips       []corev1.PodIP
	startTime *metav1.Time

	containers  []container // init containers, then app containers, as in the spec
	guests      []*container
	inits       int
	order       []int // app containers by name, the order of their statuses
	initialized bool  // an app container has started in this sandbox
	starting    *container
	inPass      bool // between the first and the last effect of a round of starts
	opening     bool // the first round in a sandbox, which starts no guests

	// Why it failed, where that is the pod's own doing and not a container's.
	failReason, failMessage string
	evicted                 bool

	statusWriter
}

// container finds one by name.
func (p *pod) container(name string) *container {
	for i := range p.count() {
		if c := p.at(i); c.spec.Name == name {
			return c
		}
	}
	return nil
}

func (p *pod) apps() []container { return p.containers[p.inits:] }

// graceSeconds is the time its containers have to end.
func (p *pod) graceSeconds() int64 {
	switch {
	case p.gone:
		return 0
	case p.evicted:
		return evictGraceSeconds
	case p.api.DeletionGracePeriodSeconds != nil:
		return *p.api.DeletionGracePeriodSeconds
	case p.api.Spec.TerminationGracePeriodSeconds != nil:
		return *p.api.Spec.TerminationGracePeriodSeconds
	}
	return corev1.DefaultTerminationGracePeriodSeconds
}

func terminal(phase corev1.PodPhase) bool {
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}

func (a *Agent) podSeen(in PodSeen) {
	if p := a.pods[in.Pod.UID]; p != nil {
		a.podSeenAgain(p, in.Pod)
	} else {
		a.podNew(in.Pod)
	}
}

func (a *Agent) podNew(api *corev1.Pod) {
	p := &pod{uid: api.UID, api: api, seenAt: a.now}
	a.lastSeq++
	p.timer.seq, p.timer.pod = a.lastSeq, p
	p.stored = &api.Status
	a.pods[p.uid] = p
	found, adopted := a.adopts[p.uid]
	delete(a.adopts, p.uid)
	if terminal(api.Status.Phase) {
		p.stage = stageEnd
		if adopted {
			p.sandbox = sandboxUp
		}
		a.sync(p)
		return
	}
	a.addContainers(p)
	if adopted {
		a.adopt(p, found)
	}
	if api.DeletionTimestamp == nil {
		p.requests = podRequests(api)
		if reason, message := a.refuses(p); reason != "" && !adopted {
			a.refuse(p, reason, message)
			return
		}
		a.used.add(p.requests, 1)
		p.holds = true
	} else {
		p.stage = stageStop
	}
	p.startTime = api.Status.StartTime
	if p.startTime == nil {
		t := a.stamp()
		p.startTime = &t
	}
	p.dirty = true
	a.sync(p)
}

// addContainers makes the containers of a pod seen for the first time, going on
// from what its status says of them.
func (a *Agent) addContainers(p *pod) {
	spec := &p.api.Spec
	p.inits = len(spec.InitContainers)
	p.containers = make([]container, p.inits+len(spec.Containers))
	for i := range p.containers {
		c := &p.containers[i]
		if i < p.inits {
			c.spec, c.init = &spec.InitContainers[i], true
			c.sidecar = c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
		} else {
			c.spec = &spec.Containers[i-p.inits]
		}
		c.mounts = mountStatuses(c.spec)
		a.recall(p, c)
	}
	p.order = namesInOrder(spec.Containers)
	a.addGuests(p)
}

// namesInOrder returns the indices of containers by name, or nil if they stand in
// that order already.
func namesInOrder(containers []corev1.Container) []int {
	less := func(i, j int) bool { return containers[i].Name < containers[j].Name }
	if sort.SliceIsSorted(containers, less) {
		return nil
	}
	order := make([]int, len(containers))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool { return less(order[i], order[j]) })
	return order
}

func (a *Agent) podSeenAgain(p *pod, api *corev1.Pod) {
	before := p.api
	p.api = api
	if p.gone {
		return
	}
	if api.Generation != before.Generation {
		// Deletion counts as a generation, too; a status follows it anyway.
		p.dirty = p.dirty || api.DeletionTimestamp == nil
		a.specChanged(p)
	}
	if len(api.Spec.ReadinessGates) > 0 {
		p.dirty = true
	}
	switch {
	case api.DeletionTimestamp != nil && p.stage == stageRun:
		p.stage = stageStop
	case p.stage == stageStop && graceOf(api) < graceOf(before):
		a.hurry(p)
	}
	a.compareSeen(p)
	a.sync(p)
}

func graceOf(p *corev1.Pod) int64 {
	if p.DeletionGracePeriodSeconds == nil {
		return 1 << 62
	}
	return *p.DeletionGracePeriodSeconds
}

// specChanged takes over the new specs of a pod's containers. One whose image
// changed is restarted, whatever the restart policy; a guest may be new.
func (a *Agent) specChanged(p *pod) {
	if p.stage != stageEnd {
		a.addGuests(p)
	}
	spec := &p.api.Spec
	for i := range p.containers {
		c := &p.containers[i]
		list, at := spec.Containers, i-p.inits
		if i < p.inits {
			list, at = spec.InitContainers, i
		}
		if at >= len(list) || list[at].Name != c.spec.Name {
			continue
		}
		image := c.spec.Image
		c.spec = &list[at]
		if c.spec.Image == image {
			continue
		}
		c.pull = backoff{}
		switch {
		case c.state == containerRunning && c.kill == killNone && p.stage == stageRun:
			c.forced = true
			a.kill(p, c, "Container "+c.spec.Name+" definition changed, will be restarted", p.graceSeconds())
		case c.state == containerPulling:
			p.unstart(c)
		case c.state == containerIdle:
			c.notBefore, c.settleAt = time.Time{}, time.Time{}
		}
	}
}

func (a *Agent) podGone(in PodGone) {
	p := a.pods[in.UID]
	if p == nil {
		return
	}
	p.gone = true
	if p.stage == stageRun {
		p.stage = stageStop
	} else if p.stage == stageStop {
		a.hurry(p)
	}
	a.sync(p)
}

// forget drops a pod of which nothing is left, here or in the API.
func (a *Agent) forget(p *pod) {
	a.release(p)
	a.alarms.set(&p.timer, time.Time{})
	delete(a.pods, p.uid)
}

// release gives back the resources that a pod held.
func (a *Agent) release(p *pod) {
	if p.holds {
		a.used.add(p.requests, -1)
		p.holds = false
	}
}

// stamp is now as statuses carry it: to the second, as the API stores it.
func (a *Agent) stamp() metav1.Time { return metav1.Time{Time: a.now.Truncate(time.Second)} }
