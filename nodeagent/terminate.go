package nodeagent

import (
	"time"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// killPhase is how far the kill of a container has come.
type killPhase uint8

const (
	killNone killPhase = iota
	killHook           // its preStop hook runs
	killTurn           // a sidecar waits for those that end before it
	killSent           // KillContainer is out
)

type killing struct {
	kill      killPhase
	killFrom  time.Time
	graceSecs int64
	hookOver  bool
}

// graceEnds is when a hook or a turn is waited for no longer.
func (k *killing) graceEnds() time.Time {
	return k.killFrom.Add(time.Duration(k.graceSecs) * time.Second)
}

// kill begins to end a container: its preStop hook first, which spends of the
// grace. moveKills does the rest.
func (a *Agent) kill(p *pod, c *container, message string, graceSecs int64) {
	a.sayNormal(p, c, "Killing", message)
	c.killing = killing{kill: killTurn, killFrom: a.now, graceSecs: graceSecs}
	if h := c.spec.Lifecycle; h != nil && h.PreStop != nil && graceSecs > 0 {
		c.kill = killHook
		a.do(RunHook{ID: c.id(p), Pod: p.api, Handler: h.PreStop, Pre: true})
	}
}

// moveKills sends KillContainer for those whose hook is over and whose turn it is.
func (a *Agent) moveKills(p *pod) {
	for i := range p.count() {
		c := p.at(i)
		if c.state != containerRunning {
			continue
		}
		late := !a.now.Before(c.graceEnds())
		if c.kill == killHook && (c.hookOver || late) {
			c.kill = killTurn
		}
		if c.kill == killTurn && (late || !c.sidecar || p.stage == stageRun || p.lastBut(i)) {
			a.sendKill(p, c)
		}
	}
}

// lastBut says that of the containers that end before sidecar i none is left:
// the app containers, and the sidecars after it.
func (p *pod) lastBut(i int) bool {
	for j := i + 1; j < len(p.containers); j++ {
		c := &p.containers[j]
		if c.live() && (!c.init || c.sidecar) {
			return false
		}
	}
	return true
}

// sendKill leaves a container what is left of the grace, in whole seconds and
// never less than GraceMinSeconds, unless the pod is gone from the API.
func (a *Agent) sendKill(p *pod, c *container) {
	left := max(c.graceSecs-int64(a.now.Sub(c.killFrom)/time.Second), a.cfg.GraceMinSeconds)
	if p.gone {
		left = 0
	}
	c.kill = killSent
	a.do(KillContainer{ID: c.id(p), Grace: time.Duration(left) * time.Second})
}

// hurry shortens the grace of the kills under way, counted from now.
func (a *Agent) hurry(p *pod) {
	grace := p.graceSeconds()
	for i := range p.count() {
		c := p.at(i)
		if c.state != containerRunning || c.kill == killNone {
			continue
		}
		c.killFrom, c.graceSecs = a.now, grace
		if c.kill == killSent {
			a.sendKill(p, c)
		}
	}
}

// evictGraceSeconds is the time of an evicted pod's containers, as with the kubelet.
const evictGraceSeconds = 1

func (a *Agent) evict(in Evict) {
	p := a.pods[in.Pod]
	if p == nil || p.stage != stageRun {
		return
	}
	p.failReason, p.failMessage, p.evicted = reasonEvicted, in.Message, true
	a.sayWarning(p, nil, reasonEvicted, in.Message)
	a.beginStop(p)
	a.sync(p)
}

// beginStop ends a pod that has done its work or must not go on.
func (a *Agent) beginStop(p *pod) {
	p.stage, p.dirty = stageStop, true
	a.syncStop(p)
}

// syncStop ends what runs of a pod. Once nothing does, the pod has ended.
func (a *Agent) syncStop(p *pod) {
	p.inPass = false
	if c := p.starting; c != nil && c.state == containerPulling {
		p.unstart(c)
	}
	live := p.sandbox == sandboxMaking
	for i := range p.count() {
		c := p.at(i)
		live = live || c.live()
		if c.state == containerRunning && c.kill == killNone {
			a.kill(p, c, "Stopping container "+c.spec.Name, p.graceSeconds())
		}
	}
	if live {
		a.runProbes(p)
		a.moveKills(p)
		a.report(p)
		return
	}
	p.stage, p.dirty = stageEnd, true
	a.release(p)
	a.report(p)
}

// syncEnd clears up after a pod that has ended: its sandbox, and, if it is being
// deleted, once its last status is known to the API, its object.
func (a *Agent) syncEnd(p *pod) {
	if p.sandbox == sandboxUp {
		p.sandbox = sandboxStopping
		a.do(StopSandbox{p.uid})
	}
	if p.sandbox != sandboxNone {
		return
	}
	if p.gone {
		a.forget(p)
		return
	}
	if p.api.DeletionTimestamp == nil || p.deleted || p.tag != 0 || p.unwritten() || a.now.Before(p.retryAt) {
		return
	}
	p.deleted, p.deleting = true, true
	r := api.Delete(kinds.Ref{Kind: kinds.Pod, Key: kinds.KeyOf(p.api)}, p.uid)
	r.Grace = 0
	p.tag = a.write(p, r)
}
