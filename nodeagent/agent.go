package nodeagent

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
)

// Agent decides for one node. It is not safe for concurrent use; its owner gives
// it one input after the other.
type Agent struct {
	name string
	cfg  Config

	now time.Time // of the step under way
	out []Effect  // of the step under way

	pods   map[types.UID]*pod // looked up only, never walked
	adopts map[types.UID]Adopted
	images images
	node   nodeState
	used   resources // asked for by the pods that hold resources

	alarms  alarms
	alarm   time.Time // the last WakeAt that has not come
	lastSeq uint64

	writes  map[uint64]*pod // writes in flight by tag; a nil pod is the node
	lastTag uint64

	// Values that every status shares. Objects in the store are immutable, so
	// they may.
	yes, no                bool
	creating, initializing corev1.ContainerStateWaiting
}

// New returns an agent that waits for Booted.
func New(nodeName string, cfg Config) *Agent {
	if nodeName == "" {
		panic("nodeagent: a node has no name")
	}
	cfg.validate()
	a := &Agent{name: nodeName, cfg: cfg, yes: true}
	a.creating.Reason = reasonContainerCreating
	a.initializing.Reason = reasonPodInitializing
	a.reset()
	return a
}

// reset forgets everything but the tags, so that an answer to a write from
// before is known as such.
func (a *Agent) reset() {
	a.pods = map[types.UID]*pod{}
	a.adopts = map[types.UID]Adopted{}
	a.writes = map[uint64]*pod{}
	a.images = images{}
	a.node = nodeState{}
	a.used = resources{}
	a.alarms, a.alarm = nil, time.Time{}
}

// Step takes one input at a time and appends what is to be done to out, in the
// order in which it is to be done. The effects share objects with the agent: they
// are to be read, not changed.
func (a *Agent) Step(now time.Time, in Input, out []Effect) []Effect {
	a.now, a.out = now, out
	a.take(in)
	if len(a.alarms) > 0 {
		if first := a.alarms[0].at; !first.Equal(a.alarm) {
			a.alarm = first
			a.do(WakeAt{first})
		}
	} else if !a.alarm.IsZero() {
		a.alarm = time.Time{}
		a.do(WakeAt{})
	}
	out, a.out = a.out, nil
	return out
}

func (a *Agent) take(in Input) {
	switch in := in.(type) {
	case Booted:
		a.booted(in)
	case Adopted:
		a.adopts[in.Pod] = in
	case ImagesSeen:
		a.imagesSeen(in)
	case HostSeen:
		a.hostSeen(in)
	case Evict:
		a.evict(in)
	case NodeSeen:
		a.nodeSeen(in)
	case PodSeen:
		a.podSeen(in)
	case PodGone:
		a.podGone(in)
	case ImagePulled:
		a.imagePulled(in)
	case SandboxReady:
		a.sandboxReady(in)
	case SandboxGone:
		a.sandboxGone(in)
	case SandboxLost:
		a.sandboxLost(in)
	case ContainerStarted:
		a.containerStarted(in)
	case ContainerExited:
		a.containerExited(in)
	case HookDone:
		a.hookDone(in)
	case ProbeAnswered:
		a.probeAnswered(in)
	case Wrote:
		a.wrote(in)
	case Woken:
		a.woken()
	default:
		panic(fmt.Sprintf("nodeagent: unknown input %T", in))
	}
}

func (a *Agent) do(e Effect) { a.out = append(a.out, e) }

// woken looks at every pod whose time has come, in the order of their times.
func (a *Agent) woken() {
	a.alarm = time.Time{}
	for len(a.alarms) > 0 && !a.alarms[0].at.After(a.now) {
		t := a.alarms[0]
		a.alarms.remove(t)
		if t.pod == nil {
			a.syncNode()
		} else {
			a.sync(t.pod)
		}
		if t.pos != 0 && !t.at.After(a.now) {
			panic(fmt.Sprintf("nodeagent: %s: a deadline of %s is still due after it was seen to: %+v", a.name, t.at, t.pod))
		}
	}
}

// rearm sets a pod's alarm to its next deadline.
func (a *Agent) rearm(p *pod) { a.alarms.set(&p.timer, p.deadline(a.now)) }

// container finds the run of a container that an answer is about; nil if it is
// of an earlier run or of a pod that is gone.
func (a *Agent) container(id ContainerID) (*pod, *container) {
	p := a.pods[id.Pod]
	if p == nil {
		return nil, nil
	}
	c := p.container(id.Name)
	if c == nil || c.run != id.Run {
		return nil, nil
	}
	return p, c
}

// write sends a write and remembers whose it is.
func (a *Agent) write(p *pod, r api.Request) uint64 {
	a.lastTag++
	a.writes[a.lastTag] = p
	a.do(Write{Tag: a.lastTag, Request: r})
	return a.lastTag
}

func (a *Agent) wrote(in Wrote) {
	p, ok := a.writes[in.Tag]
	if !ok {
		return
	}
	delete(a.writes, in.Tag)
	if p == nil {
		a.nodeWrote(in)
		return
	}
	a.podWrote(p, in)
}
