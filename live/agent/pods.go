package agent

import (
	"context"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/runtime"
)

// pods is what the goroutines of the agent know of the host's pods.
type pods struct {
	mu    sync.Mutex
	byUID map[types.UID]*pod
	byKey map[kinds.Key]*pod
}

// pod is one pod's order of work.
type pod struct {
	uid  types.UID
	gone atomic.Bool // the API no longer has it

	mu      sync.Mutex
	api     *corev1.Pod // as last seen; nil for one that was only found on the host
	ip      string
	up      bool // has a sandbox
	jobs    []func(context.Context)
	busy    bool
	running map[string]int32 // the last run that was started of each container

	// Of the queue's goroutine: there is a sandbox; there may be something of one.
	sandbox, touched bool
}

// of is the pod of a UID, which is made if it is not there.
func (t *pods) of(uid types.UID) *pod {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byUID == nil {
		t.byUID, t.byKey = map[types.UID]*pod{}, map[kinds.Key]*pod{}
	}
	p := t.byUID[uid]
	if p == nil {
		p = &pod{uid: uid, running: map[string]int32{}}
		t.byUID[uid] = p
	}
	return p
}

// see takes note of a pod as the API has it.
func (t *pods) see(api *corev1.Pod) {
	p := t.of(api.UID)
	p.mu.Lock()
	p.api = api
	p.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byKey[kinds.KeyOf(api)] = p
}

func (t *pods) drop(p *pod) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byUID, p.uid)
	if api := p.seen(); api != nil && t.byKey[kinds.KeyOf(api)] == p {
		delete(t.byKey, kinds.KeyOf(api))
	}
}

func (t *pods) all() []*pod {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*pod, 0, len(t.byUID))
	for _, p := range t.byUID {
		out = append(out, p)
	}
	return out
}

func (p *pod) seen() *corev1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.api
}

func (p *pod) address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ip
}

func (p *pod) setAddress(ip string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ip = ip
}

func (p *pod) started(name string, run int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[name] = run
}

// queue does a job of a pod after those before it.
func (a *Agent) queue(p *pod, job func(context.Context)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs = append(p.jobs, job)
	if p.busy {
		return
	}
	p.busy = true
	a.tasks.Go(func() {
		for {
			p.mu.Lock()
			if len(p.jobs) == 0 || a.ctx.Err() != nil {
				p.busy, p.jobs = false, nil
				p.mu.Unlock()
				return
			}
			job := p.jobs[0]
			p.jobs = p.jobs[1:]
			p.mu.Unlock()
			job(a.ctx)
		}
	})
}

// Find says by what name the runtime knows a container of a pod: its last run. An empty
// container is the pod's first. It may be called from any goroutine.
func (a *Agent) Find(namespace, name, container string) (uid string, id runtime.ID, ok bool) {
	a.pods.mu.Lock()
	p := a.pods.byKey[kinds.Key{Namespace: namespace, Name: name}]
	a.pods.mu.Unlock()
	if p == nil {
		return "", runtime.ID{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if container == "" && len(p.api.Spec.Containers) > 0 {
		container = p.api.Spec.Containers[0].Name
	}
	run, ok := p.running[container]
	return string(p.uid), runtime.ID{Pod: string(p.uid), Name: container, Run: int(run)}, ok
}

// PodIP is the address of a pod with this UID; empty if it has none of its own.
func (a *Agent) PodIP(uid string) string {
	a.pods.mu.Lock()
	p := a.pods.byUID[types.UID(uid)]
	a.pods.mu.Unlock()
	if p == nil {
		return ""
	}
	return p.address()
}

// isKnown says whether a name begins with the UID of a pod that is known.
func (t *pods) isKnown(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for uid := range t.byUID {
		if len(name) > len(uid) && name[:len(uid)] == string(uid) && name[len(uid)] == '-' {
			return true
		}
	}
	return false
}
